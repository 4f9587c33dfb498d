"""The chat: transcript, temperature, prompt."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Static

from charrnn.chat import Mode, Session, Turn
from charrnn.plain import plain
from tui.strings import STRINGS, Language
from tui.talker import PACE, Began, Ended, Event, Failed, Opened, Talker, Wrote
from tui.widgets.prompt import PromptBox
from tui.widgets.slider import TemperatureSlider
from tui.widgets.transcript import Transcript

REPAINTS = 25  # a second, at most


class ChatScreen(Screen[None]):
    """Takes keys at once; what is sent before the model is there waits for it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", show=False, priority=True),
        Binding("ctrl+t", "switch_mode", show=False, priority=True),
        Binding("ctrl+r", "switch_memory", show=False, priority=True),
        Binding("ctrl+n", "new_conversation", show=False, priority=True),
        Binding("alt+up,ctrl+up", "warmer(1)", show=False, priority=True),
        Binding("alt+down,ctrl+down", "warmer(-1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("f1", "help", show=False, priority=True),
    ]

    def __init__(self, open_session: Callable[[], Session], language: Language, pace: float) -> None:
        super().__init__()
        self.language = language
        self._talker = Talker(open_session, pace)
        self._session: Session | None = None
        self.failed: str | None = None  # why there is no model
        self._mode: Mode = "chat"
        self._waiting: list[tuple[int, str]] = []  # runs asked for and not begun
        self._run = 0  # the run that is on screen
        self._writing: Turn | None = None
        self._shown_turns = 0

    @property
    def words(self) -> dict[str, str]:
        """The words of the language in use."""
        return dict(STRINGS[self.language])

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        with Horizontal(id="status"):
            yield Static(id="title", markup=False)
            yield Static(id="state", markup=False)
        yield Transcript()
        yield Static(id="waiting", markup=False)
        yield TemperatureSlider()
        yield PromptBox()
        yield Static(id="hints", markup=False)

    def on_mount(self) -> None:
        """The model is opened once the screen stands."""
        self.query_one(PromptBox).focus()
        self.speak(self.language)
        self._welcome()
        self.set_interval(1 / REPAINTS, self._take_events)
        self.call_after_refresh(self._talker.start)

    def speak(self, language: Language) -> None:
        """Change the language of the screen; what stands in the transcript stays."""
        self.language = language
        self.query_one(TemperatureSlider).language = language
        self.query_one("#hints", Static).update(self.words["hints"])
        self._show_status()

    def _welcome(self) -> None:
        self.query_one(Transcript).add("note", self.words["welcome"])

    # What the model does ---------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Everything that came since the last time; the text of it in one piece."""
        texts: list[str] = []
        for _ in range(self._talker.events.qsize()):
            try:
                event = self._talker.events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, Wrote):
                if event.run == self._run:
                    texts.append(event.text)
                continue
            self._write(texts)
            self._take(event)
        self._write(texts)

    def _write(self, texts: list[str]) -> None:
        if texts:
            self.query_one(Transcript).extend("".join(texts))
            texts.clear()
            self._show_status()

    def _take(self, event: Event) -> None:
        transcript = self.query_one(Transcript)
        match event:
            case Opened(session):
                self._session = session
                if not session.can_chat:
                    self._mode = "continue"
                    transcript.add("note", self.words["cannot_chat"])
            case Failed(why):
                self.failed = why
                self._waiting.clear()
                transcript.add("error", why)
            case Began(run, mode, prompt):
                self._waiting = [(n, text) for n, text in self._waiting if n > run]
                self._begin(run, mode, prompt)
            case Ended(run, turn, error) if run == self._run:
                transcript.writing = False
                self._writing = None
                if error is not None:
                    transcript.add("error", error)
                elif turn is not None:
                    transcript.add("figures", self._figures(turn))
            case _:
                pass
        self._show_status()

    def _begin(self, run: int, mode: Mode, prompt: str) -> None:
        transcript = self.query_one(Transcript)
        if mode == "chat":
            transcript.add("ask", prompt)
            transcript.add("answer")
        else:
            transcript.add("answer", given=prompt)
        transcript.writing = True
        self._run = run

    def _figures(self, turn: Turn) -> str:
        words = self.words
        figures = [
            f"{words['temperature']} {turn.temperature:.2f}",
            f"{words['seed']} {turn.seed}",
            f"{turn.characters:,} {words['characters']}",
            f"{turn.characters / turn.seconds:,.0f} {words['rate']}" if turn.seconds else "",
            f"{turn.bits / turn.characters:.2f} {words['surprise']}" if turn.characters else "",
            words["stopped"] if turn.stopped else "",
        ]
        return " · ".join(figure for figure in figures if figure)

    # What the person does --------------------------------------------------------------------------------------------

    def on_prompt_box_sent(self, message: PromptBox.Sent) -> None:
        """A question, or a beginning; what is being written stops first."""
        if self._mode == "chat" and not message.text.strip():
            return
        if self.failed is not None:
            self.query_one(Transcript).add("error", self.failed)
            return
        self._talker.stop(self._run)
        self._waiting.append((self._talker.say(self._mode, message.text), message.text))
        self._show_status()

    def on_temperature_slider_changed(self, message: TemperatureSlider.Changed) -> None:
        """From the next character on."""
        self._talker.set_temperature(message.value)

    def action_warmer(self, steps: int) -> None:
        """The temperature, from anywhere."""
        self.query_one(TemperatureSlider).action_step(steps)

    def action_stop(self) -> None:
        """Stop what is being written and what waits; the text so far stays."""
        self._talker.stop(max([self._run, *(run for run, _ in self._waiting)]))
        self._waiting.clear()
        self._show_status()

    def action_switch_mode(self) -> None:
        """Chat or continue, from the next prompt on."""
        if self._session is not None and not self._session.can_chat:
            self.query_one(Transcript).add("note", self.words["cannot_chat"])
            return
        self._mode = "continue" if self._mode == "chat" else "chat"
        self._show_status()

    def action_switch_memory(self) -> None:
        """With the memory of what was read, or by the network alone, from the next character on."""
        if self._session is None:
            return
        if not self._session.has_memory:
            self.query_one(Transcript).add("note", self.words["no_memory"])
            return
        self._talker.set_memory(not self._session.remembers)
        self._show_status()

    def action_new_conversation(self) -> None:
        """An empty screen and a zero state."""
        self._talker.reset()
        self._waiting.clear()
        self._run = 0  # what still comes of the old one is not shown
        transcript = self.query_one(Transcript)
        transcript.writing = False
        transcript.clear()
        self._welcome()
        self._show_status()

    def action_switch_pace(self) -> None:
        """As fast as one reads, or as fast as the model writes."""
        self._talker.pace = 0 if self._talker.pace else PACE

    def action_page(self, pages: int) -> None:
        """Read back, or forth."""
        transcript = self.query_one(Transcript)
        transcript.scroll_relative(y=pages * max(1, transcript.size.height - 2), animate=False)

    def action_help(self) -> None:
        """The keys, and what temperature is."""
        from tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.language))

    # What stands around the transcript -------------------------------------------------------------------------------

    def _show_status(self) -> None:
        words, transcript = self.words, self.query_one(Transcript)
        title = "charrnn" if self._session is None else f"charrnn · {plain(self._session.title)}"
        memory = f" · {words['memory']}" if self._session is not None and self._session.remembers else ""
        self.query_one("#title", Static).update(f"{title} · {words[self._mode]}{memory}")
        self.query_one("#state", Static).update(self._state(transcript.writing))
        waiting = self.query_one("#waiting", Static)
        waiting.display = bool(self._waiting)
        if self._waiting:
            waiting.update(
                "\n".join(f"… {plain(text).splitlines()[0] if text else ''}" for _, text in self._waiting[-3:])
            )
        here = "ask_here" if self._mode == "chat" else "continue_here"
        self.query_one(PromptBox).placeholder = words[here]

    def _state(self, writing: bool) -> str:
        words = self.words
        if self.failed is not None:
            return words["failed"]
        if self._session is None:
            return words["loading"]
        if not writing or not self._session.turns:
            return words["ready"]
        turn = self._session.turns[-1]
        rate = f" · {turn.characters / turn.seconds:,.0f} {words['rate']}" if turn.seconds else ""
        return f"{words['writing']} · {turn.characters:,} {words['characters']}{rate}"
