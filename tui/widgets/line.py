"""A box of one line."""

from __future__ import annotations

from textual.widgets import Input

from charrnn.plain import unsteered


class LineInput(Input):
    """An input that holds nothing that would steer the terminal, wherever it came from."""

    def validate_value(self, value: str) -> str:
        """The text without it."""
        return unsteered(value).replace("\n", " ").replace("\t", " ")
