"""What pages with a list share: the keys that move in it."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tui.widgets.rows import Rows

Chosen = TypeVar("Chosen")


class ListScreen(ModalScreen[Chosen | None]):
    """What was chosen, or None after Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
    ]

    def action_move(self, rows: int) -> None:
        """Up, or down."""
        self.query_one(Rows).move(rows)

    def action_page(self, pages: int) -> None:
        """A page up, or down."""
        self.query_one(Rows).page(pages)
