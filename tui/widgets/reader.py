"""An answer with a cursor on one of its tokens."""

from __future__ import annotations

from bisect import bisect_right
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from charrnn.plain import plain
from charrnn.turns import Turn
from tui.layout import Line, shade
from tui.strings import Words
from tui.widgets.conversation import figures
from tui.widgets.transcript import Transcript, marked


class Reader(Transcript):
    """← → go by tokens, ↑ ↓ by lines, Home and End to the ends; a click does, too. Surprises are seen."""

    can_focus = True
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "go(-1)", show=False),
        Binding("right", "go(1)", show=False),
        Binding("up", "line(-1)", show=False),
        Binding("down", "line(1)", show=False),
        Binding("home", "go(-1000000000)", show=False),
        Binding("end", "go(1000000000)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another token."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self.shaded = True
        self.number = 0
        """The token under the cursor."""
        self._starts: list[int] = []  # of each token in the block of the answer
        self._end = 0
        self._block = 0

    def read(self, turn: Turn, words: Words) -> None:
        """This answer, the cursor on its first token."""
        self.cut()
        if turn.mode == "chat":
            self.add("ask", turn.prompt)
        given = "" if turn.mode == "chat" else turn.prompt
        self.add("answer", given, "ask")
        self._block = self.length - 1
        runs = list(turn.runs())
        self.extend([(text, shade(bits)) for text, bits in runs])
        answer, self._starts, start, place = turn.answer, [], 0, len(plain(given))
        for length in turn.lengths[: len(turn.tokens)]:
            self._starts.append(place)
            place += len(plain(answer[start : start + length]))
            start += length
        self._end = place
        self.add("figures", figures(turn, words))
        self.number = 0
        self._following = False
        self.show_cursor()

    def put(self, number: int) -> None:
        """The cursor on a token."""
        number = max(0, min(len(self._starts) - 1, number))
        if self._starts and number != self.number:
            self.number = number
            self.show_cursor()
            self.post_message(self.Moved(number))

    def show_cursor(self) -> None:
        """Where it can be seen."""
        line = self._line_of(self.number)
        if line is not None and self._flow.width:
            top = self.scroll_offset.y
            self.scroll_to(y=min(line, max(top, line - self.size.height + 1)), animate=False, immediate=True)
        self.refresh()

    def on_resize(self) -> None:
        """It is still there."""
        self.call_after_refresh(self.show_cursor)

    def _span(self) -> tuple[int, int]:
        """The token's characters; of one in the middle of a character, those that it helps to make."""
        if not self._starts:
            return 0, 0
        start = self._starts[self.number]
        after = bisect_right(self._starts, start)
        return start, self._starts[after] if after < len(self._starts) else self._end

    def _line_of(self, number: int) -> int | None:
        block = self._flow.blocks[self._block]
        start = self._starts[number] if self._starts else 0
        lines = (n for n, line in enumerate(self._flow.lines) if line.block is block and line.end > start)
        return next(lines, None)

    def _segments(self, line: Line, number: int) -> list[Segment]:
        segments = super()._segments(line, number)
        if line.block is self._flow.blocks[self._block]:
            start, end = (min(max(0, x - line.start), line.end - line.start) for x in self._span())
            if start < end:
                segments = marked(segments, start, end, Style(reverse=True))
        return segments

    def _token_at(self, x: int, y: int) -> int | None:
        """The token that stands at a place of the view."""
        lines = self._flow.lines
        y += self.scroll_offset.y
        block = self._flow.blocks[self._block]
        if not 0 <= y < len(lines) or lines[y].block is not block or not self._starts:
            return None
        line, used = lines[y], self._margin
        for place in range(line.start, line.end):
            used += cell_len(block.text[place])
            if x < used:
                return max(0, bisect_right(self._starts, place) - 1)
        return max(0, bisect_right(self._starts, max(line.start, line.end - 1)) - 1)

    def action_go(self, steps: int) -> None:
        """By tokens."""
        self.put(self.number + steps)

    def action_line(self, lines: int) -> None:
        """Up or down, as straight as can be."""
        here = self._line_of(self.number)
        if here is None:
            return
        block, line = self._flow.blocks[self._block], self._flow.lines[here]
        x = self._margin + cell_len(block.text[line.start : self._starts[self.number]])
        token = self._token_at(x, here + lines - self.scroll_offset.y)
        if token is not None:
            self.put(token)

    def on_click(self, event: events.Click) -> None:
        """The cursor goes there."""
        offset = event.get_content_offset(self)
        token = None if offset is None else self._token_at(offset.x, offset.y)
        if token is not None:
            self.put(token)
