"""What the shades of surprise mean."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from tui.layout import INKS, SHADES
from tui.strings import STRINGS, Language


class Legend(Widget):
    """A line with each shade; it is there while surprises are seen."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{ink}" for ink in INKS if ink.startswith("shade")}

    language: reactive[Language] = reactive[Language]("zh")

    def render(self) -> Text:
        """Every shade, in itself."""
        words, text = STRINGS[self.language], Text(no_wrap=True, overflow="crop")
        text.append(f"{words['surprises']} ")
        text.append(words["less"].format(f"{SHADES[0]:g}"))
        for level, least in enumerate(SHADES, 1):
            text.append("  ")
            style = self.get_component_rich_style(f"transcript--shade-{level}")
            text.append(words["more"].format(f"{least:g}", f"{2**least:.0f}"), style)
        return text
