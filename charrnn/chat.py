"""A conversation without a screen: turns, and the summary and recurrent state that carry them.

`charrnn ask` and the app are both thin loops over it. Imports nothing heavy, so that the app can draw itself first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from charrnn.errors import ModelError, UsageError
from charrnn.turns import Change, Mode, Next, Seen, Turn

if TYPE_CHECKING:
    import numpy as np

    from charrnn.config import SamplingConfig
    from charrnn.generation import Piece, Stream
    from charrnn.memory import Memory
    from charrnn.model import LanguageModel
    from charrnn.rereading import Reread

UNDONE = 100  # turns that can be taken back
LONGEST_ANSWER = 2000  # characters; one that goes round in circles does not end by itself
DRAFTS = 8  # beginnings of an answer, of which the one that tells most of its question is kept
MOST_DRAFTS = 256


class ChatSession:
    """A conversation with a model.

    In *chat*, `say` asks and the answer ends by itself. In *continue*, `say` adds to the text and goes on without end.
    Each mode has its own place in a text of its own. An answer begins with the best of `drafts`. `sampling` may be
    replaced at any moment, from any thread: it is read before each token.
    """

    def __init__(self, model: LanguageModel, sampling: SamplingConfig, drafts: int = DRAFTS) -> None:
        if not 1 <= drafts <= MOST_DRAFTS:
            raise UsageError(f"drafts must be between 1 and {MOST_DRAFTS}, not {drafts}")
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
        self._reread: Reread | None = None

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
        yield from self._say(old.prompt, self._set_aside(old))

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
                ours = answer.model == self._model.fingerprint
                if ours and max(answer.tokens, default=0) >= self._model.config.vocabulary:
                    answer.model = ""  # whatever it says, this one did not write it
            readable = self.can_chat or turn.mode == "continue"
            if readable and (number >= len(turns) - UNDONE or not self._forgets(turn.mode)):
                stream = self._stream(turn.mode)
                turn.before = stream.mark()
                self._read_again(stream, turn)
            self._turns.append(turn)
            self._let_go()

    def place(self, turn: Turn) -> bytes | None:
        """Where the text of an answer stands at its end, to be saved; None where what was said tells it."""
        if self._forgets(turn.mode) or turn.mode not in self._streams:
            return None
        if turn.after is None and turn is not self._turns[-1]:
            return turn.place
        return (turn.after or self._streams[turn.mode].mark()).to_bytes()

    def next(self) -> Next:
        """What may come next where the text of the present mode stands; also in the middle of an answer."""
        from charrnn.rereading import next_of

        stream = self._stream(self.mode)
        stream.memory = self._memory()
        last = next((turn for turn in reversed(self._turns) if turn.mode == self.mode), None)
        written = "" if last is None else last.answer or last.prompt
        return next_of(self._model, stream.prospects(self._barred(self.mode)), self.sampling, written)

    def look_at(self, turn: Turn, number: int, stop: Callable[[], bool] = lambda: False) -> Seen | None:
        """What stood at a place of an answer, and what else could have; None where it was stopped on the way there.

        Raises UsageError for an answer of another model, or one that was given too long ago, and for no such place.
        """
        from charrnn.rereading import Reread

        if turn.model != self._model.fingerprint:
            raise UsageError("another model wrote this answer, and only that one can say why; Ctrl+L takes it")
        if not turn.detailed:
            raise UsageError("this answer was saved by an earlier version, and how it came is not known")
        if turn.before is None:
            raise UsageError("this answer was given too long ago")
        if not 0 <= number < len(turn.tokens):
            raise UsageError(f"the answer has {len(turn.tokens)} tokens, not {number + 1}")

        def barred(at: int) -> Set[int]:
            return self._barred(turn.mode) | (self._stops(turn.mode) if at == 0 else set())

        if turn.tokens[number] in barred(number):
            raise UsageError("this answer is damaged: it holds what is never written")
        if self._reread is None or self._reread.turn is not turn:
            self._reread = Reread(
                self._model,
                turn,
                lambda stream: self._read_prompt(stream, turn.mode, turn.prompt),
                barred,
            )
        return self._reread.look_at(number, stop)

    def branch(self, number: int, token: int) -> Iterator[Piece]:
        """Stream another answer to the last prompt: as the one that stands, but with another token in one place, and
        drawn from there by random numbers of its own; with a mark of the end, it ends there.

        Raises UsageError as `look_at` and `say_again` do, and for a token that may not stand there.
        """
        import numpy as np

        from charrnn.generation import Piece, text_of

        old = self._last()
        seen = self.look_at(old, number)
        assert seen is not None
        prospect = seen.place.prospects.under(seen.sampling)
        if token not in prospect.ids:
            raise UsageError(f"token {token} may not stand there")
        surprise = -float(np.log2(prospect.model[prospect.rank(token)]))
        others, stream = self._set_aside(old), self._home()
        turn = old.beginning(number)
        turn.began, turn.others, turn.before, turn.given = time.time(), others, stream.mark(), number
        self._turns.append(turn)
        self._read_prompt(stream, turn.mode, turn.prompt)
        decoder = self._model.tokenizer.decoder()
        for known in turn.tokens:
            decoder.push(known)
        ends = token in self._stops(turn.mode)
        if not ends:
            turn.given += 1
            turn.add(Piece(text_of(token, self._model.tokenizer, decoder), token, surprise, math.nan), 0.0)
        stream.recall(turn.tokens.tolist(), turn.answer)
        rng = np.random.default_rng([turn.seed or 0, turn.given])
        if ends:
            turn.stopped = False
        else:
            yield from self._write(stream, turn, rng)

    def sweep(
        self, text: str | None, temperatures: Sequence[float], length: int, seed: int | None = None
    ) -> Iterator[tuple[int, Piece]]:
        """Stream answers at several temperatures side by side, by the same random numbers, a token of each in turn,
        until they end, or have so many characters; each with the number of its temperature.

        They become answers to one prompt, with no text to the last, beside those it has; the one at the temperature
        nearest to the present stands. None is drafted. Raises ModelError as `say` does, and UsageError as `say_again`.
        """
        import numpy as np

        from charrnn.generation import with_seed

        others: list[Turn] = []
        if text is None:
            text, others = self._last().prompt, self._set_aside(self._last())
        home, memory, mode = self._home(), self._memory(), self.mode
        config, seed = with_seed(self.sampling if seed is None else replace(self.sampling, seed=seed))
        before, now = home.mark(), time.time()
        turns = []
        for n, temperature in enumerate(temperatures):
            began = Change(0, 0, replace(config, temperature=temperature), memory is not None)
            turns.append(Turn(mode, text, [began], self._model.fingerprint, now + n * 1e-6, before=before))
        standing = min(turns, key=lambda turn: abs(turn.temperature - self.sampling.temperature))
        standing.others = [*others, *(turn for turn in turns if turn is not standing)]
        self._turns.append(standing)
        self._let_go()
        self._read_prompt(home, mode, text)
        start = home.mark()
        streams = [self._model.stream() for _ in turns]
        growing: dict[int, Iterator[Piece]] = {}
        for n, stream in enumerate(streams):
            stream.memory = memory
            stream.go_to(start)
            settings = partial(getattr, turns[n].in_force(0), "sampling")
            growing[n] = self._generate(stream, mode, settings, np.random.default_rng(seed), entropies=True)
        try:
            while growing:
                for n, pieces in list(growing.items()):
                    started = time.monotonic()
                    if (piece := next(pieces, None)) is None:
                        turns[n].stopped = False
                    else:
                        turns[n].add(piece, time.monotonic() - started)
                        yield n, piece
                    if piece is None or turns[n].characters >= length:
                        del growing[n]
        finally:
            for turn, stream in zip(turns, streams, strict=True):
                turn.after = stream.mark()
            assert standing.after is not None
            home.go_to(standing.after)

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
            raise UsageError("nothing was said, or nothing that this model can go back to")
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

    def _home(self) -> Stream:
        """The stream of the present mode. ModelError where a model that has read no dialogue would be asked."""
        if self.mode == "chat" and not self.can_chat:
            raise ModelError(
                f"the model {self.title} has read no dialogue and cannot answer; let it continue a text instead"
            )
        return self._stream(self.mode)

    def _set_aside(self, old: Turn) -> list[Turn]:
        """The last turn away, to be chosen again; the other answers that the next one has."""
        self._memory()  # what fails is to fail before anything is changed
        self.mode, old.after = old.mode, self._streams[old.mode].mark()
        others, old.others = [*old.others, old], []
        self.take_back()
        return others

    def _say(self, text: str, others: list[Turn]) -> Iterator[Piece]:
        stream, memory = self._home(), self._memory()
        # Heavy modules are here by now: a model is loaded.
        import numpy as np

        from charrnn.generation import with_seed

        config, seed = with_seed(self.sampling)
        began = Change(0, 0, config, memory is not None)
        turn = Turn(self.mode, text, [began], self._model.fingerprint, time.time(), others=others, before=stream.mark())
        turn.drafts = self._drafts if self._forgets(turn.mode) else 1
        self._turns.append(turn)
        self._let_go()
        yield from self._write(stream, turn, np.random.default_rng(seed))

    def _write(self, stream: Stream, turn: Turn, rng: np.random.Generator) -> Iterator[Piece]:
        """The answer from where it stands to its end; the prompt is read if there is nothing yet."""

        asked = self.sampling
        config = replace(asked, seed=turn.seed)

        def settings() -> SamplingConfig:
            """What is asked for by now, put down where it is another than before."""
            nonlocal asked, config
            last, remembers = turn.changes[-1], stream.memory is not None
            if self.sampling is not asked:
                asked = self.sampling
                config = replace(asked, seed=turn.seed)
            if (config, remembers) != (last.sampling, last.remembers):
                if last.at == len(turn.tokens):  # nothing was drawn by those
                    turn.changes.pop()
                turn.changes.append(Change(len(turn.tokens), turn.characters, config, remembers))
            return config

        stream.memory = self._memory()
        started, before = time.monotonic(), turn.tokens.tolist()
        if not before:
            self._read_prompt(stream, turn.mode, turn.prompt)
        for piece in self._generate(stream, turn.mode, settings, rng, drafts=turn.drafts, before=before):
            turn.add(piece, time.monotonic() - started)
            yield piece
            if turn.mode == "chat" and turn.characters >= LONGEST_ANSWER:
                return
            stream.memory = self._memory()
            started = time.monotonic()  # what the reader takes is not the model's time
        turn.stopped = False

    def _generate(
        self, stream: Stream, mode: Mode, settings: Callable[[], SamplingConfig], rng: np.random.Generator, **how: Any
    ) -> Iterator[Piece]:
        return stream.generate(settings, rng, barred=self._barred(mode), stops=self._stops(mode), at_least=1, **how)

    def _memory(self) -> Memory | None:
        return self._model.memory if self.remembers else None

    def _barred(self, mode: Mode) -> Set[int]:
        """What is never drawn."""
        tokenizer = self._model.tokenizer
        return {tokenizer.unknown} if mode == "chat" else tokenizer.unwritten

    def _stops(self, mode: Mode) -> Set[int]:
        """What ends an answer, and is not its first token."""
        tokenizer = self._model.tokenizer
        return {tokenizer.document, tokenizer.ask, tokenizer.answer} if mode == "chat" else set()
