"""Breaking text into lines of so many terminal cells, the way Chinese is set.

Textual and rich break at spaces, which leaves Chinese with holes: here a line may end after any wide character, but no
line begins with a closing mark or ends with an opening one. (UAX #14 whole, as uniseg has it, costs a thousand times
more, and this runs while text streams in.)
"""

from __future__ import annotations

from rich.cells import split_graphemes

NOT_FIRST = frozenset("，。、；：？！）》」』】〉”’…—～·,.;:?!)]}%")
NOT_LAST = frozenset("（《「『【〈“‘([{")


def wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Lines of at most `width` cells as (start, end) in the text; a space may hang over. At least one line.

    Where a line begins, nothing before it matters: when text is added, the last line's start is where to wrap anew.
    """
    lines: list[tuple[int, int]] = []
    offset = 0
    for paragraph in text.split("\n"):
        lines += [(offset + start, offset + end) for start, end in _wrap_paragraph(paragraph, max(2, width))]
        offset += len(paragraph) + 1
    return lines


def _wrap_paragraph(text: str, width: int) -> list[tuple[int, int]]:
    lines: list[tuple[int, int]] = []
    start = used = 0
    cut = cut_used = 0  # the last place to break at, and the cells before it
    before, before_cells = "", 0
    for at, end, cells in split_graphemes(text)[0]:
        here = text[at:end]
        if at > start and _may_break(before, before_cells, here, cells):
            cut, cut_used = at, used
        while used + cells > width and at > start and here != " ":
            if cut <= start:
                cut, cut_used = at, used
            lines.append((start, cut))
            start, used = cut, used - cut_used
        used += cells
        before, before_cells = here, cells
    return [*lines, (start, len(text))]


def _may_break(before: str, before_cells: int, here: str, cells: int) -> bool:
    if here[:1] in NOT_FIRST or before[:1] in NOT_LAST or here == " ":
        return False
    return before == " " or before_cells == 2 or cells == 2


def last_cells(text: str, cells: int) -> str:
    """The end of a text, in so many cells at most."""
    used, start = 0, len(text)
    for at, _, wide in reversed(split_graphemes(text)[0]):
        used += wide
        if used > cells:
            break
        start = at
    return text[start:]
