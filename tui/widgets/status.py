"""The line at the top: what this is, and what is going on."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static


class Status(Horizontal):
    """A title on the left, a state on the right."""

    def compose(self) -> ComposeResult:
        """Two texts."""
        yield Static(id="title", markup=False)
        yield Static(id="state", markup=False)

    def show(self, title: str, state: str) -> None:
        """Put both."""
        self.query_one("#title", Static).update(title)
        self.query_one("#state", Static).update(state)
