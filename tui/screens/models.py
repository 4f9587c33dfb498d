"""The models that are there: the one that ships, the user's own, and those in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Sparkline, Static

from charrnn.catalogue import ModelEntry
from charrnn.plain import one_line, plain
from tui.screens.listing import ListScreen
from tui.strings import STRINGS, Language
from tui.widgets.rows import Row, Rows

REFRESH = 2.0  # seconds, while one is in training


class ModelsScreen(ListScreen[Path]):
    """The folder of the model that was chosen."""

    CSS_PATH: ClassVar[list[str]] = ["models.tcss", "../widgets/rows.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "dismiss(None)", show=False, priority=True),
        Binding("enter", "choose", show=False, priority=True),
    ]

    def __init__(self, find_models: Callable[[], Sequence[ModelEntry]], language: Language) -> None:
        super().__init__()
        self._find = find_models
        self._words = STRINGS[language]
        self._models: Sequence[ModelEntry] = []

    def compose(self) -> ComposeResult:
        """The list, and of one of them what is known."""
        with Vertical(id="models") as page:
            page.border_title = self._words["models"]
            page.border_subtitle = self._words["model_keys"]
            yield Rows(self._fetch)
            yield Static(id="about", markup=False)
            yield Sparkline(id="curve")
            yield Static(id="sample", markup=False)

    def on_mount(self) -> None:
        """Look now, and again while one is in training."""
        self._look()
        self.set_interval(REFRESH, self._look_again)

    def _look(self) -> None:
        self._models = self._find()
        rows = self.query_one(Rows)
        rows.show(len(self._models), rows.cursor)

    def _look_again(self) -> None:
        if any(model.training for model in self._models):
            self._look()

    def _fetch(self, first: int, most: int) -> Sequence[Row]:
        return [self._row(model) for model in self._models[first : first + most]]

    def _row(self, model: ModelEntry) -> Row:
        words = self._words
        kind = words["ships"] if model.ships else str(model.path.parent)
        bits = words["in_training"] if model.bits is None else f"{model.bits:.2f} {words['surprise']}"
        return Row(model.name, kind, f"{model.network} · {model.size / 1e6:.1f} MB · {bits}")

    def on_rows_moved(self) -> None:
        """What is known of the one under the cursor."""
        cursor = self.query_one(Rows).cursor
        if cursor < len(self._models):
            self._show(self._models[cursor])

    def _show(self, model: ModelEntry) -> None:
        words, curve = self._words, model.curve
        lines = [words["trained_on"].format(f"{model.characters:,}", one_line(model.corpus))]
        lines.append(words["can_ask"] if model.can_chat else words["cannot_ask"])
        if model.bits is not None and model.bits_with_memory is not None:
            lines.append(words["bits_both"].format(f"{model.bits:.3f}", f"{model.bits_with_memory:.3f}"))
        if model.training and curve:
            lines.append(words["curve"].format(f"{curve[-1].step:,}", f"{model.steps:,}", f"{curve[-1].bits:.3f}"))
        self.query_one("#about", Static).update(plain("\n".join(lines)))
        self.query_one("#curve", Sparkline).data = [point.bits for point in curve]
        self.query_one("#curve").display = model.training and len(curve) > 1
        sample = curve[-1].sample if model.training and curve else ""
        self.query_one("#sample", Static).update(one_line(sample))

    def action_choose(self) -> None:
        """Go on with the one under the cursor."""
        cursor = self.query_one(Rows).cursor
        if self.is_current:
            self.dismiss(self._models[cursor].path if cursor < len(self._models) else None)

    def on_rows_picked(self) -> None:
        """The same by the mouse."""
        self.action_choose()
