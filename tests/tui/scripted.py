"""A session that says what it is told to, for tests of the app."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charrnn.config import SamplingConfig
from charrnn.errors import ModelError, UsageError
from charrnn.generation import Piece
from charrnn.prospects import Prospects
from charrnn.turns import Change, Next, Turn


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
        return Next(Prospects(logits), dict(enumerate(["戊", "甲", "丙", "<document>", "\x1b[31m"])))

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
        for character in answer:
            self.gate.wait()
            self.temperatures.append(self.sampling.temperature)
            piece = Piece(character, 9, 1.5, 0.5)
            turn.add(piece, 0.01)
            yield piece
        turn.stopped = False
