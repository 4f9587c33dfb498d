"""The thread beside the screen: opens model and conversation, and streams answers into a bounded queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from charrnn.chat import Mode, Session, Turn, alternatives
from charrnn.errors import CharRNNError, HistoryError
from tui.backend import Backend

if TYPE_CHECKING:
    from charrnn.generation import Piece
    from charrnn.history import Conversations
    from charrnn.recording import Recorder

WAITING_PIECES = 256
PACE = 80.0  # characters a second on screen: a small model writes thousands, which nobody can watch
LAST_WORDS = 2.0  # seconds for saving, at the end


class Opened(NamedTuple):
    """The model is there."""

    session: Session


class Failed(NamedTuple):
    """A model could not be opened, and why."""

    why: str


class Shown(NamedTuple):
    """A conversation, to be shown from its beginning."""

    title: str
    turns: list[Turn]


class Began(NamedTuple):
    """An answer begins; `again` in the place of the last one."""

    run: int
    mode: Mode
    prompt: str
    again: bool


class Wrote(NamedTuple):
    """The answer grew."""

    run: int
    text: str


class Ended(NamedTuple):
    """The answer is over: its turn, and what went wrong, if anything did."""

    run: int
    turn: Turn | None
    error: str | None


class Chosen(NamedTuple):
    """Another answer stands in the place of the last one."""

    turn: Turn


class TakenBack(NamedTuple):
    """The last turn is gone; `edited`: another is on its way."""

    turn: Turn
    edited: bool


class Damaged(NamedTuple):
    """The database was damaged, and where it was put."""

    where: Path


class Trouble(NamedTuple):
    """Something for the person to know."""

    text: str


Event = Opened | Failed | Shown | Began | Wrote | Ended | Chosen | TakenBack | Damaged | Trouble


class Talker:
    """Runs are numbered from 1; stopping names the last one meant, so that what is queued behind it is not hit."""

    def __init__(self, backend: Backend, pace: float = PACE) -> None:
        self.pace = pace  # 0: as fast as it comes
        # Bounded: the model waits for the screen, so a new temperature shows at once and memory stays flat.
        self.events: queue.Queue[Event] = queue.Queue(WAITING_PIECES)
        self._backend = backend
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._conversations: Conversations | None = None
        self._recorder: Recorder | None = None
        self._temperature: float | None = None
        self._trouble: str | None = None
        self._stopped = 0
        self._runs = 0

    @property
    def conversation(self) -> int | None:
        """The number of the conversation, if it is saved."""
        return None if self._recorder is None else self._recorder.conversation

    def start(self) -> None:
        """Begin to open conversation and model."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until what was written is saved."""
        self.stop(self._runs)
        self._jobs.put(None)
        end = time.monotonic() + LAST_WORDS
        while self._thread.is_alive() and time.monotonic() < end:
            self._drain()  # it may be waiting for room
            self._thread.join(0.01)

    def _drain(self) -> None:
        while not self.events.empty():
            self.events.get_nowait()

    # From the screen -------------------------------------------------------------------------------------------------

    def say(self, mode: Mode, prompt: str, *, instead: bool = False) -> int:
        """Ask, or continue, after all that was asked before, or instead of the last turn; the number of the run."""
        run = self._new_run()
        self._jobs.put(lambda: self._say(run, mode, prompt, instead=instead))
        return run

    def say_again(self) -> int:
        """Answer the last prompt once more; the number of the run."""
        run = self._new_run()
        self._jobs.put(lambda: self._say_again(run))
        return run

    def choose(self, step: int) -> None:
        """The answer to the last prompt that was given so many after, or before, the one that stands."""
        self._jobs.put(lambda: self._choose(step))

    def take_back(self) -> None:
        """Forget the last turn."""
        self._jobs.put(lambda: self._take_back(edited=False))

    def reset(self) -> None:
        """Stop everything and begin a new conversation."""
        self.stop(self._runs)
        self._jobs.put(lambda: self._recorder.reset() if self._recorder else None)

    def open(self, conversation: int) -> None:
        """Stop everything and go on with a conversation that was saved."""
        self.stop(self._runs)
        self._jobs.put(lambda: self._show(conversation))
        self._jobs.put(lambda: self._go_on(conversation))

    def switch(self, model: Path) -> None:
        """Go on with another model."""
        self._jobs.put(lambda: self._open(model))

    def stop(self, run: int) -> None:
        """Stop this run and those before it."""
        self._stopped = max(self._stopped, run)

    def set_temperature(self, temperature: float) -> None:
        """From the next character on; before the model is there, from its first."""
        self._temperature = temperature
        if self._recorder is not None:
            session = self._recorder.session
            session.sampling = replace(session.sampling, temperature=temperature)

    def set_memory(self, remembers: bool) -> None:
        """From the next character on."""
        if self._recorder is not None:
            self._recorder.session.remembers = remembers

    def _new_run(self) -> int:
        self._runs += 1
        return self._runs

    # In the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        latest = self._open_conversations()
        if latest is not None:
            self._show(latest)
        self._open(None)
        if latest is not None:
            self._go_on(latest)
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                self.events.put(Trouble(_explain(error)))
        if self._conversations is not None:
            self._conversations.close()

    def _open_conversations(self) -> int | None:
        """The database, and the conversation to go on with: of two apps only the first goes on with the last one."""
        if self._backend.conversations is None:
            return None
        from charrnn.history import Conversations

        try:
            self._conversations = Conversations(self._backend.conversations)
            if self._conversations.set_aside is not None:
                self.events.put(Damaged(self._conversations.set_aside))
            return self._conversations.latest() if self._conversations.claim() else None
        except HistoryError as error:
            self.events.put(Trouble(str(error)))
            return None

    def _open(self, model: Path | None) -> None:
        try:
            session = self._backend.open_session(model)
        except Exception as error:
            self.events.put(Failed(_explain(error)))
            return
        from charrnn.recording import Recorder

        before, self._recorder = self._recorder, Recorder(session, self._conversations)
        if before is not None:
            session.sampling = before.session.sampling
            session.remembers = before.session.remembers and session.has_memory
            self._recorder.carry_on(before)
        if self._temperature is not None:
            self.set_temperature(self._temperature)
        self.events.put(Opened(session))

    def _show(self, conversation: int) -> None:
        if self._conversations is not None:
            turns = [turn.standing for turn in self._conversations.turns(conversation)]
            self.events.put(Shown(self._conversations.title(conversation), turns))

    def _go_on(self, conversation: int) -> None:
        if self._recorder is not None:
            self._recorder.open(conversation)

    def _say(self, run: int, mode: Mode, prompt: str, *, instead: bool) -> None:
        if self._recorder is None or run <= self._stopped:
            return
        if instead:
            self._take_back(edited=True)
        session = self._recorder.session
        session.mode = mode if session.can_chat else "continue"
        self._answer(Began(run, session.mode, prompt, again=False), self._recorder, self._recorder.say(prompt))

    def _say_again(self, run: int) -> None:
        if self._recorder is None or run <= self._stopped or not self._recorder.session.turns:
            return
        last = self._recorder.session.turns[-1]
        self._answer(Began(run, last.mode, last.prompt, again=True), self._recorder, self._recorder.say_again())

    def _answer(self, began: Began, recorder: Recorder, pieces: Iterator[Piece]) -> None:
        self.events.put(began)
        error, due = None, time.monotonic()
        try:
            for piece in pieces:
                if piece.text:
                    self.events.put(Wrote(began.run, piece.text))
                    due = self._wait(due, len(piece.text))
                if began.run <= self._stopped:
                    break
        except Exception as caught:
            error = _explain(caught)
        del pieces  # closed, and so saved, before the end is told
        turns = recorder.session.turns
        self.events.put(Ended(began.run, turns[-1] if turns else None, error))
        if recorder.trouble != self._trouble:
            self._trouble = recorder.trouble
            if self._trouble is not None:
                self.events.put(Trouble(self._trouble))

    def _choose(self, step: int) -> None:
        if self._recorder is None or not self._recorder.session.turns:
            return
        last = self._recorder.session.turns[-1]
        all_of_them = alternatives(last)
        place = next(n for n, turn in enumerate(all_of_them) if turn is last) + step
        if 0 <= place < len(all_of_them):
            self._recorder.choose(all_of_them[place])
            self.events.put(Chosen(all_of_them[place]))

    def _take_back(self, *, edited: bool) -> None:
        if self._recorder is not None and self._recorder.session.turns:
            self.events.put(TakenBack(self._recorder.take_back(), edited))

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
