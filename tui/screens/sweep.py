"""One prompt at several temperatures, side by side, by the same random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Input, Static

from charrnn.config import SamplingConfig, read_temperatures
from charrnn.errors import CharRNNError, UsageError
from charrnn.export import write_texts
from charrnn.plain import one_line, plain
from charrnn.sweep import Column
from charrnn.sweep_report import as_csv, partings, records, table, texts
from tui.events import OfPage, SweepBegan, SweepEnded, Swept
from tui.strings import STRINGS, Language
from tui.web import hand_over
from tui.widgets.column import ColumnView
from tui.widgets.line import LineInput

TEMPERATURES = "0, 0.4, 0.8, 1.2, 2"
MOST = 8
LENGTH = 120  # characters of each
NARROWEST = 23  # cells of a column that stands beside others
REPAINTS = 20  # a second


class SweepScreen(Screen[int | None]):
    """Temperatures above, columns below; of the one that is taken the place among the answers to the prompt."""

    CSS_PATH: ClassVar[list[str]] = ["sweep.tcss", "../widgets/column.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False, priority=True),
        Binding("f7", "dismiss(None)", show=False, priority=True),
        Binding("ctrl+s", "export", show=False, priority=True),
    ]

    def __init__(
        self,
        prompt: str,
        language: Language,
        begin: Callable[[Sequence[float], int, int | None], int],
        stop: Callable[[int], None],
    ) -> None:
        """`begin` takes temperatures, characters, and the seed of the sweep before, if there was one on this page; it
        gives the number of a run, which `stop` takes."""
        super().__init__()
        self._prompt = prompt
        self._words = STRINGS[language]
        self._begin = begin
        self._stop = stop
        self._run: int | None = None  # that is on screen
        self._running = False
        self._seed: int | None = None
        self._columns: list[Column] = []
        self._stale = False
        self._before: int | None = None  # answers that the prompt had, once it has these

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Static(id="title", markup=False)
        yield LineInput(TEMPERATURES, placeholder=self._words["temperatures"], id="temperatures")
        yield VerticalScroll(id="columns", can_focus=False)
        yield Static(id="said", markup=False)
        yield Static(self._words["sweep_keys"], id="hints", markup=False)

    def on_mount(self) -> None:
        """It begins at once."""
        self.set_interval(1 / REPAINTS, self._draw)
        self.start(TEMPERATURES)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Again, at these."""
        self.start(message.value)

    def start(self, words: str) -> None:
        """At these temperatures, in the place of those before."""
        try:
            temperatures = read_temperatures(words)
            if len(temperatures) > MOST:
                raise UsageError(self._words["too_many"].format(MOST))
        except UsageError as error:
            self._say(str(error))
            return
        self._say("")
        self._end()
        self._columns = [Column(SamplingConfig(temperature=temperature), LENGTH) for temperature in temperatures]
        holder = self.query_one("#columns", VerticalScroll)
        holder.remove_children()
        holder.mount_all([ColumnView(column, self._words) for column in self._columns])
        self._arrange()
        self._run, self._running = self._begin(temperatures, LENGTH, self._seed), True
        self._title()

    def _end(self) -> None:
        if self._running and self._run is not None:
            self._stop(self._run)

    def take(self, event: OfPage) -> None:
        """It grows."""
        if not isinstance(event, SweepBegan | Swept | SweepEnded) or event.run != self._run:
            return
        match event:
            case SweepBegan(_, sampling):
                self._seed = sampling.seed
                for column in self._columns:
                    column.sampling = replace(sampling, temperature=column.sampling.temperature)
                self._title()
            case Swept(_, number, text, bits, entropy):
                self._columns[number].write(text, bits, entropy)
                self._stale = True
            case SweepEnded(_, turn, error, _):
                self._running = False
                self._title()
                self._before = None if turn is None else len(turn.alternatives) - len(self._columns)
                if error is not None:
                    self._say(error)
                elif isinstance(self.focused, Input):
                    self.query(ColumnView).first().focus()

    def _title(self) -> None:
        seed = "" if self._seed is None else f" · {self._words['seed']} {self._seed}"
        state = self._words["writing" if self._running else "ready"]
        self.query_one("#title", Static).update(f"{self._words['sweep']} · {state}{seed} · {one_line(self._prompt)}")

    def _say(self, text: str) -> None:
        line = self.query_one("#said", Static)
        line.display = bool(text)
        line.update(plain(text))

    def _draw(self) -> None:
        if self._stale:
            self._stale = False
            for view, parting in zip(self.query(ColumnView), partings(self._columns), strict=False):
                view.update(parting)

    def on_resize(self) -> None:
        """Beside one another, or one below the other."""
        self._arrange()

    def _arrange(self) -> None:
        wide = self.size.width >= NARROWEST * len(self._columns)
        self.query_one("#columns").set_class(wide, "-beside")
        self._stale = True

    def on_column_view_taken(self, message: ColumnView.Taken) -> None:
        """The answer that stands."""
        if not self._running and self._before is not None:
            self.dismiss(self._before + self._columns.index(message.view.column))

    def action_leave(self) -> None:
        """Stop; or, if nothing is written, close."""
        if self._running:
            self._end()
        else:
            self.dismiss(None)

    def action_export(self) -> None:
        """Into files, in the folder that the program was started in: figures, and texts with them."""
        rows = records([self._columns])
        shown = "\n".join([self._prompt, "", *table([self._columns]), *texts(self._columns), ""])
        try:
            files = write_texts(Path(), f"sweep {self._prompt}", {".csv": as_csv(rows), ".txt": shown})
        except CharRNNError as error:
            self._say(str(error))
            return
        hand_over(self.app, files)
        self._say(self._words["exported"].format(", ".join(map(str, files))))
