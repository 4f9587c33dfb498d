"""What a screen needs of a conversation; tests script it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig
    from charrnn.generation import Piece
    from charrnn.turns import Mode, Next, Seen, Turn


class Session(Protocol):
    """A conversation with a model."""

    title: str
    can_chat: bool
    has_memory: bool
    remembers: bool
    """Whether the memory beside the network has its say, from the next token on."""
    mode: Mode
    sampling: SamplingConfig

    @property
    def turns(self) -> list[Turn]:
        """The conversation so far."""

    def say(self, text: str) -> Iterator[Piece]:
        """Stream the answer to a question, or the continuation of a text."""

    def say_again(self) -> Iterator[Piece]:
        """Stream another answer to the last prompt."""

    def branch(self, number: int, token: int) -> Iterator[Piece]:
        """Stream another answer to the last prompt: as the one that stands, but for one token, and on from there."""

    def sweep(
        self, text: str | None, temperatures: Sequence[float], length: int, seed: int | None = None
    ) -> Iterator[tuple[int, Piece]]:
        """Stream answers at several temperatures side by side, by the same random numbers; each with its number. Of
        None to the last prompt."""

    def choose(self, other: Turn) -> None:
        """Put another answer in the place of the last one."""

    def take_back(self) -> Turn:
        """Forget the last turn."""

    def reset(self) -> None:
        """Begin a new conversation."""

    def restore(self, turns: Sequence[Turn]) -> None:
        """Go on with a conversation that was saved."""

    def place(self, turn: Turn) -> bytes | None:
        """Where the text of an answer stands at its end, to be saved; None where what was said tells it."""

    def next(self) -> Next:
        """What may come next where the text of the present mode stands."""

    def look_at(self, turn: Turn, number: int, stop: Callable[[], bool] = ...) -> Seen | None:
        """What stood at a place of an answer, and what else could have; None where it was stopped on the way there."""
