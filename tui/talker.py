"""The thread beside the screen: opens the session, streams its answers, one at a time, into a bounded queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from charrnn.chat import Mode, Session, Turn
from charrnn.errors import CharRNNError

WAITING_PIECES = 256
PACE = 80.0  # characters a second on screen: a small model writes thousands, which nobody can watch


class Opened(NamedTuple):
    """The model is there."""

    session: Session


class Failed(NamedTuple):
    """The model could not be opened, and why."""

    why: str


class Began(NamedTuple):
    """An answer begins."""

    run: int
    mode: Mode
    prompt: str


class Wrote(NamedTuple):
    """The answer grew."""

    run: int
    text: str


class Ended(NamedTuple):
    """The answer is over: its turn, and what went wrong, if anything did."""

    run: int
    turn: Turn | None
    error: str | None


Event = Opened | Failed | Began | Wrote | Ended


class Talker:
    """Runs are numbered from 1; stopping names the last one meant, so that what is queued behind it is not hit."""

    def __init__(self, open_session: Callable[[], Session], pace: float = PACE) -> None:
        self.pace = pace  # 0: as fast as it comes
        self._temperature: float | None = None
        self._session: Session | None = None
        # Bounded: the model waits for the screen, so a new temperature shows at once and memory stays flat.
        self.events: queue.Queue[Event] = queue.Queue(WAITING_PIECES)
        self._open = open_session
        self._jobs: queue.SimpleQueue[Callable[[Session], None]] = queue.SimpleQueue()
        self._stopped = 0
        self._runs = 0

    def start(self) -> None:
        """Begin to open the session. The thread ends with the process."""
        threading.Thread(target=self._work, name="model", daemon=True).start()

    def say(self, mode: Mode, prompt: str) -> int:
        """Ask, or continue, after all that was asked before; the number of the run."""
        self._runs += 1
        run = self._runs
        self._jobs.put(lambda session: self._answer(session, run, mode, prompt))
        return run

    def stop(self, run: int) -> None:
        """Stop this run and those before it."""
        self._stopped = max(self._stopped, run)

    def set_temperature(self, temperature: float) -> None:
        """From the next character on; before the model is there, from its first."""
        self._temperature = temperature
        if self._session is not None:
            self._session.sampling = replace(self._session.sampling, temperature=temperature)

    def set_memory(self, remembers: bool) -> None:
        """From the next character on."""
        if self._session is not None:
            self._session.remembers = remembers

    def reset(self) -> None:
        """Stop everything and begin a new conversation."""
        self.stop(self._runs)
        self._jobs.put(lambda session: session.reset())

    def _work(self) -> None:
        try:
            session = self._open()
        except Exception as error:
            self.events.put(Failed(_explain(error)))
            return
        self._session = session
        if self._temperature is not None:
            self.set_temperature(self._temperature)
        self.events.put(Opened(session))
        while True:
            self._jobs.get()(session)

    def _answer(self, session: Session, run: int, mode: Mode, prompt: str) -> None:
        if run <= self._stopped:
            return
        self.events.put(Began(run, mode, prompt))
        error, due = None, time.monotonic()
        try:
            session.mode = mode
            for piece in session.say(prompt):
                if piece.text:
                    self.events.put(Wrote(run, piece.text))
                    due = self._wait(due, len(piece.text))
                if run <= self._stopped:
                    break
        except Exception as caught:
            error = _explain(caught)
        self.events.put(Ended(run, session.turns[-1] if session.turns else None, error))

    def _wait(self, due: float, characters: int) -> float:
        """Sleep until so many characters are due; when the next ones are."""
        if not self.pace:
            return due
        now = time.monotonic()
        time.sleep(max(0.0, due - now))
        return max(due, now) + characters / self.pace


def _explain(error: Exception) -> str:
    """One line for a person; of a mistake of ours, its kind too."""
    return str(error) if isinstance(error, CharRNNError | OSError) else f"{type(error).__name__}: {error}"
