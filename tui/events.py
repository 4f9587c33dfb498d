"""What the thread beside the screen tells it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig
    from charrnn.session import Session
    from charrnn.turns import Change, Mode, Next, Seen, Turn


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
    """The answer grew, by so many bits of surprise."""

    run: int
    text: str
    bits: float


class Given(NamedTuple):
    """The answer begins as another one, with these tokens: see `Turn.given`."""

    run: int
    turn: Turn


class Changed(NamedTuple):
    """Other settings than before hold from here on."""

    run: int
    change: Change
    before: Change


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


class Forked(NamedTuple):
    """An earlier answer was branched from: what is shown is a new conversation."""


class TakenBack(NamedTuple):
    """The last turn is gone; `edited`: another is on its way."""

    turn: Turn
    edited: bool


class Looked(NamedTuple):
    """What may come next."""

    next: Next


class Answers(NamedTuple):
    """Those that can be looked at, in order."""

    turns: list[Turn]


class LookedAt(NamedTuple):
    """What stood at a place of this answer, or why that cannot be said."""

    turn: Turn
    seen: Seen | None
    why: str


class SweepBegan(NamedTuple):
    """Answers at several temperatures begin, with these settings else."""

    run: int
    sampling: SamplingConfig


class Swept(NamedTuple):
    """The answer of a number grew: a text, its bits, and the entropy of what it was drawn from."""

    run: int
    number: int
    text: str
    bits: float
    entropy: float


class SweepEnded(NamedTuple):
    """They are over: their turn, unless they never came to one, and what went wrong, if anything did; `again` in the
    place of the last one."""

    run: int
    turn: Turn | None
    error: str | None
    again: bool


class Damaged(NamedTuple):
    """The database was damaged, and where it was put."""

    where: Path


class Trouble(NamedTuple):
    """Something for the person to know."""

    text: str


OfPage = Looked | Answers | LookedAt | SweepBegan | Swept | SweepEnded
"""What a page over the conversation asked for."""
OfConversation = OfPage | Shown | Began | Given | Wrote | Changed | Ended | Refused | Chosen | Forked | TakenBack
"""What means nothing once another conversation is on screen."""
Event = OfConversation | Opened | Failed | Damaged | Trouble
