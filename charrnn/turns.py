"""What was said: prompts, answers, and all that it takes to write them again. Imports nothing heavy."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig
    from charrnn.generation import Piece, Place
    from charrnn.prospects import Prospects

Mode = Literal["chat", "continue"]


class Change(NamedTuple):
    """Settings, from a place in an answer on."""

    at: int
    """Tokens of the answer before it."""
    characters: int
    """Characters of the answer before it."""
    sampling: SamplingConfig
    """With the seed."""
    remembers: bool
    """Whether the memory beside the network had its say."""


@dataclass(eq=False)
class Turn:
    """A prompt and what the model wrote, with all that it takes to write it again."""

    mode: Mode
    prompt: str
    changes: list[Change]
    """The settings it began with, and those that came while it was written."""
    model: str = ""
    """Fingerprint of the model."""
    began: float = 0.0
    """Seconds since 1970."""
    drafts: int = 1
    given: int = 0
    """How many of its first tokens are those of another answer, the last of them chosen by hand, unless its end was."""
    tokens: array[int] = field(default_factory=lambda: array("I"), repr=False)
    """What was drawn."""
    uniforms: array[float] = field(default_factory=lambda: array("d"), repr=False)
    """The random number that drew each; NaN where it was chosen by hand."""
    surprises: array[float] = field(default_factory=lambda: array("f"), repr=False)
    """Bits of each."""
    lengths: array[int] = field(default_factory=lambda: array("H"), repr=False)
    """The characters that became whole with each."""
    characters: int = 0
    bits: float = 0.0
    """Total surprise of the answer at temperature 1."""
    seconds: float = 0.0
    """Spent on generating, the reading of the prompt included."""
    stopped: bool = True
    """Whether it was stopped from outside; False once the answer ended by itself."""
    others: list[Turn] = field(default_factory=list, repr=False)
    """Other answers to the same prompt, which were set aside, the oldest first."""
    before: Place | None = field(default=None, repr=False)
    """Where its text stood before the prompt; forgotten after UNDONE later turns."""
    after: Place | None = field(default=None, repr=False)
    """Where it stood at its end, once it has been set aside, or read again."""
    place: bytes | None = field(default=None, repr=False)
    """The same as it is saved, of a text that is read on from there."""
    _text: io.StringIO = field(default_factory=io.StringIO, repr=False)

    @property
    def answer(self) -> str:
        """What the model has written so far."""
        return self._text.getvalue()

    @property
    def alternatives(self) -> list[Turn]:
        """All answers to its prompt, itself among them, the oldest first."""
        return sorted([self, *self.others], key=lambda answer: answer.began)

    @property
    def seed(self) -> int | None:
        """Of all its random numbers."""
        return self.changes[0].sampling.seed

    @property
    def temperature(self) -> float:
        """As it was when the answer began."""
        return self.changes[0].sampling.temperature

    @property
    def detailed(self) -> bool:
        """Whether it is known how each token came; not so of answers that an earlier version saved."""
        parts = self.uniforms, self.surprises, self.lengths
        return all(len(part) == len(self.tokens) for part in parts) and sum(self.lengths) == len(self.answer)

    def beginning(self, tokens: int) -> Turn:
        """Its first tokens, as an answer of their own."""
        changes = [change for change in self.changes if change.at <= tokens]
        turn = Turn(self.mode, self.prompt, changes, self.model, self.began, self.drafts)
        turn.tokens, turn.uniforms = self.tokens[:tokens], self.uniforms[:tokens]
        turn.surprises, turn.lengths = self.surprises[:tokens], self.lengths[:tokens]
        turn.characters, turn.bits = sum(turn.lengths), sum(turn.surprises)
        turn.write(self.answer[: turn.characters])
        return turn

    def runs(self) -> Iterator[tuple[str, float]]:
        """Its text as it grew, and the bits of each run; NaN where they are not known."""
        answer = self.answer
        if not self.detailed:
            yield answer, math.nan
            return
        start = 0
        bits = 0.0
        for length, surprise in zip(self.lengths, self.surprises, strict=True):
            bits += surprise
            if length:
                yield answer[start : start + length], bits
                start, bits = start + length, 0.0

    @property
    def branched(self) -> int | None:
        """The character, from 0, in which it parts from the answer that it was branched from."""
        if not self.given:
            return None
        return sum(self.lengths[: self.given - math.isnan(self.uniforms[self.given - 1])])

    @property
    def rate(self) -> float:
        """Characters a second of what was drawn; 0 where nothing was."""
        return (self.characters - sum(self.lengths[: self.given])) / self.seconds if self.seconds else 0.0

    def in_force(self, token: int) -> Change:
        """The settings by which a token was drawn."""
        return next(change for change in reversed(self.changes) if change.at <= token)

    def write(self, text: str) -> None:
        """The text grows."""
        self._text.write(text)

    def add(self, piece: Piece, seconds: float) -> None:
        """The answer grows by a piece, which took so many seconds."""
        self.write(piece.text)
        self.tokens.append(piece.token)
        self.uniforms.append(piece.uniform)
        self.surprises.append(piece.surprise)
        self.lengths.append(len(piece.text))
        self.characters += len(piece.text)
        self.bits += piece.surprise
        self.seconds += seconds


class Next(NamedTuple):
    """What may come next where a text stands."""

    prospects: Prospects
    names: dict[int, str]
    """Of the likeliest tokens: what they would add to the text."""
    written: str = ""
    """The last of what stands before it."""


class Seen(NamedTuple):
    """What stood at a place of an answer, and what else could have."""

    number: int
    """Of the token in its answer."""
    token: int
    place: Next
    sampling: SamplingConfig
    """The settings then."""
    drafted: bool = False
    """Whether it is of the drafted beginning of an answer: at another temperature another draft may be kept."""

    def name(self, token: int) -> str:
        """What a token would add to the text; of an unlikely one that is not known."""
        return self.place.names.get(token, "…")
