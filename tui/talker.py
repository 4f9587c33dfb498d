"""What the screen asks of the thread beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.errors import CharRNNError
from tui.events import Event, Looked, LookedAt
from tui.worker import Worker, set_mode

if TYPE_CHECKING:
    from charrnn.session import Session
    from charrnn.turns import Mode, Turn

LAST_WORDS = 2.0  # seconds for saving, at the end


class Talker(Worker):
    """Runs are numbered from 1; stopping names the last one meant, so that what is queued behind it is not hit.

    Conversations on screen are numbered, too: an event comes with the number of the one it belongs to.
    """

    def start(self) -> None:
        """Begin to open conversation and model."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until what was written is saved."""
        self.stop()
        self._closing = True
        self._jobs.put(None)
        end = time.monotonic() + LAST_WORDS
        while self._thread.is_alive() and time.monotonic() < end:
            while not self.events.empty():  # it may be waiting for room
                self.events.get_nowait()
            self._thread.join(0.01)

    def say(self, mode: Mode, prompt: str, *, instead: bool = False) -> int:
        """Ask, or continue, after all that was asked before, or instead of the last turn; the number of the run."""
        return self._run(lambda run: self._say(run, mode, prompt, instead=instead))

    def say_again(self) -> int:
        """Answer the last prompt once more; the number of the run."""
        return self._run(self._say_again)

    def branch(self, turn: Turn, number: int, token: int) -> int:
        """Answer with another token in one place: see `Recorder.branch`; the number of the run."""
        return self._run(lambda run: self._branch(run, turn, number, token))

    def sweep(
        self,
        mode: Mode,
        prompt: str | None,
        temperatures: Sequence[float],
        length: int,
        seed: int | None = None,
        first: int | None = None,
    ) -> int:
        """Answer a prompt, of None the last one, at several temperatures side by side; the number of the run. With the
        number of the `first` run of the same prompt, where they come once more: it is the last one as soon as any of
        those has made a turn of it."""
        return self._run(
            lambda run: self._sweep(run, mode, prompt, temperatures, length, seed, run if first is None else first)
        )

    def choose(self, step: int) -> None:
        """The answer to the last prompt that was given so many after, or before, the one that stands."""
        self._put_job(lambda: self._choose(lambda place: place + step))

    def pick(self, place: int) -> None:
        """The answer to the last prompt that was given as such a one, from 0."""
        self._put_job(lambda: self._choose(lambda _: place))

    def take_back(self) -> None:
        """Forget the last turn."""
        self._put_job(lambda: self._take_back(edited=False))

    def reset(self) -> None:
        """Stop everything and begin a new conversation."""
        self.stop()
        self.shown += 1
        self._put_job(self._reset)

    def open(self, conversation: int) -> None:
        """Stop everything and go on with a conversation that was saved."""
        self.stop()
        self.shown += 1
        self._put_job(lambda: self._show(conversation))
        self._put_job(self._go_on)

    def switch(self, model: Path) -> None:
        """Go on with another model."""
        self._put_job(lambda: self._open(model))

    def stop(self, run: int | None = None) -> None:
        """Stop this run and those before it; with none, all there are."""
        self._stopped = max(self._stopped, self._runs if run is None else run)

    def set(self, **settings: Any) -> None:
        """Sampling settings by name, from the next character on; before the model is there, from its first."""
        self._settings |= settings
        self._apply()

    def look(self, mode: Mode) -> None:
        """What may come next, in the middle of an answer, too; where nothing is written, in a text of this mode."""

        def look(session: Session) -> Event:
            if not self._writing:
                set_mode(session, mode)
            return Looked(session.next())

        self._take_a(look)

    def answers(self) -> None:
        """Those that can be looked at, once nothing is written."""
        self._put_job(self._answers)

    def look_at(self, turn: Turn, number: int) -> None:
        """What stood at a place of an answer, and what else could have."""

        def look(session: Session) -> Event | None:
            try:
                seen = session.look_at(turn, number, lambda: bool(self._glances) or self._closing)
            except CharRNNError as error:
                return LookedAt(turn, None, str(error))
            return None if seen is None else LookedAt(turn, seen, "")

        self._take_a(look)

    def _take_a(self, glance: Callable[[Session], Event | None]) -> None:
        """Between two characters, or once the thread is free; of several only the last."""
        self._glances.append(glance)
        if not self._glance_waits:
            self._glance_waits = True
            self._put_job(self._look)

    def set_memory(self, remembers: bool) -> None:
        """From the next character on."""
        self._remembers = remembers
        if self._recorder is not None:
            self._recorder.session.remembers = remembers

    def _run(self, work: Callable[[int], None]) -> int:
        self._runs += 1
        run = self._runs
        self._put_job(lambda: work(run))
        return run
