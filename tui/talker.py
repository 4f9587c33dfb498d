"""The thread beside the screen: opens model and conversation, and streams answers into a bounded queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.errors import CharRNNError
from charrnn.turns import Mode, Turn, alternatives
from tui.backend import Backend
from tui.events import (
    Began,
    Chosen,
    Damaged,
    Ended,
    Event,
    Failed,
    Looked,
    Opened,
    Refused,
    Shown,
    TakenBack,
    Trouble,
    Wrote,
)

if TYPE_CHECKING:
    from charrnn.generation import Piece
    from charrnn.history import Conversations, SavedTurn
    from charrnn.recording import Recorder

WAITING_PIECES = 256
PACE = 80.0  # characters a second on screen: a small model writes thousands, which nobody can watch
LAST_WORDS = 2.0  # seconds for saving, at the end


class Talker:
    """Runs are numbered from 1; stopping names the last one meant, so that what is queued behind it is not hit.

    Conversations on screen are numbered, too: an event comes with the number of the one it belongs to.
    """

    def __init__(self, backend: Backend, pace: float = PACE) -> None:
        self.pace = pace  # 0: as fast as it comes
        # Bounded: the model waits for the screen, so a new temperature shows at once and memory stays flat.
        self.events: queue.Queue[tuple[int, Event]] = queue.Queue(WAITING_PIECES)
        self.shown = 0  # conversations that have been on screen
        self._backend = backend
        self._jobs: queue.SimpleQueue[tuple[int, Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._job = 0  # the conversation that the present job belongs to
        self._conversations: Conversations | None = None
        self._recorder: Recorder | None = None
        self._waiting: tuple[int, list[SavedTurn]] | None = None  # a conversation that no model has read yet
        self._failure = ""
        self._settings: dict[str, Any] = {}
        self._looking = False
        self._remembers: bool | None = None
        self._trouble: str | None = None
        self._stopped = 0
        self._runs = 0

    @property
    def conversation(self) -> int | None:
        """The number of the conversation in the database, if it is saved."""
        if self._waiting is not None:
            return self._waiting[0]
        return None if self._recorder is None else self._recorder.conversation

    def start(self) -> None:
        """Begin to open conversation and model."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until what was written is saved."""
        self.stop()
        self._jobs.put(None)
        end = time.monotonic() + LAST_WORDS
        while self._thread.is_alive() and time.monotonic() < end:
            while not self.events.empty():  # it may be waiting for room
                self.events.get_nowait()
            self._thread.join(0.01)

    # From the screen -------------------------------------------------------------------------------------------------

    def say(self, mode: Mode, prompt: str, *, instead: bool = False) -> int:
        """Ask, or continue, after all that was asked before, or instead of the last turn; the number of the run."""
        return self._run(lambda run: self._say(run, mode, prompt, instead=instead))

    def say_again(self) -> int:
        """Answer the last prompt once more; the number of the run."""
        return self._run(self._say_again)

    def choose(self, step: int) -> None:
        """The answer to the last prompt that was given so many after, or before, the one that stands."""
        self._put_job(lambda: self._choose(step))

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
        if self._recorder is not None:
            session = self._recorder.session
            session.sampling = replace(session.sampling, **self._settings)

    def look(self) -> None:
        """What may come next, now, in the middle of an answer, too."""
        self._looking = True
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

    def _put_job(self, job: Callable[[], None]) -> None:
        self._jobs.put((self.shown, job))

    # In the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        for job in (self._open_conversations, lambda: self._open(None), self._go_on):
            self._do(job)
        while (given := self._jobs.get()) is not None:
            self._job, job = given
            self._do(job)
        if self._conversations is not None:
            self._conversations.close()

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._tell(Trouble(_explain(error)))
        trouble = None if self._recorder is None else self._recorder.trouble
        if trouble is not None and trouble != self._trouble:
            self._tell(Trouble(trouble))
        self._trouble = trouble

    def _tell(self, event: Event) -> None:
        self.events.put((self._job, event))

    def _open_conversations(self) -> None:
        """The database, and the conversation to go on with: of two apps only the first goes on with the last one."""
        if self._backend.conversations is None:
            return
        from charrnn.history import Conversations

        self._conversations = Conversations(self._backend.conversations)
        if self._conversations.set_aside is not None:
            self._tell(Damaged(self._conversations.set_aside))
        latest = self._conversations.latest() if self._conversations.claim() else None
        if latest is not None:
            self._show(latest)

    def _open(self, model: Path | None) -> None:
        try:
            session = self._backend.open_session(model)
            from charrnn.recording import Recorder

            recorder = Recorder(session, self._conversations)
            if self._recorder is not None:
                session.sampling = self._recorder.session.sampling
                recorder.carry_on(self._recorder)
        except Exception as error:
            self._failure = _explain(error)
            self._tell(Failed(self._failure))
            return
        self._recorder = recorder
        self.set()
        if self._remembers is not None:
            session.remembers = self._remembers and session.has_memory
        self._tell(Opened(session))
        self._go_on()

    def _show(self, conversation: int) -> None:
        if self._conversations is not None:
            saved = self._conversations.turns(conversation)
            self._waiting = conversation, saved
            self._tell(Shown([turn.standing for turn in saved]))

    def _go_on(self) -> None:
        """The model reads the conversation that is on screen."""
        if self._recorder is not None and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._recorder.open(*waiting)

    def _reset(self) -> None:
        self._waiting = None
        if self._recorder is not None:
            self._recorder.reset()

    def _say(self, run: int, mode: Mode, prompt: str, *, instead: bool) -> None:
        if run <= self._stopped:
            return
        try:
            if self._recorder is None:
                raise CharRNNError(self._failure)
            if instead:
                self._take_back(edited=True)
        except CharRNNError as error:
            self._tell(Refused(run, prompt, str(error)))
            return
        session = self._recorder.session
        session.mode = mode if session.can_chat else "continue"
        self._answer(Began(run, session.mode, prompt, again=False), self._recorder.say(prompt))

    def _say_again(self, run: int) -> None:
        last = self._last()
        if last is not None and self._recorder is not None and run > self._stopped:
            self._answer(Began(run, last.mode, last.prompt, again=True), self._recorder.say_again())

    def _last(self) -> Turn | None:
        turns = [] if self._recorder is None else self._recorder.session.turns
        return turns[-1] if turns else None

    def _answer(self, began: Began, pieces: Generator[Piece, None, None]) -> None:
        before = self._last()
        self._tell(began)
        error, due = None, time.monotonic()
        try:
            for piece in pieces:
                if piece.text:
                    self._tell(Wrote(began.run, piece.text))
                    due = self._wait(due, len(piece.text))
                self._look()
                # A continuation has no end of its own, so what is asked for after it ends it.
                if began.run <= self._stopped or (began.mode == "continue" and began.run < self._runs):
                    break
            pieces.close()  # and so saved, before the end is told
        except Exception as caught:
            error = _explain(caught)
        turn = self._last()
        if turn is before and began.again and turn is not None:  # the old answer stands
            self._tell(Chosen(turn))
        self._tell(Ended(began.run, None if turn is before and not began.again else turn, error))

    def _look(self) -> None:
        if self._looking and self._recorder is not None:
            self._looking = False
            self._tell(Looked(self._recorder.session.next()))

    def _choose(self, step: int) -> None:
        last = self._last()
        if last is None or self._recorder is None:
            return
        answers = alternatives(last)
        place = answers.index(last) + step
        if 0 <= place < len(answers):
            self._recorder.choose(answers[place])
            self._tell(Chosen(answers[place]))

    def _take_back(self, *, edited: bool) -> None:
        if self._recorder is not None and self._last() is not None:
            self._tell(TakenBack(self._recorder.take_back(), edited))

    def _wait(self, due: float, characters: int) -> float:
        """Sleep until so many characters are due; when the next ones are."""
        pace, now = self.pace, time.monotonic()
        if not pace:
            return due
        time.sleep(max(0.0, due - now))
        return max(due, now) + characters / pace


def _explain(error: Exception) -> str:
    """One line for a person; of a mistake of ours, its kind too."""
    return str(error) if isinstance(error, CharRNNError | OSError) else f"{type(error).__name__}: {error}"
