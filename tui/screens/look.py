"""Any character of an answer: what else could have stood there, and why this one did."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from charrnn.plain import one_line, plain, visible
from charrnn.rereading import reason
from charrnn.turns import Seen, Turn
from tui.events import LookedAt, OfPage
from tui.strings import STRINGS, Language
from tui.widgets.choices import Choices
from tui.widgets.legend import Legend
from tui.widgets.reader import Reader


class Branch(NamedTuple):
    """An answer that is to part from one there is."""

    turn: Turn
    number: int
    token: int


class LookScreen(Screen[Branch | None]):
    """Above the answer, below what may stand under the cursor; Tab goes between them."""

    CSS_PATH: ClassVar[list[str]] = ["look.tcss", "../widgets/bars.tcss"]  # type: ignore[assignment]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (140, "-wide")]  # type: ignore[misc]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f6,q", "dismiss(None)", show=False, priority=True),
        Binding("pageup", "other(-1)", show=False, priority=True),
        Binding("pagedown", "other(1)", show=False, priority=True),
        Binding("enter", "choose", show=False),
    ]

    def __init__(self, turns: Sequence[Turn], language: Language, look: Callable[[Turn, int], None]) -> None:
        """`look` has `take` called with what stands there."""
        super().__init__()
        self._turns = turns
        self._place = len(turns) - 1
        self._language = language
        self._words = STRINGS[language]
        self._look = look
        self._seen: Seen | None = None

    @property
    def turn(self) -> Turn:
        """The answer that is looked at."""
        return self._turns[self._place]

    def compose(self) -> ComposeResult:
        """Title, answer, figures, candidates, keys."""
        yield Static(id="title", markup=False)
        yield Reader()
        yield Legend()
        yield Static(id="figures", markup=False)
        yield Choices(self._words)
        yield Static(self._words["look_keys"], id="hints", markup=False)

    def on_mount(self) -> None:
        """The last answer."""
        self.query_one(Legend).language = self._language
        self.query_one(Reader).focus()
        self._read()

    def _read(self) -> None:
        title = self._words["look_title"].format(self._place + 1, len(self._turns))
        self.query_one("#title", Static).update(f"{title} · {one_line(self.turn.prompt)}")
        self._seen = None
        self.query_one(Reader).read(self.turn, self._words)
        self._look(self.turn, 0)

    def on_reader_moved(self, message: Reader.Moved) -> None:
        """What stands there?"""
        self._seen = None  # what is shown below is of another place by now
        self._look(self.turn, message.number)

    def take(self, event: OfPage) -> None:
        """What stands at a place, or why that cannot be said."""
        if not isinstance(event, LookedAt) or event.turn is not self.turn:
            return
        choices, figures = self.query_one(Choices), self.query_one("#figures", Static)
        choices.display = event.seen is not None
        if event.seen is None:
            figures.update(plain(event.why))
        elif event.seen.number == self.query_one(Reader).number:  # else it has moved on
            self._seen = event.seen
            choices.look(event.seen)
            figures.update("\n".join(self._figures(event.seen)))

    def _figures(self, seen: Seen) -> tuple[str, str]:
        words, uniform = self._words, self.turn.uniforms[seen.number]
        why = reason(seen, uniform)

        def quoted(name: str) -> str:
            return f"「{visible(name)}」"

        first = words["seen"].format(
            quoted(why.name), f"{why.probability:.4f}", f"{why.model:.4f}", f"{why.rank + 1:,}", f"{why.bits:.2f}",
            f"{why.entropy:.2f}",
        )  # fmt: skip
        if math.isnan(uniform):
            return first, words["by_hand"]
        if seen.drafted:
            return first, words["drafted"].format(f"{seen.sampling.temperature:.2f}", f"{uniform:.4f}")
        said = [words["drawn_at"].format(f"{seen.sampling.temperature:.2f}", f"{uniform:.4f}")]
        for where, crossing in (("below", why.below), ("above", why.above)):
            if crossing is None:
                said.append(words[f"never_{where}"])
            else:
                said.append(words[where].format(f"{crossing.temperature:.3f}", quoted(crossing.instead)))
        return first, words["semicolon"].join(said)

    def action_other(self, step: int) -> None:
        """The answer before or after."""
        place = self._place + step
        if 0 <= place < len(self._turns):
            self._place = place
            self._read()

    def action_choose(self) -> None:
        """From the answer to its candidates."""
        self.query_one(Choices).focus()

    def on_choices_taken(self, message: Choices.Taken) -> None:
        """Branch there, unless nothing would change."""
        if self._seen is not None and message.token != self._seen.token:
            self.dismiss(Branch(self.turn, self._seen.number, message.token))
