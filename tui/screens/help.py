"""What the keys do and what temperature is."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.lines import wrap
from tui.strings import STRINGS, Language

TEXT_WIDTH = 56  # cells, beside the keys, in a page of 76


class HelpScreen(ModalScreen[None]):
    """A page over the chat; Esc, F1 or Enter close it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,enter,q", "dismiss", show=False)]

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._words = STRINGS[language]

    def compose(self) -> ComposeResult:
        """Keys on the left, what they do on the right."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for row in self._words["help_text"].split("\n"):
            key, _, text = row.partition("\t")
            table.add_row(key, "\n".join(text[start:end] for start, end in wrap(text, TEXT_WIDTH)))
        with VerticalScroll(id="help") as page:
            page.border_title = self._words["help"]
            page.border_subtitle = self._words["help_close"]
            yield Static(table)
