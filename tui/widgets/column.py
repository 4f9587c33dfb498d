"""What is written at one temperature of a sweep."""

from __future__ import annotations

import math
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from charrnn.plain import plain
from charrnn.sweep import Column
from charrnn.sweep_report import PARTING
from tui.lines import wrap
from tui.strings import Words


class ColumnView(Widget):
    """Its temperature, its text with a mark where it parts from the one before, its figures. Enter takes it."""

    can_focus = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"column--{name}" for name in ("head", "same", "parting", "figures")}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
        Binding("enter", "take", show=False),
    ]

    class Taken(Message):
        """This one is to stand."""

        def __init__(self, view: ColumnView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, column: Column, words: Words) -> None:
        super().__init__()
        self.column = column
        self._words = words
        self._parting: int | None = None

    def update(self, parting: int | None) -> None:
        """It has grown; where it parts from the one before, from 0."""
        self._parting = parting
        self.refresh(layout=True)

    def render(self) -> Text:
        """From top to bottom."""
        style = {
            name: self.get_component_rich_style(f"column--{name}") for name in ("head", "same", "parting", "figures")
        }
        text, column = Text(), self.column
        text.append(f"{self._words['temperature']} {column.sampling.temperature:g}\n", style["head"])
        parting = self._parting
        same = plain(column.text if parting is None else column.text[:parting])
        other = "" if parting is None else PARTING + plain(column.text[parting:])
        whole = same + other
        width = max(2, self.content_size.width)
        for start, end in wrap(whole, width):
            line = Text(whole[start:end] + "\n")
            line.stylize(style["same"], 0, len(same) - start) if start < len(same) and other else None
            if start <= len(same) < end and other:
                line.stylize(style["parting"], len(same) - start, len(same) - start + 2)
            text.append_text(line)
        figures = " · ".join(self._figures())
        if cell_len(figures) > width:
            figures = "\n".join(self._figures())
        text.append(figures + "\n", style["figures"])
        return text

    def _figures(self) -> list[str]:
        words, column = self._words, self.column
        if not column.text:
            return []
        figures = [
            (words["entropy"], column.entropy, "{:.2f}"),
            (words["self_surprise"], column.surprise, "{:.2f}"),
            ("distinct-2", column.distinct(2), "{:.2f}"),
            (words["repeated"], column.repeated, "{:.0f}"),
            *([] if self._parting is None else [(words["parts_at"], self._parting, "{:.0f}")]),
        ]
        return [f"{name} {'–' if math.isnan(value) else form.format(value)}" for name, value, form in figures]

    def action_take(self) -> None:
        """This one is to stand."""
        self.post_message(self.Taken(self))

    def on_click(self, event: events.Click) -> None:
        """A double click takes it."""
        if event.chain == 2:
            self.action_take()
