"""Keys that Textual reads as two where the Kitty protocol is off: Alt with an arrow is one key here."""

from __future__ import annotations

from enum import StrEnum


class AltArrow(StrEnum):
    """Names in the form that Textual gives its keys."""

    UP = "alt+up"
    DOWN = "alt+down"
    RIGHT = "alt+right"
    LEFT = "alt+left"


def join_alt_arrows() -> None:
    """Textual's table of sequences maps Alt+↑ to Escape and ↑, which would stop an answer; put the one key there.

    The table is no public interface: where a later Textual keeps it elsewhere, Ctrl+↑ and Ctrl+↓, and ← and → in the
    empty box, do the same.
    """
    try:
        from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
    except ImportError:
        return
    table: dict[str, object] = ANSI_SEQUENCES_KEYS  # type: ignore[assignment]
    table.update({f"\x1b[1;3{letter}": (key,) for letter, key in zip("ABCD", AltArrow, strict=True)})
