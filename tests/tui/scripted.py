"""A session that says what it is told to, for tests of the app."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from charrnn.config import SamplingConfig
from charrnn.errors import ModelError, UsageError
from charrnn.generation import Piece
from charrnn.prospects import Prospects
from charrnn.turns import Change, Next, Seen, Turn

NAMES = ["戊", "甲", "丙", "<document>", "\x1b[31m"]
SURPRISES = {"奇": 3.0, "怪": 6.0, "绝": 12.0}


class ScriptedSession:
    """Answers from a list, a character a piece; an exception in the list is raised. `gate` holds pieces back."""

    def __init__(
        self, answers: Iterable[Iterable[str] | Exception], *, can_chat: bool = True, has_memory: bool = True
    ) -> None:
        self.title = "剧本"
        self.can_chat = can_chat
        self.has_memory = has_memory
        self.remembers = False
        self.mode = "chat" if can_chat else "continue"
        self.sampling = SamplingConfig(seed=7)
        self.turns: list[Turn] = []
        self.said: list[tuple[str, str]] = []
        self.temperatures: list[float] = []
        self.resets = 0
        self.gate = threading.Event()
        self.gate.set()
        self._answers = iter(answers)
        self._clock = itertools.count(1)

    def say(self, text: str) -> Iterator[Piece]:
        return self._say(text, [])

    def say_again(self) -> Iterator[Piece]:
        old = self.take_back()
        self.mode = old.mode
        others, old.others = [*old.others, old], []
        yield from self._say(old.prompt, others)

    def choose(self, other: Turn) -> None:
        last = self.turns[-1]
        other.others = [*(turn for turn in last.others if turn is not other), last]
        last.others = []
        self.turns[-1] = other

    def take_back(self) -> Turn:
        if not self.turns:
            raise UsageError("there is no turn to take back")
        return self.turns.pop()

    def restore(self, turns: Sequence[Turn]) -> None:
        self.turns = list(turns)

    def place(self, turn: Turn) -> bytes | None:
        return b"place" if turn.mode == "continue" else None

    def next(self) -> Next:
        """Five characters and a mark: 1/2, 1/4, 1/8, 1/16 twice, whatever was said."""
        logits = np.log(np.array([0.0625, 0.5, 0.125, 0.25, 0.0625], np.float32))
        share = np.array([1, 0.5, 1, 1, 1], np.float32) if self.remembers else None
        written = next((turn.answer[-80:] for turn in self.turns[::-1] if turn.mode == self.mode), "")
        return Next(Prospects(logits, (), share), dict(enumerate(NAMES)), written)

    def look_at(self, turn: Turn, number: int, stop: Callable[[], bool] = lambda: False) -> Seen | None:
        if turn.prompt == "看不得":
            raise UsageError("another model wrote this")
        return Seen(number, turn.tokens[number], self.next(), turn.in_force(number).sampling)

    def branch(self, number: int, token: int) -> Iterator[Piece]:
        old = self.take_back()
        self.mode = old.mode
        turn = old.beginning(number)
        turn.others, turn.given, turn.began = [*old.others, old], number + 1, float(next(self._clock))
        turn.add(Piece(NAMES[token], token, 2.0, math.nan), 0)
        old.others = []
        self.turns.append(turn)
        yield from self._write(turn, next(self._answers))

    def sweep(
        self, text: str | None, temperatures: Sequence[float], length: int, seed: int | None = None
    ) -> Iterator[tuple[int, Piece]]:
        """An answer of the list at each temperature."""
        others: list[Turn] = []
        if text is None:
            old = self.take_back()
            text, others, old.others = old.prompt, [*old.others, old], []
        self.said.append((self.mode, text))
        configs = [replace(self.sampling, temperature=t, seed=seed or self.sampling.seed) for t in temperatures]
        turns = [
            Turn(self.mode, text, [Change(0, 0, config, self.remembers)], "剧本", float(next(self._clock)))
            for config in configs
        ]
        turns[-1].others = others + turns[:-1]
        self.turns.append(turns[-1])
        writing = [self._write(turn, next(self._answers)) for turn in turns]
        for pieces in itertools.zip_longest(*writing):
            for n, piece in enumerate(pieces):
                if piece is not None:
                    yield n, replace(piece, entropy=self.next().prospects.under(configs[n]).entropy)

    def reset(self) -> None:
        self.turns = []
        self.resets += 1

    def _say(self, text: str, others: list[Turn]) -> Iterator[Piece]:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        if self.mode == "chat" and not self.can_chat:
            raise ModelError("cannot chat")
        self.said.append((self.mode, text))
        began = Change(0, 0, self.sampling, self.remembers)
        turn = Turn(self.mode, text, [began], "剧本", float(next(self._clock)), others=others)
        self.turns.append(turn)
        yield from self._write(turn, answer)

    def _write(self, turn: Turn, answer: Iterable[str]) -> Iterator[Piece]:
        """A character a piece, each drawn by 0.25; those that are drawn by other settings than before say so."""
        for character in answer:
            self.gate.wait()
            self.temperatures.append(self.sampling.temperature)
            last = turn.changes[-1]
            if (
                turn is self.turns[-1]
                and turn.tokens
                and not turn.others
                and (self.sampling, self.remembers) != last[2:]
            ):
                turn.changes.append(Change(len(turn.tokens), turn.characters, self.sampling, self.remembers))
            piece = Piece(character, 1, SURPRISES.get(character, 1.5), 0.25)
            turn.add(piece, 0.01)
            yield piece
        turn.stopped = False
