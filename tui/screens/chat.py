"""The chat: conversation, temperature, prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from charrnn.errors import HistoryError
from charrnn.plain import encodable
from tui.backend import PACE
from tui.keys import CHAT_KEYS
from tui.screens.listener import Listener
from tui.strings import Language
from tui.widgets.conversation import Conversation
from tui.widgets.knobs import Knobs
from tui.widgets.legend import Legend
from tui.widgets.prompt import PromptBox
from tui.widgets.slider import TemperatureSlider
from tui.widgets.status import Status

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig
    from charrnn.turns import Mode, Turn

REPAINTS = 25  # a second, at most


class ChatScreen(Listener):
    """Takes keys at once; what is sent before the model is there waits for it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys, action, show=False, priority=True) for keys, action in CHAT_KEYS.items()
    ]

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Status()
        yield Conversation()
        yield Static(id="notice", markup=False)
        yield Static(id="waiting", markup=False)
        yield Legend()
        yield TemperatureSlider()
        yield Knobs()
        yield PromptBox()
        yield Static(id="hints", markup=False)

    def on_mount(self) -> None:
        """Conversation and model are opened once the screen stands."""
        self.query_one(PromptBox).focus()
        self.speak(self.language)
        self._welcome()
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self.talker.start()
        self.set_interval(1 / REPAINTS, self._take_events)

    def speak(self, language: Language) -> None:
        """Change the language of the screen; what stands in the conversation stays."""
        self.language = language
        for widget in (self.query_one(TemperatureSlider), self.query_one(Knobs), self.query_one(Legend)):
            widget.language = language
        self.query_one("#hints", Static).update(self.words["hints"])
        self._show_status()

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

    def on_knobs_changed(self, message: Knobs.Changed) -> None:
        """From the next character on; the seed from the next answer on."""
        self.talker.set(**message.settings)

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
        if copied is not None and not self.app.is_web:  # a visitor has no way to files
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

    def action_shade(self) -> None:
        """See how surprising each character was, or not."""
        legend = self.query_one(Legend)
        legend.display = not legend.display
        self.query_one(Conversation).shade(legend.display)

    def look_on(self) -> None:
        """What may come next by now, while an answer is written, and once at its end."""
        if self.writing or self._looks_on:
            self.talker.look(self._mode)
        self._looks_on = self.writing

    def follow(self, config: SamplingConfig) -> None:
        """Settings that were made elsewhere."""
        self.query_one(TemperatureSlider).value = config.temperature
        self.query_one(Knobs).take(config)

    def branch(self, turn: Turn, number: int, token: int) -> None:
        """Answer with another token in one place."""
        self.stop_writing()
        self.talker.branch(turn, number, token)
        self.query_one(Conversation).follow()

    @property
    def mode(self) -> Mode:
        """Of the next prompt."""
        return self._mode

    @property
    def last_prompt(self) -> str | None:
        """That of the last turn, if there is one."""
        return self.query_one(Conversation).last_prompt

    def take_prompt(self) -> str:
        """What is in the box; after it stands there what an edit had put aside."""
        text = self.query_one(PromptBox).take()
        self._end_editing()
        return text.strip() if self._mode == "chat" or not text.strip() else text

    def stop_writing(self) -> None:
        """Stop what is being written; what waits comes after."""
        self.notice("")
        self.talker.stop(self._run)

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
