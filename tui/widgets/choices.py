"""Bars that can be chosen from: what else could have stood at a place of an answer."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from charrnn.turns import Seen
from tui.strings import Words
from tui.widgets.bars import Bar, Bars

STOOD, ELSE = "● ", "  "


class Choices(Bars):
    """↑ ↓ go through the candidates, Enter takes one; the one that stands there is marked."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(-1)", show=False),
        Binding("down", "go(1)", show=False),
        Binding("home", "go(-1000)", show=False),
        Binding("end", "go(1000)", show=False),
        Binding("enter", "take", show=False),
    ]

    class Taken(Message):
        """This token is to stand there."""

        def __init__(self, token: int) -> None:
            super().__init__()
            self.token = token

    def __init__(self, words: Words) -> None:
        super().__init__(words)
        self.stood = self.cursor = self._first = 0

    def look(self, seen: Seen) -> None:
        """A place: the cursor on what stands there."""
        self._config = None  # no setting before
        self._before = None
        self.show(seen.place, seen.sampling)
        assert self.prospect is not None
        self.stood = self.prospect.rank(seen.token)
        self.cursor, self._first = self.stood, 0
        self._follow()

    def ranks(self, count: int) -> range:
        """Those around the cursor."""
        return range(self._first, self._first + count)

    def _follow(self) -> None:
        """The cursor into what is seen; the first candidates, where it is among them."""
        assert self.prospect is not None
        count = min(max(1, self.size.height - 1), len(self.prospect.ids))
        self._first = min(max(self._first, self.cursor - count + 1), self.cursor, len(self.prospect.ids) - count)
        self.redraw()

    def on_resize(self) -> None:
        """It is still there."""
        if self.prospect is not None:
            self._follow()

    def action_go(self, steps: int) -> None:
        """To another candidate, as far as their names are known."""
        if self.prospect is not None and self._place is not None:
            named = min(len(self._place.names), len(self.prospect.ids))
            after = self.stood if self.stood >= named else named - 1  # an unlikely one is the last
            to = max(0, self.cursor + steps)
            self.cursor = to if to < named else (named - 1 if steps < 0 else after)
            self._follow()

    def action_take(self) -> None:
        """The one under the cursor."""
        if self.prospect is not None:
            self.post_message(self.Taken(int(self.prospect.ids[self.cursor])))

    def on_click(self, event: events.Click) -> None:
        """Go there; with a second click, take it."""
        rows, y = self._shown(), event.get_content_offset_capture(self).y
        if y < len(rows) and (rank := rows[y].rank) is not None:
            self.cursor = rank
            self.redraw()
            if event.chain == 2:
                self.action_take()

    def segments(self, row: Bar, width: int, scale: float) -> list[Segment]:
        """A line, with a mark before the one that stands."""
        edge = Segment(STOOD if row.rank == self.stood else ELSE, self._style("drawn"))
        segments = [edge, *super().segments(row, width - 2, scale)]
        if self.has_focus and row.rank == self.cursor:
            ground = Style(bgcolor=self.get_component_rich_style("bars--cursor").bgcolor)
            segments = [Segment(text, (style or self.rich_style) + ground) for text, style, _ in segments]
        return segments
