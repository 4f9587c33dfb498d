"""What the thread beside the screen tells it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from charrnn.session import Session
from charrnn.turns import Mode, Next, Turn


class Opened(NamedTuple):
    """A model is there."""

    session: Session


class Failed(NamedTuple):
    """A model could not be opened, and why."""

    why: str


class Shown(NamedTuple):
    """A conversation, to be shown from its beginning."""

    turns: list[Turn]


class Began(NamedTuple):
    """An answer begins; `again` in the place of the last one."""

    run: int
    mode: Mode
    prompt: str
    again: bool


class Wrote(NamedTuple):
    """The answer grew."""

    run: int
    text: str


class Ended(NamedTuple):
    """The answer is over: its turn, unless it never came to one, and what went wrong, if anything did."""

    run: int
    turn: Turn | None
    error: str | None


class Refused(NamedTuple):
    """A prompt that cannot be answered, and why."""

    run: int
    prompt: str
    why: str


class Chosen(NamedTuple):
    """Another answer stands in the place of the last one."""

    turn: Turn


class TakenBack(NamedTuple):
    """The last turn is gone; `edited`: another is on its way."""

    turn: Turn
    edited: bool


class Looked(NamedTuple):
    """What may come next."""

    next: Next


class Damaged(NamedTuple):
    """The database was damaged, and where it was put."""

    where: Path


class Trouble(NamedTuple):
    """Something for the person to know."""

    text: str


OfConversation = Looked | Shown | Began | Wrote | Ended | Refused | Chosen | TakenBack
"""What means nothing once another conversation is on screen."""
Event = OfConversation | Opened | Failed | Damaged | Trouble
