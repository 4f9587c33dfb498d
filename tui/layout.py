"""A conversation as lines of text.

Text is kept once, as strings, with a table of where its lines begin: an answer that grows costs the wrapping of its
last line, however long the conversation is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from charrnn.plain import plain
from tui.lines import wrap

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

    @property
    def text(self) -> str:
        """What stands in it."""
        return "" if self.block is None else self.block.text[self.start : self.end]


class Layout:
    """Blocks of text, the last of which may grow, in lines of so many cells; a width of 0 has no lines yet."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.lines: list[Line] = []
        self.width = 0

    def add(self, kind: Kind, text: str = "", *, given: str = "") -> None:
        """A new block at the end; control characters become visible symbols."""
        given = plain(given)
        block = Block(kind, given + plain(text), len(given))
        self.blocks.append(block)
        self._lay_out(block)

    def extend(self, text: str) -> None:
        """The last block grows."""
        block = self.blocks[-1]
        block.text += plain(text)
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
