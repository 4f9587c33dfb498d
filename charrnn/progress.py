"""A training run on the terminal: a moving display where there is one, plain lines elsewhere, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charrnn.console import curve
from charrnn.plain import one_line
from charrnn.reports import Evaluated, Report, Said, Stepped

PLAIN_SECONDS = 15.0  # between plain lines about steps
SAMPLE_WIDTH = 60


class Display(Protocol):
    """Shows reports as they come."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *error: object) -> None: ...

    def say(self, line: str) -> None:
        """A line of talk."""

    def working(self, line: str) -> None:
        """What is being done, until there is something else to say."""

    def show(self, report: Report) -> None:
        """One report of the run."""


def make_display(*, as_json: bool) -> Display:
    """The display that fits where standard error goes."""
    if as_json:
        return JSONDisplay()
    console = Console(stderr=True, highlight=False)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def clock(seconds: float) -> str:
    """Minutes and seconds: 3:07."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


def _sample(text: str) -> str:
    """As much of it as stands in a line."""
    return one_line(text)[:SAMPLE_WIDTH]


def step_line(report: Stepped) -> str:
    """What there is to say of a step."""
    return (
        f"step {report.step:,}/{report.steps:,} · {clock(report.seconds_left)} left · "
        f"{report.tokens_per_second:,.0f} tokens/s · loss {report.loss:.3f} bits a token"
    )


class PlainDisplay:
    """A line an evaluation, and one now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._spoke = time.monotonic()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, line: str) -> None:
        """A line of talk."""
        self.console.print(Text(line), soft_wrap=True)

    def working(self, line: str) -> None:
        """Now and then a line of what takes long."""
        if time.monotonic() - self._spoke >= PLAIN_SECONDS:
            self.say(line)
            self._spoke = time.monotonic()

    def show(self, report: Report) -> None:
        """Show one report."""
        match report:
            case Stepped() if time.monotonic() - self._spoke >= PLAIN_SECONDS:
                self.say(step_line(report))
                self._spoke = time.monotonic()
            case Evaluated():
                self._evaluated(report)
            case Said():
                self.say(report.text)

    def _evaluated(self, report: Evaluated) -> None:
        self.say(f"step {report.step:,}: {report.bits_per_character:.3f} held-out bits a character")
        for temperature, text in report.samples.items():
            self.say(f"  at {temperature:g}: {_sample(text)}")
        self._spoke = time.monotonic()


class LiveDisplay(PlainDisplay):
    """A bar, the figures, the held-out curve and two samples, redrawn in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._step: Stepped | None = None
        self._last: Evaluated | None = None
        self._curve: list[float] = []
        self._live = Live(console=console, refresh_per_second=4, transient=False)
        self._working = console.status("")

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        self._working.stop()
        if self._live.is_started:
            self._live.update(self._picture(), refresh=True)
            self._live.stop()

    def working(self, line: str) -> None:
        """A last line that moves."""
        self._working.update(Text(line))
        self._working.start()

    def say(self, line: str) -> None:
        """A line of talk."""
        self._working.stop()
        super().say(line)

    def show(self, report: Report) -> None:
        """Show one report."""
        self._working.stop()
        match report:
            case Stepped():
                self._step = report
            case Evaluated():
                self._last = report
                self._curve.append(report.bits_per_character)
            case Said():
                self.say(report.text)
        if not self._live.is_started:
            self._live.start()
        self._live.update(self._picture())

    def _picture(self) -> Group:
        rows = Table.grid(padding=(0, 1))
        rows.add_column(style="dim", no_wrap=True, min_width=len("held out"))
        rows.add_column(no_wrap=True, overflow="ellipsis")
        parts: list[Table | ProgressBar | Text] = [rows]
        if self._step:
            parts.insert(0, ProgressBar(total=self._step.steps, completed=self._step.step))
            parts.insert(1, Text(step_line(self._step), no_wrap=True, overflow="ellipsis"))
        if last := self._last:
            rows.add_row(
                "held out",
                Text(f"{last.bits_per_character:.3f} bits a character, best {last.best:.3f}  {curve(self._curve)}"),
            )
            for temperature, text in last.samples.items():
                rows.add_row(f"at {temperature:g}", Text(_sample(text)))
        return Group(*parts)


class JSONDisplay:
    """An object a line on standard output; talk on standard error."""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, line: str) -> None:
        """Talk does not mix with the reports."""
        print(line, file=sys.stderr)

    def working(self, line: str) -> None:
        """Programs wait in silence."""

    def show(self, report: Report) -> None:
        """One object a line."""
        record = {"report": type(report).__name__.lower(), **asdict(report)}
        print(json.dumps(record, ensure_ascii=False, default=str), flush=True)


class SilentDisplay:
    """Nothing: another process speaks."""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, line: str) -> None:
        """It is said elsewhere."""

    def working(self, line: str) -> None:
        """It is said elsewhere."""

    def show(self, report: Report) -> None:
        """It is shown elsewhere."""
