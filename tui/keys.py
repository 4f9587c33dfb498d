"""The chat's keys; and Alt with an arrow, which Textual reads as two keys where the Kitty protocol is off, as one."""

from __future__ import annotations

from enum import StrEnum

# None that a terminal or a multiplexer takes, nor the text box for typing: see the README's table.
CHAT_KEYS = {
    "escape": "stop",
    "ctrl+t": "switch_mode",
    "ctrl+g": "switch_memory",
    "ctrl+n": "new_conversation",
    "ctrl+r,f5": "again",
    "alt+left": "other(-1)",
    "alt+right": "other(1)",
    "f4": "edit",
    "f8": "take_back",
    "f9": "copy_answer",
    "f1": "app.help",
    "f3": "app.next",
    "f6": "app.look",
    "f7": "app.sweep",
    "ctrl+s": "shade",
    "f2,ctrl+o": "app.conversations",
    "ctrl+l": "app.models",
    "alt+up,ctrl+up": "warmer(1)",
    "alt+down,ctrl+down": "warmer(-1)",
    "pageup": "page(-1)",
    "pagedown": "page(1)",
}


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
