"""A list of any length: only the rows that are seen are fetched and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from charrnn.plain import one_line

AHEAD = 100  # rows that are fetched at once


class Row(NamedTuple):
    """A line of a list."""

    text: str
    quiet: str = ""
    """Beside the text, where there is room."""
    right: str = ""
    """At the right edge, always."""


class Rows(ScrollView):
    """Rows by number, one of them under the cursor. `fetch(first, most)` gives what stands from a number on."""

    can_focus = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--text", "rows--quiet", "rows--cursor"}

    class Picked(Message):
        """A row was clicked."""

    class Moved(Message):
        """The cursor is on another row, or on none."""

    def __init__(self, fetch: Callable[[int, int], Sequence[Row]]) -> None:
        super().__init__()
        self._fetch = fetch
        self._fetched: dict[int, Row] = {}
        self.count = 0
        self.cursor = 0

    def show(self, count: int, cursor: int = 0) -> None:
        """So many rows, anew."""
        self.count, self._fetched = count, {}
        self.virtual_size = Size(self.size.width, count)
        self.move_to(cursor)

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, and the row in view."""
        self.cursor = min(max(0, row), max(0, self.count - 1))
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, immediate=True, force=True)
        self.refresh()
        self.post_message(self.Moved())

    def move(self, rows: int) -> None:
        """Up, or down."""
        self.move_to(self.cursor + rows)

    def page(self, pages: int) -> None:
        """A page up, or down."""
        self.move(pages * max(1, self.size.height - 1))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, on the row under it picks."""
        row = int(event.y + self.scroll_offset.y)
        if row == self.cursor and row < self.count:
            self.post_message(self.Picked())
        elif row < self.count:
            self.move_to(row)

    def _row(self, number: int) -> Row:
        if number not in self._fetched:
            first = max(0, number - AHEAD // 2)
            self._fetched = dict(enumerate(self._fetch(first, AHEAD), first))
        return self._fetched.get(number, Row(""))

    def render_line(self, y: int) -> Strip:
        """A row of the view."""
        number, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        base = self.rich_style
        if number >= self.count:
            return Strip.blank(width, base)
        if number == self.cursor:
            base += self.get_component_rich_style("rows--cursor")
        row = self._row(number)
        style, quiet = (
            base + self.get_component_rich_style(f"rows--{name}", partial=True) for name in ("text", "quiet")
        )
        right = f" {one_line(row.right)} "
        left = Strip([Segment(f" {one_line(row.text)}  ", style), Segment(one_line(row.quiet), quiet)])
        left = left.adjust_cell_length(max(0, width - cell_len(right)), base)
        return Strip([*left, Segment(right, quiet)]).adjust_cell_length(width, base)
