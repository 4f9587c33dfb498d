"""A question of one line."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.widgets.line import LineInput


class AskScreen(ModalScreen[str | None]):
    """What was typed, or None after Esc."""

    CSS_PATH = "ask.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False, priority=True)]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        """A box in the middle."""
        box = LineInput(self._value, id="ask")
        box.border_title = self._question
        yield box

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Enter."""
        if self.is_current:
            self.dismiss(message.value)
