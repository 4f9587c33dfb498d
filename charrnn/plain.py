"""Text that a terminal may show: what would steer it becomes visible symbols.

A model may write any character, and a file may hold any: escape sequences, or marks that turn the direction of a line.
"""

from __future__ import annotations

# Marks of direction, and separators that some terminals take for a line end.
_STEERING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0x2028, 0x2029, 0xFEFF}


def _symbol(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures, ␀ to ␟
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩"


_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n")}
_TABLE = {code: _symbol(code) for code in _CONTROLS | _STEERING} | {ord("\t"): "    "}


def plain(text: str) -> str:
    """The text with control and direction characters as symbols, tabs as spaces, line ends as they are."""
    return text.translate(_TABLE)
