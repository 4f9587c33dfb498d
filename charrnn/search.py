"""Any run of characters of any text, found by an index of words.

Chinese has no blanks between words, and SQLite's own tokenizers find either whole clauses or nothing below three
characters. So a text is indexed as the pairs of its neighbouring characters: a phrase of pairs is a run of characters
found exactly, and a single character is the beginning of a pair. Small and capital letters, full and half width are
the same.
"""

from __future__ import annotations

import unicodedata

SNIPPET = 30  # characters around what was found


class _Folded(dict[int, str]):
    """Characters as the index has them: small letters of full width, so that each is one of a word; blanks and what
    steers are one kind of mark."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = unicodedata.normalize("NFKC", character).lower()
        folded = folded if len(folded) == 1 else character
        if "!" <= folded <= "~":
            folded = chr(ord(folded) + 0xFEE0)
        elif folded.isspace() or folded < "\x80" or "\ud800" <= folded <= "\udfff":
            folded = "\u3000"
        self[code] = folded
        return folded


_FOLDED = _Folded()


def pairs(text: str) -> str:
    """A text as words for the index: each character with the one after it, the last alone."""
    folded = text.translate(_FOLDED)
    return " ".join(folded[i : i + 2] for i in range(len(folded)))


def query(words: str) -> str:
    """What finds every text that holds all of some words, parted by blanks, anywhere; empty for none."""
    phrases = []
    for word in words.split():
        wide = pairs(word).split(" ")
        phrases.append(f'"{wide[0]}"*' if len(wide) == 1 else f'"{" ".join(wide[:-1])}"')
    return " ".join(phrases)


def snippet(text: str, words: str) -> str:
    """Of a text, what stands around the first of some words; its beginning, where that is not in it."""
    text = " ".join(text.split())
    at = max(0, text.translate(_FOLDED).find(words.split()[0].translate(_FOLDED)))
    start = max(0, at - SNIPPET // 3)
    return ("…" if start else "") + text[start : start + SNIPPET]
