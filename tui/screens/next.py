"""What may come next, and what every setting makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from charrnn.config import SamplingConfig
from charrnn.prospects import Prospect
from charrnn.turns import Next
from tui.strings import STRINGS, Language
from tui.widgets.bars import Bars
from tui.widgets.slider import DEFAULT, LEAST, MOST, STEP

TOP_K = (0, 1, 2, 3, 5, 10, 20, 40, 100)
TOP_P = (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
MIN_P = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def step_through(values: tuple[float, ...], value: float, steps: int) -> float:
    """The value so many places after the one that is nearest."""
    at = min(range(len(values)), key=lambda place: abs(values[place] - value))
    return values[min(len(values) - 1, max(0, at + steps))]


class NextScreen(ModalScreen[None]):
    """Bars that follow the settings while they move; `changed` is told of each."""

    CSS_PATH = "next.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f3,q", "dismiss(None)", show=False, priority=True),
        Binding("right,up,alt+up,ctrl+up", "warmer(1)", show=False),
        Binding("left,down,alt+down,ctrl+down", "warmer(-1)", show=False),
        Binding("home", "heat(0.0)", show=False),
        Binding("end", "heat(2.0)", show=False),
        Binding("equals_sign", f"heat({DEFAULT})", show=False),
        Binding("k", "filter('top_k', 1)", show=False),
        Binding("K", "filter('top_k', -1)", show=False),
        Binding("p", "filter('top_p', 1)", show=False),
        Binding("P", "filter('top_p', -1)", show=False),
        Binding("m", "filter('min_p', 1)", show=False),
        Binding("M", "filter('min_p', -1)", show=False),
    ]

    def __init__(
        self, place: Next, config: SamplingConfig, language: Language, changed: Callable[[SamplingConfig], None]
    ) -> None:
        super().__init__()
        self._place = place
        self._config = config
        self._words = STRINGS[language]
        self._changed = changed

    def compose(self) -> ComposeResult:
        """Settings, bars, keys."""
        with Vertical(id="next") as page:
            page.border_title = self._words["next"]
            page.border_subtitle = self._words["next_keys"]
            yield Static(id="settings", markup=False)
            yield Bars(self._words)

    def on_mount(self) -> None:
        """As it is now."""
        prospect = self._place.prospects.under(self._config)
        self.query_one(Bars).show(prospect, self._place.names)
        self._say(prospect)

    def _say(self, prospect: Prospect) -> None:
        config = self._config
        figures = self._words["settings"].format(
            f"{config.temperature:.2f}", config.top_k or "–", f"{config.top_p:g}", f"{config.min_p:g}",
            f"{prospect.entropy:.2f}", f"{prospect.model_entropy:.2f}",
        )  # fmt: skip
        self.query_one("#settings", Static).update(figures)

    def _take(self, config: SamplingConfig) -> None:
        if config != self._config:
            self._config, prospect = config, self._place.prospects.under(config)
            self.query_one(Bars).change(prospect)
            self._say(prospect)
            self._changed(config)

    def action_warmer(self, steps: int) -> None:
        """The temperature by twentieths."""
        self.action_heat(self._config.temperature + steps * STEP)

    def action_heat(self, temperature: float) -> None:
        """Straight to a temperature."""
        self._take(replace(self._config, temperature=round(min(MOST, max(LEAST, temperature)), 2)))

    def action_filter(self, name: str, steps: int) -> None:
        """A filter narrower, or wider."""
        match name:
            case "top_k":
                self._take(replace(self._config, top_k=int(step_through(TOP_K, self._config.top_k, steps))))
            case "top_p":
                self._take(replace(self._config, top_p=step_through(TOP_P, self._config.top_p, steps)))
            case _:
                self._take(replace(self._config, min_p=step_through(MIN_P, self._config.min_p, steps)))
