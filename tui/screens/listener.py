"""The chat screen as the model sees it: what it tells becomes what stands there."""

from __future__ import annotations

import queue
from functools import cached_property
from typing import TYPE_CHECKING

from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from charrnn.plain import one_line, plain
from tui.backend import Backend
from tui.layout import Ink, shade
from tui.strings import STRINGS, Language, Words
from tui.widgets.conversation import Conversation, mark, runs_of
from tui.widgets.prompt import PromptBox
from tui.widgets.status import Status

if TYPE_CHECKING:
    from charrnn.session import Session
    from charrnn.turns import Mode
    from tui import events
    from tui.talker import Talker


class Listener(Screen[None]):
    """Takes what the thread tells, as often as it is asked to."""

    class Told(Message):
        """Something that a page over this one asked for."""

        def __init__(self, event: events.OfPage) -> None:
            super().__init__()
            self.event = event

    def __init__(self, backend: Backend, language: Language, pace: float) -> None:
        super().__init__()
        self.language = language
        self._pace = pace
        self.session: Session | None = None
        self.failed: str | None = None  # why there is no model
        self._backend = backend
        self._mode: Mode = "chat"
        self._waiting: list[tuple[int, str]] = []  # runs asked for and not begun
        self._run = 0  # the run that is on screen
        self._looks_on = False  # what may come next was asked for while something was written
        self._draft: str | None = None  # what was in the box before the last prompt, which is being edited, came there

    @cached_property
    def talker(self) -> Talker:
        """The thread; once the screen stands, for the screen waits for nothing."""
        from tui.talker import Talker

        return Talker(self._backend, self._pace)

    @property
    def words(self) -> Words:
        """The words of the language in use."""
        return STRINGS[self.language]

    @property
    def writing(self) -> bool:
        """Whether an answer is being written."""
        return self.query_one(Conversation).writing

    def _welcome(self) -> None:
        writer = self.session is not None and not self.session.can_chat
        self.query_one(Conversation).add("note", self.words["welcome_writer" if writer else "welcome"])

    def notice(self, text: str) -> None:
        """A line for the person, until something else is done."""
        line = self.query_one("#notice", Static)
        line.display = bool(text)
        line.update(plain(text))

    def _take_events(self) -> None:
        """Everything that came since the last time; the text of it in one piece."""
        from tui import events

        runs: list[tuple[str, Ink]] = []
        for _ in range(self.talker.events.qsize()):
            try:
                shown, event = self.talker.events.get_nowait()
            except queue.Empty:
                break
            if shown < self.talker.shown and isinstance(event, events.OfConversation):
                continue  # it belongs to a conversation that was left
            if isinstance(event, events.Wrote):
                if event.run == self._run:
                    runs.append((event.text, shade(event.bits)))
                continue
            self._write(runs)
            self._take(event)
        self._write(runs)

    def _write(self, runs: list[tuple[str, Ink]]) -> None:
        if runs:
            self.query_one(Conversation).extend(runs)
            runs.clear()
            self._show_status()

    def _take(self, event: events.Event) -> None:
        from tui import events

        conversation = self.query_one(Conversation)
        match event:
            case events.Opened(session):
                self.session, self.failed = session, None
                if not session.can_chat and self._mode == "chat":
                    self._mode = "continue"
                    self.notice(self.words["cannot_chat"])
                if conversation.text.strip() in (self.words["welcome"], self.words["welcome_writer"]):
                    conversation.show((), self.words)
                    self._welcome()
            case events.Failed(why):
                self.failed = why if self.session is None else None
                self.notice(why)
            case events.Shown(turns):
                conversation.show(turns, self.words)
                if not turns:
                    self._welcome()
                if turns and (self.session is None or self.session.can_chat):
                    self._mode = turns[-1].mode
            case events.Began():
                self._begin(event)
            case events.Ended(run, turn, error) if run == self._run:
                if error is None:
                    conversation.end(turn, self.words)
                elif turn is None:
                    conversation.drop_last()
                else:
                    conversation.end(None, self.words)
                if error is not None:
                    conversation.add("error", error)
            case events.Refused(run, prompt, why):
                if any(number == run for number, _ in self._waiting):  # else it was given up
                    self._offer(prompt)
                    self.notice(why)
                self._begun(run)
            case events.Chosen(turn):
                conversation.replace_last(turn, self.words)
            case events.Forked():
                self.notice(self.words["forked"])
            case events.TakenBack(turn, edited):
                conversation.drop_last()
                if not edited:
                    self._offer(turn.prompt)
            case events.Given(run, turn) if run == self._run:
                conversation.extend([*runs_of(turn, self.words)])
            case events.Changed(run, change, before) if run == self._run:
                conversation.extend([(mark(change, before, self.words), "mark")])
            case events.Looked() | events.Answers() | events.LookedAt() | events.SweepBegan() | events.Swept():
                self.post_message(self.Told(event))
            case events.SweepEnded(_, turn, _, again):
                if turn is not None and again:
                    conversation.replace_last(turn, self.words)
                elif turn is not None:
                    conversation.append(turn, self.words)
                self.post_message(self.Told(event))
            case events.Damaged(where):
                self.notice(self.words["damaged"].format(where))
            case events.Trouble(text):
                self.notice(text)
            case _:
                pass
        self._show_status()

    def _begin(self, event: events.Began) -> None:
        self._begun(event.run)
        conversation = self.query_one(Conversation)
        if event.again:
            conversation.drop_last()
        conversation.begin(event.mode, event.prompt)
        self._run = event.run

    def _begun(self, run: int) -> None:
        self._waiting = [(n, text) for n, text in self._waiting if n > run]

    def _offer(self, prompt: str) -> None:
        """A prompt back into the box, unless there is something else in it."""
        box = self.query_one(PromptBox)
        if not box.text:
            box.put(prompt)

    def _show_status(self) -> None:
        words = self.words
        self.query_one(Status).show(words, self._mode, self.session, self.failed, writing=self.writing)
        waiting = self.query_one("#waiting", Static)
        waiting.display = bool(self._waiting)
        if self._waiting:
            waiting.update("\n".join(f"… {one_line(text)}" for _, text in self._waiting[-3:]))
        self.query_one(PromptBox).placeholder = words["ask_here" if self._mode == "chat" else "continue_here"]
