"""A conversation without a screen: turns, and the summary and recurrent state that carry them.

`charrnn ask` and the app are both thin loops over it. Imports nothing heavy, so that the app can draw itself first.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from charrnn.errors import ModelError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from charrnn.config import SamplingConfig
    from charrnn.generation import Piece, Place, Stream
    from charrnn.memory import Memory
    from charrnn.model import LanguageModel

Mode = Literal["chat", "continue"]
UNDONE = 100  # turns that can be taken back
DRAFTS = 8  # beginnings of an answer, of which the one that tells most of its question is kept


@dataclass
class Turn:
    """A prompt and what the model wrote, with what a reader may want to know of it."""

    mode: Mode
    prompt: str
    seed: int
    temperature: float
    """As it was when the answer began."""
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
    """Where it stood at its end, once it has been set aside."""
    _text: io.StringIO = field(default_factory=io.StringIO, repr=False)

    @property
    def answer(self) -> str:
        """What the model has written so far."""
        return self._text.getvalue()

    def add(self, piece: Piece, seconds: float) -> None:
        """The answer grows by a piece, which took so many seconds."""
        self._text.write(piece.text)
        self.characters += len(piece.text)
        self.bits += piece.surprise
        self.seconds += seconds


class Session(Protocol):
    """What the app needs of a conversation; tests script it."""

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

    def reset(self) -> None:
        """Begin a new conversation."""


class ChatSession:
    """A conversation with a model.

    In *chat*, `say` asks and the answer ends by itself. In *continue*, `say` adds to the text and goes on without end.
    Each mode has its own place in a text of its own. An answer begins with the best of `drafts`. `sampling` may be
    replaced at any moment, from any thread: it is read before each token.
    """

    def __init__(self, model: LanguageModel, sampling: SamplingConfig, drafts: int = DRAFTS) -> None:
        self.title = model.name
        self.can_chat = model.has_dialogue
        self.has_memory = model.has_memory
        self.remembers = model.remembers
        """Whether the memory beside the network has its say, from the next token on; from any thread."""
        self.mode: Mode = "chat" if self.can_chat else "continue"
        self.sampling = sampling
        self._model = model
        self._drafts = drafts
        self.reset()

    @property
    def turns(self) -> list[Turn]:
        """The conversation so far; the last one grows while it is generated."""
        return self._turns

    def reset(self) -> None:
        """Begin a new conversation: no turns, zero state."""
        self._turns: list[Turn] = []
        self._streams: dict[Mode, Stream] = {}

    def say(self, text: str) -> Iterator[Piece]:
        """Stream the answer. Closing the iterator stops it; what was written so far stays, in the turn and the state.

        Raises ModelError when a model that has read no dialogue is asked.
        """
        return self._say(text, [])

    def say_again(self) -> Iterator[Piece]:
        """Stream another answer to the last prompt; the one that stands is set aside, to be chosen again.

        Raises UsageError when nothing has been said, or too long ago.
        """
        old = self._last()
        self.mode, old.after = old.mode, self._streams[old.mode].mark()
        others, old.others = [*old.others, old], []
        self.take_back()
        yield from self._say(old.prompt, others)

    def take_back(self) -> Turn:
        """Forget the last turn, its prompt too, as if it had never been; the turn. UsageError as in `say_again`."""
        turn = self._last()
        self._go_to(turn, turn.before)
        return self._turns.pop()

    def choose(self, other: Turn) -> None:
        """Put an answer that was set aside in the place of the last one, which is set aside."""
        last = self._last()
        last.after = self._streams[last.mode].mark()
        other.others = [*(turn for turn in last.others if turn is not other), last]
        last.others = []
        self._go_to(other, other.after)
        self._turns[-1] = other

    def _last(self) -> Turn:
        if not self._turns or self._turns[-1].before is None:
            raise UsageError("there is no turn to take back")
        return self._turns[-1]

    def _go_to(self, turn: Turn, place: Place | None) -> None:
        if place is not None:
            self._streams[turn.mode].go_to(place)

    def _say(self, text: str, others: list[Turn]) -> Iterator[Piece]:
        if self.mode == "chat" and not self.can_chat:
            raise ModelError(
                f"the model {self.title} has read no dialogue and cannot answer; let it continue a text instead"
            )
        # Heavy modules are here by now: a model is loaded.
        import numpy as np

        from charrnn.generation import with_seed

        if self.mode not in self._streams:  # a stream reads its first mark
            self._streams[self.mode] = self._model.stream()
        stream = self._streams[self.mode]
        config, seed = with_seed(self.sampling)
        turn = Turn(self.mode, text, seed, config.temperature, others=others, before=stream.mark())
        self._turns.append(turn)
        if len(self._turns) > UNDONE:
            forgotten = self._turns[-UNDONE - 1]
            forgotten.before, forgotten.others = None, []
        stream.memory = self._memory()
        started = time.monotonic()
        for piece in self._answer(stream, text, np.random.default_rng(seed)):
            turn.add(piece, time.monotonic() - started)
            yield piece
            stream.memory = self._memory()
            started = time.monotonic()  # what the reader takes is not the model's time
        turn.stopped = False

    def _memory(self) -> Memory | None:
        return self._model.memory if self.remembers else None

    def _answer(self, stream: Stream, text: str, rng: np.random.Generator) -> Iterator[Piece]:
        tokenizer = self._model.tokenizer
        marks = {tokenizer.document, tokenizer.ask, tokenizer.answer}
        if self.mode == "continue":
            stream.read_text(text)
            return stream.generate(
                lambda: self.sampling, rng, barred={tokenizer.unknown, tokenizer.ask, tokenizer.answer}
            )
        stream.ask(text)
        return stream.generate(
            lambda: self.sampling,
            rng,
            barred={tokenizer.unknown},
            stops=marks,
            at_least=1,
            drafts=self._drafts,
        )
