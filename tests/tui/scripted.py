"""A session that says what it is told to, for tests of the app."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from charrnn.chat import Turn
from charrnn.config import SamplingConfig
from charrnn.errors import ModelError
from charrnn.generation import Piece


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

    def say(self, text: str) -> Iterator[Piece]:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        if self.mode == "chat" and not self.can_chat:
            raise ModelError("cannot chat")
        self.said.append((self.mode, text))
        turn = Turn(self.mode, text, 7, self.sampling.temperature)
        self.turns.append(turn)
        for character in answer:
            self.gate.wait()
            self.temperatures.append(self.sampling.temperature)
            piece = Piece(character, 9, 1.5)
            turn.add(piece, 0.01)
            yield piece
        turn.stopped = False

    def reset(self) -> None:
        self.turns = []
        self.resets += 1
