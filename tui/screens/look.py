"""Any character of an answer: what else could have stood there, and why this one did."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from charrnn.plain import one_line, plain
from charrnn.turns import Seen, Turn
from tui.events import LookedAt, OfPage
from tui.strings import STRINGS, Language
from tui.widgets.bars import SIGNS
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

    CSS_PATH = "look.tcss"
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
        self.query_one(Legend).language = "en" if self._words is STRINGS["en"] else "zh"
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
        self._look(self.turn, message.number)

    def take(self, event: OfPage) -> None:
        """What stands at a place, or why that cannot be said."""
        if not isinstance(event, LookedAt):
            return
        choices, figures = self.query_one(Choices), self.query_one("#figures", Static)
        self._seen = event.seen
        choices.display = event.seen is not None
        if event.seen is None:
            figures.update(plain(event.why))
        elif event.seen.number == self.query_one(Reader).number:  # else it has moved on
            choices.look(event.seen)
            figures.update("\n".join(self._figures(event.seen, choices)))

    def _figures(self, seen: Seen, choices: Choices) -> tuple[str, str]:
        words, prospect, rank = self._words, choices.prospect, choices.stood
        assert prospect is not None

        def name(token: int) -> str:
            return f"「{plain(seen.place.names.get(token, '…').translate(SIGNS))}」"

        first = words["seen"].format(
            name(seen.token), f"{prospect.drawn[rank]:.4f}", f"{prospect.model[rank]:.4f}", f"{rank + 1:,}",
            f"{-math.log2(max(prospect.model[rank], 1e-300)):.2f}", f"{prospect.entropy:.2f}",
        )  # fmt: skip
        uniform = self.turn.uniforms[seen.number]
        if math.isnan(uniform):
            return first, words["by_hand"]
        said = [words["drawn_at"].format(f"{seen.sampling.temperature:.2f}", f"{uniform:.4f}")]
        for where, step, crossing in zip(("below", "above"), (-1, 1), prospect.turns(uniform, rank), strict=True):
            if crossing is None:
                said.append(words[f"never_{where}"])
            else:
                other = prospect.ids[prospect.at(crossing * (1 + step * 1e-6)).choice(uniform)]
                said.append(words[where].format(f"{crossing:.3f}", name(int(other))))
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
