"""The temperature as a slider of one line."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.strings import STRINGS, Language

LEAST, MOST, STEP, DEFAULT = 0.0, 2.0, 0.05, 0.80


class TemperatureSlider(Widget):
    """0.00 to 2.00 by 0.05, with keys and mouse; `=` and a double click return to 0.80."""

    can_focus = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {"slider--filled", "slider--handle", "slider--rest", "slider--word"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,down", "step(-1)", show=False),
        Binding("right,up", "step(1)", show=False),
        Binding("home", "put(0)", show=False),
        Binding("end", "put(2)", show=False),
        Binding("equals_sign", "put(0.8)", show=False),
    ]

    value: reactive[float] = reactive(DEFAULT)
    language: reactive[Language] = reactive[Language]("zh")

    class Changed(Message):
        """The temperature is another one."""

        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

    def validate_value(self, value: float) -> float:
        """The nearest place on the slider."""
        return round(min(MOST, max(LEAST, round(value / STEP) * STEP)), 2)

    def watch_value(self, value: float) -> None:
        """Tell the screen."""
        self.post_message(self.Changed(value))

    def action_step(self, steps: int) -> None:
        """So many twentieths up or down."""
        self.value += steps * STEP

    def action_put(self, value: float) -> None:
        """Straight to a value."""
        self.value = value

    def _labels(self) -> tuple[str, str]:
        words = STRINGS[self.language]
        limits = ((0.0, "greedy"), (0.5, "low"), (1.0, "middle"), (1.4, "high"), (MOST, "wild"))
        word = next(words[name] for limit, name in limits if self.value <= limit)
        return f"{words['temperature']} {self.value:.2f} ", f" {word}"

    def _track(self) -> tuple[int, int]:
        """Where the track begins, and its cells; the words beside it keep their room, so that it never moves."""
        words = STRINGS[self.language]
        room = max(cell_len(words[name]) for name in ("greedy", "low", "middle", "high", "wild")) + 1
        begin = cell_len(self._labels()[0])
        return begin, max(5, self.content_size.width - begin - room)

    def render(self) -> Text:
        """The value, the track with its handle, and a word for it."""
        label, word = self._labels()
        _, cells = self._track()
        handle = round(self.value / MOST * (cells - 1))
        return Text.assemble(
            label,
            ("━" * handle, self.get_component_rich_style("slider--filled")),
            ("●", self.get_component_rich_style("slider--handle")),
            ("─" * (cells - 1 - handle), self.get_component_rich_style("slider--rest")),
            (word, self.get_component_rich_style("slider--word")),
            no_wrap=True,
            overflow="crop",
        )

    def _to(self, x: int) -> None:
        begin, cells = self._track()
        self.value = (x - begin) / (cells - 1) * MOST

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take the handle."""
        self.capture_mouse()
        self._to(event.get_content_offset_capture(self).x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Pull it."""
        if self.app.mouse_captured is self:
            self._to(event.get_content_offset_capture(self).x)

    def on_mouse_up(self) -> None:
        """Let it go."""
        self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        """A double click returns to the default."""
        if event.chain == 2:
            self.value = DEFAULT

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes by steps."""
        event.stop()
        self.action_step(1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes by steps."""
        event.stop()
        self.action_step(-1)
