"""A conversation without a screen: turns, and the summary and recurrent state that carry them.

`charrnn ask` and the app are both thin loops over it. Imports nothing heavy, so that the app can draw itself first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from charrnn.errors import ModelError, UsageError
from charrnn.turns import Change, Mode, Next, Turn

if TYPE_CHECKING:
    import numpy as np

    from charrnn.config import SamplingConfig
    from charrnn.generation import Piece, Stream
    from charrnn.memory import Memory
    from charrnn.model import LanguageModel

NAMED = 200  # likeliest tokens
UNDONE = 100  # turns that can be taken back
DRAFTS = 8  # beginnings of an answer, of which the one that tells most of its question is kept


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

    def say_again(self) -> Iterator[Piece]:
        """Stream another answer to the last prompt."""

    def choose(self, other: Turn) -> None:
        """Put another answer in the place of the last one."""

    def take_back(self) -> Turn:
        """Forget the last turn."""

    def reset(self) -> None:
        """Begin a new conversation."""

    def restore(self, turns: Sequence[Turn]) -> None:
        """Go on with a conversation that was saved."""

    def place(self, mode: Mode) -> bytes | None:
        """Where the text of a mode stands, to be saved; None where what was said tells it."""

    def next(self) -> Next:
        """What may come next where the text of the present mode stands."""


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
        self._memory()  # what fails is to fail before anything is changed
        self.mode, old.after = old.mode, self._streams[old.mode].mark()
        others, old.others = [*old.others, old], []
        self.take_back()
        yield from self._say(old.prompt, others)

    def take_back(self) -> Turn:
        """Forget the last turn, its prompt too, as if it had never been; the turn. UsageError as in `say_again`."""
        turn, before = self._last(), self._turns[-1].before
        assert before is not None
        self._streams[turn.mode].go_to(before)
        return self._turns.pop()

    def choose(self, other: Turn) -> None:
        """Put an answer that was set aside in the place of the last one, which is set aside.

        Raises UsageError when it is no other answer to the last prompt, or as in `say_again`.
        """
        last = self._last()
        if other not in last.others:
            raise UsageError("this is no other answer to the last prompt")
        stream = self._streams[last.mode]
        last.after = stream.mark()
        other.before = last.before
        other.others = [*(turn for turn in last.others if turn is not other), last]
        last.others = []
        self._read_again(stream, other)
        self._turns[-1] = other

    def restore(self, turns: Sequence[Turn]) -> None:
        """Go on with a conversation that was saved, by this model or another; what this one cannot read is only kept.

        An answer's own place is gone to where it was saved; else its text is read again.
        """
        self.reset()
        for number, turn in enumerate(turns):
            turn.before = None
            for answer in (turn, *turn.others):
                answer.after = None  # of another session, of another model perhaps
            readable = self.can_chat or turn.mode == "continue"
            if readable and (number >= len(turns) - UNDONE or not self._forgets(turn.mode)):
                stream = self._stream(turn.mode)
                turn.before = stream.mark()
                self._read_again(stream, turn)
            self._turns.append(turn)
            self._let_go()

    def place(self, mode: Mode) -> bytes | None:
        """Where the text of a mode stands, to be saved; None where what was said tells it."""
        return None if mode not in self._streams or self._forgets(mode) else self._streams[mode].mark().to_bytes()

    def next(self) -> Next:
        """What may come next where the text of the present mode stands; also in the middle of an answer."""
        from charrnn.prospects import Prospects

        tokenizer, stream = self._model.tokenizer, self._stream(self.mode)
        stream.memory = self._memory()
        prospects = Prospects(stream.expected(self._barred(self.mode)), stream.history())
        likeliest = prospects.under(self.sampling).ids[:NAMED].tolist()
        return Next(prospects, {id: tokenizer.piece(id) for id in likeliest})

    def _barred(self, mode: Mode) -> Set[int]:
        """What is never drawn."""
        tokenizer = self._model.tokenizer
        return {tokenizer.unknown} if mode == "chat" else tokenizer.unwritten

    def _forgets(self, mode: Mode) -> bool:
        """Whether a turn of this mode begins from a zero state, and from what was said last."""
        return mode == "chat" and self._model.config.summary > 0

    def _read_again(self, stream: Stream, turn: Turn) -> None:
        """To the end of a turn, from wherever the stream stands in it or before it."""
        ours = turn.model == self._model.fingerprint
        if turn.after is None and ours and turn.place is not None:
            turn.after = stream.place_of(turn.place)
        if turn.after is not None:
            stream.go_to(turn.after)
            return
        assert turn.before is not None
        stream.go_to(turn.before)
        self._read_prompt(stream, turn.mode, turn.prompt)
        stream.recall(turn.tokens.tolist() if ours else self._model.tokenizer.encode(turn.answer), turn.answer)

    @staticmethod
    def _read_prompt(stream: Stream, mode: Mode, prompt: str) -> None:
        if mode == "continue":
            stream.read_text(prompt)
        else:
            stream.ask(prompt)

    def _last(self) -> Turn:
        if not self._turns or self._turns[-1].before is None:
            raise UsageError("there is no turn to take back")
        return self._turns[-1]

    def _let_go(self) -> None:
        """A turn long past cannot be taken back."""
        if len(self._turns) > UNDONE:
            forgotten = self._turns[-UNDONE - 1]
            forgotten.before, forgotten.others = None, []

    def _stream(self, mode: Mode) -> Stream:
        if mode not in self._streams:  # a stream reads its first mark
            self._streams[mode] = self._model.stream()
        return self._streams[mode]

    def _say(self, text: str, others: list[Turn]) -> Iterator[Piece]:
        if self.mode == "chat" and not self.can_chat:
            raise ModelError(
                f"the model {self.title} has read no dialogue and cannot answer; let it continue a text instead"
            )
        # Heavy modules are here by now: a model is loaded.
        import numpy as np

        from charrnn.generation import with_seed

        memory, stream = self._memory(), self._stream(self.mode)
        config, seed = with_seed(self.sampling)
        stream.memory = memory
        began = Change(0, 0, config, stream.memory is not None)
        turn = Turn(self.mode, text, [began], self._model.fingerprint, time.time(), others=others, before=stream.mark())
        turn.drafts = self._drafts if turn.mode == "chat" else 1
        self._turns.append(turn)
        self._let_go()
        started = time.monotonic()
        for piece in self._answer(stream, turn, np.random.default_rng(seed)):
            turn.add(piece, time.monotonic() - started)
            yield piece
            stream.memory = self._memory()
            started = time.monotonic()  # what the reader takes is not the model's time
        turn.stopped = False

    def _memory(self) -> Memory | None:
        return self._model.memory if self.remembers else None

    def _answer(self, stream: Stream, turn: Turn, rng: np.random.Generator) -> Iterator[Piece]:
        def settings() -> SamplingConfig:
            """What is asked for by now, put down where it is another than before."""
            last, remembers, config = turn.changes[-1], stream.memory is not None, self.sampling
            if config.seed != turn.seed:
                config = replace(config, seed=turn.seed)
            if (config, remembers) != (last.sampling, last.remembers):
                if last.at == len(turn.tokens):  # nothing was drawn by those
                    turn.changes.pop()
                turn.changes.append(Change(len(turn.tokens), turn.characters, config, remembers))
            return config

        tokenizer, barred = self._model.tokenizer, self._barred(turn.mode)
        self._read_prompt(stream, turn.mode, turn.prompt)
        if turn.mode == "continue":
            return stream.generate(settings, rng, barred=barred)
        marks = {tokenizer.document, tokenizer.ask, tokenizer.answer}
        return stream.generate(settings, rng, barred=barred, stops=marks, at_least=1, drafts=turn.drafts)
