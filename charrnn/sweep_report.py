"""A sweep for people and programs: a table, texts that show where they part, curves, CSV."""

from __future__ import annotations

import csv
import io
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charrnn.console import curve
from charrnn.errors import CharRNNError, UsageError
from charrnn.plain import plain
from charrnn.sweep import Column, divergence

FIGURES = ("entropy", "surprise", "distinct-1", "distinct-2", "distinct-3", "repeated", "seen")
CURVES = ("entropy", "surprise", "distinct-2", "repeated")
HEADS = {
    "entropy": "entropy, bits",
    "surprise": "bits/char",
    "repeated": "repeated run",
    "seen": "known pairs",
}
PARTING = "┊"


def figures_of(column: Column) -> dict[str, float]:
    """Every figure of a column; NaN where there is none."""
    seen = column.seen
    return {
        "entropy": column.entropy,
        "surprise": column.surprise,
        **{f"distinct-{n}": column.distinct(n) for n in (1, 2, 3)},
        "repeated": float(column.repeated),
        "seen": math.nan if seen is None else seen,
    }


def means(samples: Sequence[Sequence[Column]]) -> list[dict[str, float]]:
    """The figures of each temperature, over all samples."""
    return [
        {name: statistics.fmean(figures_of(column)[name] for column in columns) for name in FIGURES}
        for columns in zip(*samples, strict=True)
    ]


def partings(columns: Sequence[Column]) -> list[int | None]:
    """Where each column parts from the one before it."""
    return [None, *(divergence(a.text, b.text) for a, b in itertools.pairwise(columns))]


def table(samples: Sequence[Sequence[Column]]) -> list[str]:
    """Lines: a row a temperature, and under them the curves of every figure."""
    rows, parted = means(samples), partings(samples[0])
    heads = ["T", *(HEADS.get(name, name) for name in FIGURES), "parts at"]
    cells = [
        [
            f"{column.sampling.temperature:g}",
            *(_number(name, row[name]) for name in FIGURES),
            "" if place is None else str(place),
        ]
        for column, row, place in zip(samples[0], rows, parted, strict=True)
    ]
    cells.append(["", *(curve([row[name] for row in rows]) for name in FIGURES), ""])
    widths = [max(len(head), *(len(row[i]) for row in cells)) for i, head in enumerate(heads)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (heads, *cells)]


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if name == "repeated" else f"{value:.3f}"


def texts(columns: Sequence[Column]) -> list[str]:
    """Each text under its temperature, with a mark where it parts from the one before it."""
    lines = []
    for column, place in zip(columns, partings(columns), strict=True):
        text = column.text
        marked = text if place is None else text[:place] + PARTING + text[place:]
        lines += ["", f"T = {column.sampling.temperature:g}", plain(marked)]
    return lines


def records(samples: Sequence[Sequence[Column]]) -> list[dict[str, Any]]:
    """An object a text, for programs; null where there is no figure."""
    return [
        {
            "temperature": column.sampling.temperature,
            "seed": column.sampling.seed,
            **{name: None if math.isnan(value) else value for name, value in figures_of(column).items()},
            "parts_at": place,
            "text": column.text,
        }
        for columns in samples
        for column, place in zip(columns, partings(columns), strict=True)
    ]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a text, under their names."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same into a file. CharRNNError where it cannot be written."""
    try:
        path.write_text(as_csv(rows), encoding="utf-8", newline="")
    except OSError as error:
        raise CharRNNError(f"--csv {path}: cannot be written ({error.strerror})") from None


def draw(path: Path, samples: Sequence[Sequence[Column]]) -> None:
    """The curves over temperature as a picture, in the format that the name ends with. CharRNNError says what lacks."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'charrnn[plot]' (the table has curves, too)") from None
    figure = Figure(figsize=(9, 6), layout="constrained")
    temperatures = [column.sampling.temperature for column in samples[0]]
    rows = means(samples)
    for axes, name in zip(figure.subplots(2, 2).flat, CURVES, strict=True):
        axes.plot(temperatures, [row[name] for row in rows], marker="o", color="#c2410c")
        axes.set(title=HEADS.get(name, name), xlabel="temperature")
        axes.grid(alpha=0.3)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise CharRNNError(f"--plot {path}: cannot be drawn ({error})") from None
