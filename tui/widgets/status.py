"""The line at the top: what this is, and what is going on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from charrnn.plain import one_line
from tui.strings import Words

if TYPE_CHECKING:
    from charrnn.session import Session
    from charrnn.turns import Mode


class Status(Horizontal):
    """A title on the left, a state on the right."""

    def compose(self) -> ComposeResult:
        """Two texts."""
        yield Static(id="title", markup=False)
        yield Static(id="state", markup=False)

    def show(self, words: Words, mode: Mode, session: Session | None, failed: str | None, *, writing: bool) -> None:
        """The model and the mode; and whether there is a model, and how fast it writes."""
        parts = ["charrnn"] if session is None else ["charrnn", one_line(session.title)]
        parts.append(words[mode])
        if session is not None and session.remembers:
            parts.append(words["memory"])
        self.query_one("#title", Static).update(" · ".join(parts))
        self.query_one("#state", Static).update(_state(words, session, failed, writing=writing))


def _state(words: Words, session: Session | None, failed: str | None, *, writing: bool) -> str:
    if failed is not None:
        return words["failed"]
    if session is None:
        return words["loading"]
    turns = session.turns[-1:] if writing else []
    if not turns:
        return words["ready"]
    turn = turns[0]
    rate = f" · {turn.rate:,.0f} {words['rate']}" if turn.rate else ""
    return f"{words['writing']} · {turn.characters:,} {words['characters']}{rate}"
