"""Text that a terminal may show: what would steer it becomes visible symbols.

A model may write any character, and a file may hold any: escape sequences, marks that turn the direction of a line or
are not seen at all, halves of characters.
"""

from __future__ import annotations

import unicodedata

# Control and format characters, separators that some terminals take for a line end, and halves of surrogate pairs.
_STEERING = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_JOINERS = frozenset("\u200c\u200d")  # of emoji, and of scripts that join letters


class _Shown(dict[int, str]):
    """What is shown of a character, found when it is first seen."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) in _STEERING and character not in _JOINERS:
            character = f"⟨U+{code:04X}⟩"
        self[code] = character
        return character


# ␀ to ␟ and ␡ are the control pictures.
_SIGNS = str.maketrans({" ": "␣", "\n": "⏎"})
_SHOWN = _Shown({code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡", ord("\t"): "    ", ord("\n"): "\n"})


def plain(text: str) -> str:
    """The text with control and format characters as symbols, tabs as spaces, line ends as they are."""
    return text.translate(_SHOWN)


def visible(text: str) -> str:
    """The same of a token: blanks and line ends are seen, too."""
    return plain(text.translate(_SIGNS))


def one_line(text: str) -> str:
    """The same of a text that is to stand in one line: line ends and runs of blanks are one blank."""
    return plain(" ".join(text.split()))


def unsteered(text: str) -> str:
    """The text without what `plain` would show as a symbol: for boxes that people edit."""
    return "".join(c for c in text if c in "\n\t" or plain(c) == c)


def encodable(text: str) -> str:
    """The text with halves of surrogate pairs as question marks: files, databases and clipboards take no such half."""
    return text.encode("utf-8", "replace").decode("utf-8")
