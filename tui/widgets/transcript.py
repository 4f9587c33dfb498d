"""The conversation as lines of text, drawn one by one.

Text is kept once, as strings, with a table of where its lines begin: an answer that grows costs the wrapping of its
last line, and a repaint the lines on screen, however long the conversation is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from charrnn.plain import plain
from tui.lines import wrap

WIDEST = 96  # cells of a line of text: longer ones are hard to read
MARGIN = 2

Kind = Literal["ask", "answer", "note", "error", "figures"]


@dataclass
class Block:
    """A stretch of the conversation in one style; the first `given` characters were the person's own."""

    kind: Kind
    text: str = ""
    given: int = 0


class Line(NamedTuple):
    """A line on screen: which part of which block; no block is an empty line."""

    block: Block | None
    start: int = 0
    end: int = 0


class Transcript(ScrollView):
    """Blocks of text, the last of which may grow. The view follows the end unless the reader scrolled up."""

    can_focus = False
    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"transcript--{name}" for name in ("ask", "answer", "note", "error", "figures", "bar", "selection")
    }

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[Block] = []
        self._lines: list[Line] = []
        self._width = 0
        self._following = True
        self.writing = False

    # Content -----------------------------------------------------------------------------------------------------

    def add(self, kind: Kind, text: str = "", *, given: str = "") -> None:
        """A new block at the end; control characters become visible symbols."""
        given = plain(given)
        block = Block(kind, given + plain(text), len(given))
        self._blocks.append(block)
        if self._width:
            self._lay_out(block)
            self._show_end()

    def extend(self, text: str) -> None:
        """The last block grows."""
        block = self._blocks[-1]
        block.text += plain(text)
        if self._width:
            last = self._lines.pop()
            self._wrap(block, last.start)
            self._show_end()

    def clear(self) -> None:
        """Away with everything."""
        self._blocks.clear()
        self._lines.clear()
        self._show_end()

    @property
    def text(self) -> str:
        """All of it, as it stands on the screen, unwrapped."""
        return "\n".join(block.text for block in self._blocks)

    # Lines -------------------------------------------------------------------------------------------------------

    def _lay_out(self, block: Block) -> None:
        """The lines of a block, after an empty one unless it belongs to what stands above it."""
        if self._lines and block.kind != "figures":
            self._lines.append(Line(None))
        self._wrap(block, 0)

    def _wrap(self, block: Block, start: int) -> None:
        lines = wrap(block.text[start:], self._width)
        self._lines += [Line(block, start + a, start + b) for a, b in lines]

    def _show_end(self) -> None:
        self.virtual_size = Size(self._width, len(self._lines))
        if self._following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remembered, because a resize moves the end away from a reader who follows it."""
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= self.max_scroll_y

    def on_resize(self) -> None:
        """Wrap everything anew, and keep what stood at the top where it was."""
        width = min(WIDEST, self.scrollable_content_region.width - 2 * MARGIN)
        if width == self._width:
            self._show_end()
            return
        top = min(self.scroll_offset.y, len(self._lines) - 1)
        anchor = self._lines[top] if self._lines else Line(None)
        following, self._width = self._following, width
        self._lines = []
        for block in self._blocks:
            self._lay_out(block)
        self.virtual_size = Size(width, len(self._lines))
        if following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        else:
            place = (n for n, x in enumerate(self._lines) if x.block is anchor.block and x.end > anchor.start)
            self.scroll_to(y=next(place, 0), animate=False)

    # Drawing -----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the view."""
        number = y + self.scroll_offset.y
        width, base = self.scrollable_content_region.width, self.rich_style
        if number >= len(self._lines) or (line := self._lines[number]).block is None:
            return Strip.blank(width, base)
        strip = Strip(self._segments(line, number)).apply_offsets(0, number)
        margin = max(0, (width - self._width) // 2)
        bar = line.block.kind in ("ask", "error")
        bar_style = base + self.get_component_rich_style("transcript--bar")
        edge = [Segment(" " * (margin - 2), base), Segment("▌ " if bar else "  ", bar_style)]
        return Strip([*edge, *strip]).adjust_cell_length(width, base)

    def _segments(self, line: Line, number: int) -> list[Segment]:
        """The text of a line in its styles, and the cursor behind the last character while it is written."""
        block = line.block
        assert block is not None
        base = self.rich_style
        style = base + self.get_component_rich_style(f"transcript--{block.kind}")
        given = base + self.get_component_rich_style("transcript--ask")
        middle = min(max(block.given, line.start), line.end)
        segments = [Segment(block.text[line.start : middle], given), Segment(block.text[middle : line.end], style)]
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(number)) is not None:
            segments = self._selected(segments, *span)
        if self.writing and number == len(self._lines) - 1:
            segments.append(Segment("▍", base + self.get_component_rich_style("transcript--bar")))
        return [segment for segment in segments if segment.text]

    def _selected(self, segments: list[Segment], start: int, end: int) -> list[Segment]:
        mark = self.screen.get_component_rich_style("screen--selection")
        marked, at = [], 0
        for text, style, _ in segments:
            a, b = (min(max(0, (x if x >= 0 else 1 << 30) - at), len(text)) for x in (start, end))
            marked += [
                Segment(text[:a], style),
                Segment(text[a:b], (style or Style()) + mark),
                Segment(text[b:], style),
            ]
            at += len(text)
        return marked

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, lines that were only wrapped joined again."""
        lines = []
        for number, line in enumerate(self._lines):
            span = selection.get_span(number)
            if span is None:
                continue
            text = "" if line.block is None else line.block.text[line.start : line.end]
            lines.append(text[span[0] : span[1] if span[1] >= 0 else None])
            wrapped = line.block is not None and line.block.text[line.end : line.end + 1] not in ("", "\n")
            lines.append("" if wrapped else "\n")
        return "".join(lines[:-1]), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw it."""
        self.refresh()
