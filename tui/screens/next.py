"""What may come next, and what every setting makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from charrnn.config import SamplingConfig
from charrnn.plain import one_line
from charrnn.turns import Next
from tui.lines import last_cells
from tui.strings import STRINGS, Language
from tui.widgets.bars import MEMORY, NETWORK, Bars
from tui.widgets.knobs import step_through
from tui.widgets.slider import DEFAULT, LEAST, MOST, STEP

FOLLOWS = 10  # times a second, while text is written


class NextScreen(ModalScreen[None]):
    """Bars that follow the settings while they move, of which `changed` is told, and the text while it is written."""

    CSS_PATH: ClassVar[list[str]] = ["next.tcss", "../widgets/bars.tcss"]  # type: ignore[assignment]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (140, "-wide")]  # type: ignore[misc]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f3,q", "dismiss(None)", show=False, priority=True),
        Binding("right,up,alt+up,ctrl+up", "warmer(1)", show=False),
        Binding("left,down,alt+down,ctrl+down", "warmer(-1)", show=False),
        Binding("home", "heat(0.0)", show=False),
        Binding("end", "heat(2.0)", show=False),
        Binding("equals_sign", f"heat({DEFAULT})", show=False),
        *(
            Binding(key, f"turn('{name}', {steps})", show=False)
            for small, name in (("k", "top_k"), ("p", "top_p"), ("m", "min_p"), ("r", "repetition_penalty"))
            for key, steps in ((small, 1), (small.upper(), -1))
        ),
    ]

    def __init__(
        self,
        place: Next,
        config: SamplingConfig,
        language: Language,
        changed: Callable[[SamplingConfig], None],
        follow: Callable[[], None] = lambda: None,
    ) -> None:
        """`follow` is called again and again; where the text has grown, it has `show` called."""
        super().__init__()
        self._place = place
        self._config = config
        self._words = STRINGS[language]
        self._changed = changed
        self._follow = follow

    def compose(self) -> ComposeResult:
        """Settings, bars, keys."""
        with Vertical(id="next") as page:
            page.border_title = self._words["next"]
            page.border_subtitle = self._words["next_keys"]
            yield Static(id="written", markup=False)
            yield Static(id="settings", markup=False)
            yield Bars(self._words)

    def on_mount(self) -> None:
        """As it is now."""
        self.show(self._place)
        self.set_interval(1 / FOLLOWS, self._follow)

    def on_resize(self) -> None:
        """As much of the text as there is room for."""
        self.call_after_refresh(lambda: self.show(self._place))

    def show(self, place: Next) -> None:
        """This place, as the settings have it."""
        self._place = place
        bars, config, words = self.query_one(Bars), self._config, self._words
        bars.show(place, config)
        prospect = bars.prospect
        assert prospect is not None
        figures = words["settings"].format(
            f"{config.temperature:.2f}", config.top_k or "–", f"{config.top_p:g}", f"{config.min_p:g}",
            f"{config.repetition_penalty:g}", f"{prospect.entropy:.2f}", f"{prospect.model_entropy:.2f}",
        )  # fmt: skip
        if prospect.network is not None:
            figures += f"   {NETWORK} {words['network']} {MEMORY} {words['memory']}"
        self.query_one("#settings", Static).update(figures)
        line = self.query_one("#written", Static)
        line.update(last_cells(one_line(place.written), line.content_size.width - 1) + "▍")

    def _take(self, config: SamplingConfig) -> None:
        if config != self._config:
            self._config = config
            self.show(self._place)
            self._changed(config)

    def action_warmer(self, steps: int) -> None:
        """The temperature by twentieths."""
        self.action_heat(self._config.temperature + steps * STEP)

    def action_heat(self, temperature: float) -> None:
        """Straight to a temperature."""
        self._take(replace(self._config, temperature=round(min(MOST, max(LEAST, temperature)), 2)))

    def action_turn(self, name: str, steps: int) -> None:
        """A filter narrower, or wider; the penalty more, or less."""
        settings: dict[str, Any] = {name: step_through(name, getattr(self._config, name), steps)}
        self._take(replace(self._config, **settings))
