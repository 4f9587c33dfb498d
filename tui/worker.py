"""What the thread beside the screen does: open model and conversation, and stream answers into a bounded queue."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.errors import CharRNNError, HistoryError
from tui.backend import Backend
from tui.events import (
    Answers,
    Began,
    Changed,
    Chosen,
    Damaged,
    Ended,
    Event,
    Failed,
    Forked,
    Given,
    Opened,
    Refused,
    Shown,
    SweepBegan,
    SweepEnded,
    Swept,
    TakenBack,
    Trouble,
    Wrote,
)

if TYPE_CHECKING:
    from charrnn.generation import Piece
    from charrnn.history import Conversations, SavedTurn
    from charrnn.recording import Recorder
    from charrnn.session import Session
    from charrnn.turns import Mode, Turn

WAITING_PIECES = 256


class Worker:
    """Does one job after another, each for the conversation that was on screen when it was asked for."""

    def __init__(self, backend: Backend, pace: float) -> None:
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
        # Of what is to be looked at between two characters only the last; a deque, as two threads use it.
        self._glances: deque[Callable[[Session], Event | None]] = deque(maxlen=1)
        self._glance_waits = False
        self._closing = False
        self._remembers: bool | None = None
        self._trouble: str | None = None
        self._stopped = 0
        self._runs = 0
        self._swept = 0  # the last run that made a turn of answers side by side
        self._writing = False

    @property
    def conversation(self) -> int | None:
        """The number of the conversation in the database, if it is saved."""
        if self._waiting is not None:
            return self._waiting[0]
        return None if self._recorder is None else self._recorder.conversation

    def _apply(self) -> None:
        """The settings that were asked for, to whatever session there is."""
        if self._recorder is not None:
            session = self._recorder.session
            session.sampling = replace(session.sampling, **self._settings)

    def _put_job(self, job: Callable[[], None]) -> None:
        self._jobs.put((self.shown, job))

    def _work(self) -> None:
        for job in (self._open_conversations, lambda: self._open(None)):
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
        self._apply()
        if self._remembers is not None:
            session.remembers = self._remembers and session.has_memory
        self._tell(Opened(session))
        self._go_on()

    def _show(self, conversation: int) -> None:
        """In the place of the one that was on screen; one that cannot be read is as an empty one."""
        self._reset()
        if self._conversations is None:
            return
        try:
            saved = self._conversations.turns(conversation)
        except HistoryError:
            self._tell(Shown([]))
            raise
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
            self._tell(Refused(run, prompt, ""))
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
        set_mode(session, mode)
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
        self._writing = True
        error, due, bits, drawn = None, time.monotonic(), 0.0, False
        try:
            for piece in pieces:
                turn = self._last()
                assert turn is not None
                if not drawn:
                    self._tell_given(began.run, turn)
                if turn.changes[-1].at == len(turn.tokens) - 1 > 0:
                    self._tell(Changed(began.run, turn.changes[-1], turn.changes[-2]))
                bits, drawn = bits + piece.surprise, True
                if piece.text:
                    self._tell(Wrote(began.run, piece.text, bits))
                    due, bits = self._wait(due, len(piece.text)), 0.0
                self._glance_at_once()
                # A continuation has no end of its own, so what is asked for after it ends it.
                if began.run <= self._stopped or (began.mode == "continue" and began.run < self._runs):
                    break
            pieces.close()  # and so saved, before the end is told
            if not drawn and (turn := self._last()) is not None:
                self._tell_given(began.run, turn)
        except Exception as caught:
            error = _explain(caught)
        self._writing = False
        turn = self._last()
        if turn is before and began.again and turn is not None:  # the old answer stands
            self._tell(Chosen(turn))
        self._tell(Ended(began.run, None if turn is before and not began.again else turn, error))

    def _branch(self, run: int, turn: Turn, number: int, token: int) -> None:
        if self._recorder is None or run <= self._stopped:
            return
        last = self._last()
        pieces = self._recorder.branch(turn, number, token)
        if turn is not last:
            self._tell(Shown(list(self._recorder.session.turns)))
            self._tell(Forked())
        self._answer(Began(run, turn.mode, turn.prompt, again=True), pieces)

    def _sweep(
        self,
        run: int,
        mode: Mode,
        prompt: str | None,
        temperatures: Sequence[float],
        length: int,
        seed: int | None,
        first: int,
    ) -> None:
        if self._recorder is None or run <= self._stopped:
            self._tell(SweepEnded(run, None, self._failure if self._recorder is None else None, again=False))
            return
        set_mode(self._recorder.session, mode)
        if first <= self._swept:  # what was typed is a turn by now
            prompt = None
        error, due = None, time.monotonic()
        before = self._last()
        try:
            pieces = self._recorder.sweep(prompt, temperatures, length, seed)
            for n, (number, piece) in enumerate(pieces):
                turn = self._last()
                if n == 0 and turn is not None:
                    self._tell(SweepBegan(run, turn.changes[0].sampling))
                self._tell(Swept(run, number, piece.text, piece.surprise, piece.entropy))
                due = self._wait(due, len(piece.text) / len(temperatures))
                if run <= self._stopped:
                    break
            pieces.close()
        except Exception as caught:
            error = _explain(caught)
        turn = self._last()
        if turn is not before:
            self._swept = run
        self._tell(SweepEnded(run, None if turn is before else turn, error, again=prompt is None))

    def _answers(self) -> None:
        turns = [] if self._recorder is None else self._recorder.session.turns
        self._tell(Answers([turn for turn in turns if turn.tokens]))

    def _look(self) -> None:
        self._glance_waits = False
        self._glance_at_once()

    def _glance_at_once(self) -> None:
        if self._recorder is not None and self._glances:
            with contextlib.suppress(IndexError):
                event = self._glances.pop()(self._recorder.session)
                if event is not None:
                    self._tell(event)

    def _tell_given(self, run: int, turn: Turn) -> None:
        if turn.given:
            self._tell(Given(run, turn.beginning(turn.given)))

    def _choose(self, which: Callable[[int], int]) -> None:
        last = self._last()
        if last is None or self._recorder is None:
            return
        answers = last.alternatives
        place = which(answers.index(last))
        if 0 <= place < len(answers) and answers[place] is not last:
            self._recorder.choose(answers[place])
            self._tell(Chosen(answers[place]))

    def _take_back(self, *, edited: bool) -> None:
        if self._recorder is not None and self._last() is not None:
            self._tell(TakenBack(self._recorder.take_back(), edited))

    def _wait(self, due: float, characters: float) -> float:
        """Sleep until so many characters are due; when the next ones are."""
        pace, now = self.pace, time.monotonic()
        if not pace:
            return due
        time.sleep(max(0.0, due - now))
        return max(due, now) + characters / pace


def set_mode(session: Session, mode: Mode) -> None:
    """Chat only with what can."""
    session.mode = mode if session.can_chat else "continue"


def _explain(error: Exception) -> str:
    """One line for a person; of a mistake of ours, its kind too."""
    return str(error) if isinstance(error, CharRNNError | OSError) else f"{type(error).__name__}: {error}"
