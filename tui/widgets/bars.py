"""The distribution of the next token as bars."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from charrnn.config import SamplingConfig
from charrnn.plain import plain, visible
from charrnn.prospects import Prospect
from charrnn.turns import Next
from tui.strings import Words

NAME = 14  # cells of a token's text
EIGHTHS = " ▏▎▍▌▋▊▉"
GHOST = "╎"
MORE = "▶"
NETWORK, MEMORY = "█", "▒"


class Bar(NamedTuple):
    """A line of the bars."""

    name: str
    share: float
    """The probability of being drawn."""
    before: float | None
    """The same under the setting before."""
    cut: str = ""
    """The filter that cut it, if one did."""
    network: float | None = None
    """How much of it is the network's, where a memory has a say."""
    rank: int | None = None
    """None of the others together."""


def bar(share: float, cells: int, network: float | None = None) -> str:
    """So much of so many cells, to an eighth of one; with a memory to whole ones, its part in another pattern."""
    if network is not None:
        whole = round(min(1.0, max(0.0, share)) * cells)
        own = round(whole * min(1.0, network))
        return NETWORK * own + MEMORY * (whole - own)
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return (NETWORK * full + (EIGHTHS[rest] if rest else ""))[:cells]


class Bars(Widget):
    """The first candidates by falling probability and one bar for the rest, as they are drawn now; a mark on each where
    the setting before had it; what a filter cut is named, not drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"bars--{name}" for name in ("name", "number", "drawn", "memory", "cut", "ghost", "cursor")
    }

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words
        self._place: Next | None = None
        self._config: SamplingConfig | None = None
        self._before: SamplingConfig | None = None
        self._rows: tuple[int, list[Bar]] = 0, []  # for a height
        self.prospect: Prospect | None = None
        """What is shown."""

    def show(self, place: Next, config: SamplingConfig) -> None:
        """Another place, or another setting; the setting before leaves its mark."""
        if config != self._config:
            self._before, self._config = self._config, config
        self._place = place
        self.prospect = place.prospects.under(config)
        self.redraw()

    def redraw(self) -> None:
        """Something else is to be seen."""
        self._rows = 0, []
        self.refresh()

    def ranks(self, count: int) -> range:
        """Those that are seen, so many at most."""
        return range(count)

    def _shown(self) -> list[Bar]:
        """What stands in the lines there are, which are drawn one by one."""
        height = self.size.height
        if self._rows[0] != height:
            self._rows = height, self.rows(height)
        return self._rows[1]

    def rows(self, height: int) -> list[Bar]:
        """What stands in so many lines; the last one is all others together, so that they sum to 1."""
        prospect, place = self.prospect, self._place
        if prospect is None or place is None or height < 2:
            return []
        drawn, before = prospect.drawn, None
        if self._before is not None:  # perhaps in another order
            ghost = place.prospects.under(self._before)
            before = np.zeros(ghost.ids.max() + 1)
            before[ghost.ids] = ghost.drawn
        found = []
        seen = self.ranks(min(height - 1, len(prospect.ids)))
        for rank in seen:
            token = int(prospect.ids[rank])
            found.append(
                Bar(
                    place.names.get(token, "…"),
                    float(drawn[rank]),
                    None if before is None else float(before[token]),
                    prospect.cut_by(rank) or "",
                    None if prospect.network is None else float(prospect.network[rank]),
                    rank,
                )
            )
        others = self._words["others"].format(f"{len(prospect.ids) - len(found):,}")
        rest = None if before is None else max(0.0, 1 - sum(row.before or 0 for row in found))
        return [*found, Bar(others, max(0.0, 1 - sum(row.share for row in found)), rest)]

    def render_line(self, y: int) -> Strip:
        """A bar."""
        width, rows = self.size.width, self._shown()
        if y >= len(rows):
            return Strip.blank(width, self.rich_style)
        longest = max(max(row.share, row.before or 0) for row in rows[:-1])
        return Strip(self.segments(rows[y], width, 1 / longest if longest else 1.0)).adjust_cell_length(
            width, self.rich_style
        )

    def segments(self, row: Bar, width: int, scale: float) -> list[Segment]:
        """A line. The longest candidate fills it; the bar of the rest may be cut at its end."""
        style = {part: self._style(part) for part in ("name", "number", "drawn", "memory", "cut", "ghost")}
        left = f"{set_cell_size(plain(row.name) if row.rank is None else visible(row.name), NAME)} {row.share:7.4f} "
        if row.cut:
            return [Segment(left + self._words["cut"].format(row.cut.replace("_", "-")), style["cut"])]
        cells, share = max(1, width - cell_len(left)), row.share * scale
        drawn = MORE.rjust(cells, NETWORK) if share > 1 + 1e-9 else bar(share, cells, row.network).ljust(cells)
        at = cells if row.before is None else min(cells - 1, round(row.before * scale * cells))
        return [
            Segment(left[: len(left) - 9], style["name"]),
            Segment(left[len(left) - 9 :], style["number"]),
            *_patterns(drawn[:at], style),
            Segment(GHOST if at < cells else "", style["ghost"]),
            *_patterns(drawn[at + 1 :], style),
        ]

    def _style(self, part: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"bars--{part}")


def _patterns(drawn: str, style: dict[str, Style]) -> list[Segment]:
    own = drawn.replace(MEMORY, "").rstrip() if MEMORY in drawn else drawn
    return [Segment(own, style["drawn"]), Segment(drawn[len(own) :], style["memory"])]
