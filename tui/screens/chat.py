"""The chat: conversation, temperature, prompt."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from charrnn.errors import HistoryError
from charrnn.plain import encodable, one_line, plain
from charrnn.session import Session
from charrnn.turns import Mode, Next
from tui import events
from tui.backend import Backend
from tui.keys import CHAT_KEYS
from tui.strings import STRINGS, Language, Words
from tui.talker import PACE, Talker
from tui.widgets.conversation import Conversation
from tui.widgets.prompt import PromptBox
from tui.widgets.slider import TemperatureSlider
from tui.widgets.status import Status

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig

REPAINTS = 25  # a second, at most


class ChatScreen(Screen[None]):
    """Takes keys at once; what is sent before the model is there waits for it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys, action, show=False, priority=True) for keys, action in CHAT_KEYS.items()
    ]

    class Looked(Message):
        """What may come next is known."""

        def __init__(self, place: Next) -> None:
            super().__init__()
            self.place = place

    def __init__(self, backend: Backend, language: Language, pace: float) -> None:
        super().__init__()
        self.language = language
        self.talker = Talker(backend, pace)
        self.session: Session | None = None
        self.failed: str | None = None  # why there is no model
        self._backend = backend
        self._mode: Mode = "chat"
        self._waiting: list[tuple[int, str]] = []  # runs asked for and not begun
        self._run = 0  # the run that is on screen
        self._draft: str | None = None  # what was in the box before the last prompt, which is being edited, came there

    @property
    def words(self) -> Words:
        """The words of the language in use."""
        return STRINGS[self.language]

    @property
    def writing(self) -> bool:
        """Whether an answer is being written."""
        return self.query_one(Conversation).writing

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Status()
        yield Conversation()
        yield Static(id="notice", markup=False)
        yield Static(id="waiting", markup=False)
        yield TemperatureSlider()
        yield PromptBox()
        yield Static(id="hints", markup=False)

    def on_mount(self) -> None:
        """Conversation and model are opened once the screen stands."""
        self.query_one(PromptBox).focus()
        self.speak(self.language)
        self._welcome()
        self.set_interval(1 / REPAINTS, self._take_events)
        self.call_after_refresh(self.talker.start)

    def speak(self, language: Language) -> None:
        """Change the language of the screen; what stands in the conversation stays."""
        self.language = language
        self.query_one(TemperatureSlider).language = language
        self.query_one("#hints", Static).update(self.words["hints"])
        self._show_status()

    def _welcome(self) -> None:
        self.query_one(Conversation).add("note", self.words["welcome"])

    def notice(self, text: str) -> None:
        """A line for the person, until something else is done."""
        line = self.query_one("#notice", Static)
        line.display = bool(text)
        line.update(plain(text))

    # What the model does ---------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Everything that came since the last time; the text of it in one piece."""
        texts: list[str] = []
        for _ in range(self.talker.events.qsize()):
            try:
                shown, event = self.talker.events.get_nowait()
            except queue.Empty:
                break
            if shown < self.talker.shown and isinstance(event, events.OfConversation):
                continue  # it belongs to a conversation that was left
            if isinstance(event, events.Wrote):
                if event.run == self._run:
                    texts.append(event.text)
                continue
            self._write(texts)
            self._take(event)
        self._write(texts)

    def _write(self, texts: list[str]) -> None:
        if texts:
            self.query_one(Conversation).extend("".join(texts))
            texts.clear()
            self._show_status()

    def _take(self, event: events.Event) -> None:
        conversation = self.query_one(Conversation)
        match event:
            case events.Opened(session):
                self.session, self.failed = session, None
                if not session.can_chat and self._mode == "chat":
                    self._mode = "continue"
                    self.notice(self.words["cannot_chat"])
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
                self._begun(run)
                self._offer(prompt)
                self.notice(why)
            case events.Chosen(turn):
                conversation.replace_last(turn, self.words)
            case events.TakenBack(turn, edited):
                conversation.drop_last()
                if not edited:
                    self._offer(turn.prompt)
            case events.Looked(place):
                self.post_message(self.Looked(place))
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

    # What the person does --------------------------------------------------------------------------------------------

    def on_prompt_box_sent(self, message: PromptBox.Sent) -> None:
        """A question, or a beginning; what is being written stops first."""
        text = message.text.strip() if self._mode == "chat" else message.text
        if self._mode == "chat" and not text:
            return
        self.notice(self.failed or "")
        if self.failed is not None:
            self.query_one(PromptBox).put(text)
            return
        self.talker.stop(self._run)
        run = self.talker.say(self._mode, text, instead=self._draft is not None)
        self._end_editing()
        self._waiting.append((run, text))
        self.query_one(Conversation).follow()
        self._show_status()

    def on_prompt_box_other(self, message: PromptBox.Other) -> None:
        """An arrow in the empty box: the answer before or after."""
        self.action_other(message.step)

    def on_temperature_slider_changed(self, message: TemperatureSlider.Changed) -> None:
        """From the next character on."""
        self.talker.set(temperature=message.value)

    def action_warmer(self, steps: int) -> None:
        """The temperature, from anywhere."""
        self.query_one(TemperatureSlider).action_step(steps)

    def action_stop(self) -> None:
        """Stop what is being written and what waits; the text so far stays."""
        self.notice("")
        self._end_editing()
        self.talker.stop()
        self._waiting.clear()
        self._show_status()

    def action_again(self) -> None:
        """Another answer to the last prompt."""
        if self.query_one(Conversation).last_prompt is not None:
            self.action_stop()
            self.talker.say_again()

    def action_other(self, step: int) -> None:
        """The answer before, or after, the one that stands."""
        if not self.writing:
            self.talker.choose(step)

    def action_edit(self) -> None:
        """The last prompt into the box; what is sent then takes its place."""
        prompt, box = self.query_one(Conversation).last_prompt, self.query_one(PromptBox)
        if prompt is not None and self._draft is None:
            self.action_stop()
            self._draft = box.text
            box.put(prompt)
            box.border_title = self.words["editing"]

    def _end_editing(self) -> None:
        """What was in the box before comes back."""
        if self._draft is not None:
            box = self.query_one(PromptBox)
            box.put(self._draft)
            box.border_title, self._draft = None, None

    def action_take_back(self) -> None:
        """The last turn away, its prompt into the box."""
        if self.query_one(Conversation).last_prompt is not None:
            self.action_stop()
            self.talker.take_back()

    def action_copy_answer(self) -> None:
        """The answer that stands, or is being written, to the clipboard, and to a file for terminals without one."""
        from charrnn.export import keep_copy

        turns = [] if self.session is None else self.session.turns[-1:]
        if not turns:
            return
        answer = encodable(turns[0].answer)
        self.app.copy_to_clipboard(answer)
        said, copied = self.words["copied"].format(f"{len(answer):,}"), self._backend.copied
        if copied is not None:
            try:
                keep_copy(copied, answer)
                said += self.words["copied_to"].format(copied)
            except HistoryError as error:
                said += f"; {error}"
        self.notice(said)

    def action_switch_mode(self) -> None:
        """Chat or continue, from the next prompt on."""
        self.notice("")
        if self.session is not None and not self.session.can_chat:
            self.notice(self.words["cannot_chat"])
            return
        self._mode = "continue" if self._mode == "chat" else "chat"
        self._show_status()

    def action_switch_memory(self) -> None:
        """With the memory of what was read, or by the network alone, from the next character on."""
        if self.session is None:
            return
        self.notice("" if self.session.has_memory else self.words["no_memory"])
        if self.session.has_memory:
            self.talker.set_memory(not self.session.remembers)
        self._show_status()

    def action_next(self) -> None:
        """What may come next, and what every setting makes of it."""
        self.talker.look()

    def follow(self, config: SamplingConfig) -> None:
        """Settings that were made elsewhere."""
        self.query_one(TemperatureSlider).value = config.temperature
        self.talker.set(top_k=config.top_k, top_p=config.top_p, min_p=config.min_p)

    def action_new_conversation(self) -> None:
        """An empty screen and a zero state."""
        self._leave_conversation()
        self.talker.reset()
        self._welcome()
        self._show_status()

    def open_conversation(self, number: int) -> None:
        """Go on with a conversation that was saved."""
        self._leave_conversation()
        self.talker.open(number)

    def switch_model(self, path: Path) -> None:
        """Go on with another model, once what is being written has ended."""
        self.action_stop()
        self.talker.switch(path)

    def _leave_conversation(self) -> None:
        self.action_stop()
        self.query_one(Conversation).clear()

    def action_switch_pace(self) -> None:
        """As fast as one reads, or as fast as the model writes."""
        self.talker.pace = 0 if self.talker.pace else PACE

    def action_page(self, pages: int) -> None:
        """Read back, or forth."""
        self.query_one(Conversation).page(pages)

    # What stands around the conversation -----------------------------------------------------------------------------

    def _show_status(self) -> None:
        words = self.words
        self.query_one(Status).show(words, self._mode, self.session, self.failed, writing=self.writing)
        waiting = self.query_one("#waiting", Static)
        waiting.display = bool(self._waiting)
        if self._waiting:
            waiting.update("\n".join(f"… {one_line(text)}" for _, text in self._waiting[-3:]))
        self.query_one(PromptBox).placeholder = words["ask_here" if self._mode == "chat" else "continue_here"]
