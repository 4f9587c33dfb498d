"""The conversation on screen, drawn line by line: a repaint costs the lines that are seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tui.layout import INKS, Ink, Kind, Layout, Line

WIDEST = 96  # cells of a line of text: longer ones are hard to read
MARGIN = 2


class Transcript(ScrollView):
    """Blocks of text, the last of which may grow. The view follows the end unless the reader scrolled up."""

    can_focus = False
    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"transcript--{name}" for name in ("answer", "note", "error", "figures", "bar", *INKS[1:])
    }

    def __init__(self) -> None:
        super().__init__()
        self._flow = Layout()
        self._following = True
        self.writing = False
        self.shaded = False
        """Whether surprises are seen."""

    # Content -----------------------------------------------------------------------------------------------------

    def add(self, kind: Kind, text: str = "", ink: Ink = "") -> None:
        """A new block at the end; control characters become visible symbols."""
        self._flow.add(kind, text, ink)
        self._show_end()

    def extend(self, runs: Sequence[tuple[str, Ink]]) -> None:
        """The last block grows."""
        self._flow.extend(runs)
        self._show_end()

    def shade(self, shaded: bool) -> None:
        """See surprises, or not."""
        self.shaded = shaded
        self.refresh()

    @property
    def length(self) -> int:
        """Number of blocks."""
        return len(self._flow.blocks)

    def cut(self, blocks: int = 0) -> None:
        """Keep only so many blocks."""
        self._flow.cut(blocks)
        self._show_end()

    @property
    def text(self) -> str:
        """All of it, as it stands on the screen, unwrapped."""
        return "\n".join(block.text for block in self._flow.blocks)

    # Scrolling ---------------------------------------------------------------------------------------------------

    def _show_end(self) -> None:
        text = self._flow
        if text.width:
            self.virtual_size = Size(text.width, len(text.lines))
            if self._following:
                self.scroll_end(animate=False, immediate=True, x_axis=False)
            self.refresh()

    def follow(self) -> None:
        """To the end, and stay there while it grows."""
        self._following = True
        self._show_end()

    def page(self, pages: int) -> None:
        """Read back, or forth."""
        self.scroll_relative(y=pages * max(1, self.size.height - 2), animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remembered, because a resize moves the end away from a reader who follows it."""
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= self.max_scroll_y

    def on_resize(self) -> None:
        """Wrap everything anew, and keep what stood at the top where it was."""
        text, width = self._flow, min(WIDEST, self.scrollable_content_region.width - 2 * MARGIN)
        if width == text.width:
            self._show_end()
            return
        anchor = next((line for line in text.lines[self.scroll_offset.y :] if line.block), Line(None))
        following = self._following
        text.wrap_to(width)
        self.virtual_size = Size(width, len(text.lines))
        if following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        else:
            self.scroll_to(y=text.find(anchor), animate=False)

    @property
    def _margin(self) -> int:
        """Cells left of the text."""
        return max(0, (self.scrollable_content_region.width - self._flow.width) // 2)

    # Drawing -----------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the view."""
        number = y + self.scroll_offset.y
        width, base = self.scrollable_content_region.width, self.rich_style
        if number >= len(self._flow.lines) or (line := self._flow.lines[number]).block is None:
            return Strip.blank(width, base)
        strip = Strip(self._segments(line, number)).apply_offsets(0, number)
        margin = self._margin
        bar = line.block.kind in ("ask", "error")
        bar_style = base + self.get_component_rich_style("transcript--bar")
        edge = [Segment(" " * (margin - 2), base), Segment("▌ " if bar else "  ", bar_style)]
        return Strip([*edge, *strip]).adjust_cell_length(width, base)

    def _segments(self, line: Line, number: int) -> list[Segment]:
        """The text of a line in its styles, and the cursor behind the last character while it is written."""
        block = line.block
        assert block is not None
        base = self.rich_style
        segments = []
        for text, ink in block.parts(line.start, line.end):
            name = block.kind if not ink or (ink.startswith("shade") and not self.shaded) else ink
            segments.append(Segment(text, base + self.get_component_rich_style(f"transcript--{name}")))
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(number)) is not None:
            segments = marked(segments, *span, self.screen.get_component_rich_style("screen--selection"))
        if self.writing and number == len(self._flow.lines) - 1:
            segments.append(Segment("▍", base + self.get_component_rich_style("transcript--bar")))
        return [segment for segment in segments if segment.text]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, lines that were only wrapped joined again."""
        lines = []
        for number, line in enumerate(self._flow.lines):
            span = selection.get_span(number)
            if span is None:
                continue
            if line.block is not None:  # without marks, which are ours
                end = line.end if span[1] < 0 else min(line.end, line.start + span[1])
                parts = line.block.parts(line.start + span[0], end)
                lines.append("".join(text for text, ink in parts if ink != "mark"))
            wrapped = line.block is not None and line.block.text[line.end : line.end + 1] not in ("", "\n")
            lines.append("" if wrapped else "\n")
        return "".join(lines[:-1]), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw it."""
        self.refresh()


def marked(segments: Sequence[Segment], start: int, end: int, mark: Style) -> list[Segment]:
    """The segments of a line with a stretch of its characters in another style; −1 is its end."""
    found, at = [], 0
    for text, style, _ in segments:
        a, b = (min(max(0, (x if x >= 0 else 1 << 30) - at), len(text)) for x in (start, end))
        found += [Segment(text[:a], style), Segment(text[a:b], (style or Style()) + mark), Segment(text[b:], style)]
        at += len(text)
    return [segment for segment in found if segment.text]
