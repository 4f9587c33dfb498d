"""The settings beside the temperature, in one line: filters, penalty, seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui.strings import STRINGS, Language, Words

if TYPE_CHECKING:
    from charrnn.config import SamplingConfig

STEPS: dict[str, tuple[float, ...]] = {
    "top_k": (0, 1, 2, 3, 5, 10, 20, 40, 100),
    "top_p": (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1),
    "min_p": (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    "repetition_penalty": (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0),
}
"""From what changes nothing on."""
NAMES = (*STEPS, "seed")
DIGITS = 9
BETWEEN = 2  # cells


def step_through(name: str, value: float, steps: int) -> float:
    """The value so many steps after the one that is nearest."""
    values = STEPS[name]
    at = min(range(len(values)), key=lambda place: abs(values[place] - value))
    found = values[min(len(values) - 1, max(0, at + steps))]
    return int(found) if name == "top_k" else found


def setting(name: str, value: float, words: Words) -> tuple[str, str]:
    """What a setting is called, and how its value is written."""
    label = words["penalty"] if name == "repetition_penalty" else name.replace("_", "-")
    return label, f"{value or '–'}" if name == "top_k" else f"{value:g}"


class Knobs(Widget):
    """← → go from one to the next, ↑ ↓ turn it, `=` sets it back; a seed is typed. The mouse: click, and the wheel."""

    can_focus = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {"knobs--name", "knobs--value", "knobs--chosen"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "go(-1)", show=False),
        Binding("right", "go(1)", show=False),
        Binding("up", "turn(1)", show=False),
        Binding("down", "turn(-1)", show=False),
        Binding("equals_sign", "put_back", show=False),
        Binding("backspace", "erase", show=False),
    ]

    language: reactive[Language] = reactive[Language]("zh")
    chosen: reactive[int] = reactive(0)

    class Changed(Message):
        """Settings are others now."""

        def __init__(self, settings: dict[str, Any]) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {name: steps[0] for name, steps in STEPS.items()} | {"seed": None}

    def take(self, config: SamplingConfig) -> None:
        """Settings that were made elsewhere."""
        self._put(**{name: getattr(config, name) for name in STEPS})

    def _put(self, **settings: Any) -> None:
        if settings != {name: self.values[name] for name in settings}:
            self.values |= settings
            self.post_message(self.Changed(settings))
            self.refresh()

    def action_go(self, steps: int) -> None:
        """To another one."""
        self.chosen = (self.chosen + steps) % len(NAMES)

    def action_turn(self, steps: int) -> None:
        """Narrower or wider; the next seed, or the one before."""
        name = NAMES[self.chosen]
        if name in STEPS:
            self._put(**{name: step_through(name, self.values[name], steps)})
        else:
            self._put(seed=min(10**DIGITS - 1, max(0, (self.values["seed"] or 0) + steps)))

    def action_put_back(self) -> None:
        """As it was at first."""
        name = NAMES[self.chosen]
        self._put(**{name: STEPS[name][0] if name in STEPS else None})

    def action_erase(self) -> None:
        """The last digit of the seed."""
        if NAMES[self.chosen] == "seed" and self.values["seed"] is not None:
            digits = str(self.values["seed"])[:-1]
            self._put(seed=int(digits) if digits else None)

    def on_key(self, event: events.Key) -> None:
        """A digit of a seed."""
        if event.character is not None and event.character in "0123456789":
            event.stop()
            self.chosen = NAMES.index("seed")
            digits = f"{self.values['seed'] or ''}{event.character}"
            if len(digits) <= DIGITS:
                self._put(seed=int(digits))

    def _parts(self) -> list[tuple[str, str]]:
        words, values = STRINGS[self.language], self.values
        return [
            *(setting(name, values[name], words) for name in STEPS),
            (words["seed"], words["any_seed"] if values["seed"] is None else str(values["seed"])),
        ]

    def render(self) -> Text:
        """Names and values."""
        text = Text(no_wrap=True, overflow="crop")
        for place, (name, value) in enumerate(self._parts()):
            chosen = self.has_focus and place == self.chosen
            text.append(f"{name} ", self.get_component_rich_style("knobs--name"))
            text.append(value, self.get_component_rich_style("knobs--chosen" if chosen else "knobs--value"))
            text.append(" " * BETWEEN)
        return text

    def _at(self, x: int) -> int | None:
        end = 0
        for place, (name, value) in enumerate(self._parts()):
            end += cell_len(name) + 1 + cell_len(value) + BETWEEN
            if x < end:
                return place
        return None

    def on_click(self, event: events.Click) -> None:
        """Take the one that is clicked on."""
        place = self._at(event.get_content_offset_capture(self).x)
        if place is not None:
            self.chosen = place

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel turns the one that it is over."""
        self._turn_at(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """And back."""
        self._turn_at(event, -1)

    def _turn_at(self, event: events.MouseEvent, steps: int) -> None:
        event.stop()
        place = self._at(event.get_content_offset_capture(self).x)
        if place is not None:
            self.chosen = place
            self.action_turn(steps)
