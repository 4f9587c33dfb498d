"""The distribution of the next token as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from charrnn.plain import plain
from charrnn.prospects import Prospect
from tui.strings import Words

NAME = 14  # cells of a token's text
SIGNS = str.maketrans({" ": "␣", "\n": "⏎"})  # of what would not be seen
EIGHTHS = " ▏▎▍▌▋▊▉"
GHOST = "╎"
MORE = "▶"


class Bar(NamedTuple):
    """A line of the bars."""

    name: str
    share: float
    """The probability of being drawn."""
    before: float | None
    """The same under the setting before."""
    cut: str
    """The filter that cut it, if one did."""


def bar(share: float, cells: int) -> str:
    """So much of so many cells, to an eighth of one."""
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else ""))[:cells]


class Bars(Widget):
    """The first candidates by falling probability and one bar for the rest, as they are drawn now; a mark on each where
    the setting before had it; what a filter cut is named, not drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "bars--name",
        "bars--number",
        "bars--drawn",
        "bars--cut",
        "bars--ghost",
    }

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words
        self._names: Mapping[int, str] = {}
        self._now: Prospect | None = None
        self._before: Prospect | None = None
        self._rows: tuple[int, list[Bar]] = 0, []  # for a height

    def show(self, prospect: Prospect, names: Mapping[int, str]) -> None:
        """Another place, which has no setting before."""
        self._names, self._now = names, None
        self.change(prospect)

    def change(self, prospect: Prospect) -> None:
        """The same place under another setting."""
        self._now, self._before = prospect, self._now
        self._rows = 0, []
        self.refresh()

    def _shown(self) -> list[Bar]:
        """What stands in the lines there are, which are drawn one by one."""
        height = self.size.height
        if self._rows[0] != height:
            self._rows = height, self.rows(height)
        return self._rows[1]

    def rows(self, height: int) -> list[Bar]:
        """What stands in so many lines; the last one is all others together, so that they sum to 1."""
        prospect = self._now
        if prospect is None or height < 2:
            return []
        drawn = prospect.drawn
        before = self._before.drawn if self._before is not None else None
        shown = min(height - 1, len(prospect.ids))
        found = []
        for rank in range(shown):
            name = self._names.get(int(prospect.ids[rank]), "…")
            ghost = None if before is None else float(before[rank])
            found.append(Bar(name, float(drawn[rank]), ghost, prospect.cut_by(rank) or ""))
        others = self._words["others"].format(f"{len(prospect.ids) - shown:,}")
        rest = None if before is None else float(before[shown:].sum())
        return [*found, Bar(others, float(drawn[shown:].sum()), rest, "")]

    def render_line(self, y: int) -> Strip:
        """A bar."""
        width, base = self.size.width, self.rich_style
        rows = self._shown()
        if y >= len(rows):
            return Strip.blank(width, base)
        name, share, ghost, cut = rows[y]
        style = {
            part: base + self.get_component_rich_style(f"bars--{part}")
            for part in ("name", "number", "drawn", "cut", "ghost")
        }
        last = y == len(rows) - 1
        left = f"{set_cell_size(plain(name if last else name.translate(SIGNS)), NAME)} {share:7.4f} "
        cells = max(1, width - cell_len(left))
        if cut:
            said = self._words["cut"].format(cut.replace("_", "-"))
            return Strip([Segment(left + said, style["cut"])]).adjust_cell_length(width, base)
        longest = max(max(row.share, row.before or 0) for row in rows[:-1])
        scale = 1 / longest if longest else 1.0  # the longest candidate fills the line; the rest may be cut at its end
        drawn = MORE.rjust(cells, "█") if share * scale > 1 + 1e-9 else bar(share * scale, cells).ljust(cells)
        segments = [Segment(left[: len(left) - 9], style["name"]), Segment(left[len(left) - 9 :], style["number"])]
        if ghost is None:
            segments.append(Segment(drawn, style["drawn"]))
        else:
            at = min(cells - 1, round(ghost * scale * cells))
            segments += [
                Segment(drawn[:at], style["drawn"]),
                Segment(GHOST, style["ghost"]),
                Segment(drawn[at + 1 :], style["drawn"]),
            ]
        return Strip(segments).adjust_cell_length(width, base)
