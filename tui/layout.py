"""A conversation as lines of text.

Text is kept once, as strings, with a table of where its lines begin: an answer that grows costs the wrapping of its
last line, however long the conversation is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from charrnn.plain import plain
from tui.lines import wrap

Kind = Literal["ask", "answer", "note", "error", "figures"]
Ink = Literal["", "ask", "mark", "shade-1", "shade-2", "shade-3"]
"""How a stretch is drawn, where otherwise than its block: what the person gave, a mark of ours, a surprise."""
INKS: tuple[Ink, ...] = ("", "ask", "mark", "shade-1", "shade-2", "shade-3")
SHADES = (2.0, 5.0, 9.0)
"""Bits from which on a surprise is shaded: probabilities of 1/4, 1/32, 1/512."""


def shade(bits: float) -> Ink:
    """How text so surprising is drawn; what is not known is not shaded."""
    return INKS[INKS.index("mark") + level] if (level := sum(bits >= least for least in SHADES)) else ""


@dataclass
class Block:
    """A stretch of the conversation in one style, but for parts of it."""

    kind: Kind
    text: str = ""
    _ends: array[int] = field(default_factory=lambda: array("I"), repr=False)
    _inks: array[int] = field(default_factory=lambda: array("B"), repr=False)

    def write(self, runs: Sequence[tuple[str, Ink]]) -> None:
        """It grows; control characters become visible symbols."""
        known = [(plain(text), ink) for text, ink in runs if text]
        end = len(self.text)
        for text, ink in known:
            end += len(text)
            number = INKS.index(ink)
            if self._inks and self._inks[-1] == number:
                self._ends[-1] = end
            else:
                self._ends.append(end)
                self._inks.append(number)
        self.text += "".join(text for text, _ in known)

    def parts(self, start: int, end: int) -> Iterator[tuple[str, Ink]]:
        """The stretches between two places, in order."""
        place = bisect_right(self._ends, start)
        while start < end:
            stop = min(end, self._ends[place])
            yield self.text[start:stop], INKS[self._inks[place]]
            start, place = stop, place + 1


class Line(NamedTuple):
    """A line on screen: which part of which block; no block is an empty line."""

    block: Block | None
    start: int = 0
    end: int = 0


class Layout:
    """Blocks of text, the last of which may grow, in lines of so many cells; a width of 0 has no lines yet."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.lines: list[Line] = []
        self.width = 0

    def add(self, kind: Kind, text: str = "", ink: Ink = "") -> None:
        """A new block at the end."""
        block = Block(kind)
        block.write([(text, ink)])
        self.blocks.append(block)
        self._lay_out(block)

    def extend(self, runs: Sequence[tuple[str, Ink]]) -> None:
        """The last block grows."""
        block = self.blocks[-1]
        block.write(runs)
        if self.width:
            last = self.lines.pop()
            self._wrap(block, last.start)

    def cut(self, blocks: int) -> None:
        """Keep only so many blocks."""
        gone = {id(block) for block in self.blocks[blocks:]}
        del self.blocks[blocks:]
        while self.lines and (self.lines[-1].block is None or id(self.lines[-1].block) in gone):
            self.lines.pop()

    def wrap_to(self, width: int) -> None:
        """Wrap everything anew."""
        self.width, self.lines = width, []
        for block in self.blocks:
            self._lay_out(block)

    def find(self, line: Line) -> int:
        """The number of the line that now holds the beginning of one from before, which has a block."""
        return next((n for n, x in enumerate(self.lines) if x.block is line.block and x.end > line.start), 0)

    def _lay_out(self, block: Block) -> None:
        """The lines of a block, after an empty one unless it belongs to what stands above it."""
        if self.width:
            if self.lines and block.kind != "figures":
                self.lines.append(Line(None))
            self._wrap(block, 0)

    def _wrap(self, block: Block, start: int) -> None:
        self.lines += [Line(block, start + a, start + b) for a, b in wrap(block.text[start:], self.width)]
