"""Words in and out of the commands: standard input for "-", text as it comes, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from charrnn.errors import UsageError
from charrnn.plain import plain

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH = 32
# A lone "-" looks like an option to the parser; in its place goes a word that no command line can hold.
STANDARD_INPUT = "\0-"


def hide_dash(word: str) -> str:
    """A word for the parser."""
    return STANDARD_INPUT if word == "-" else word


def restore_dash(word: str) -> str:
    """The word as it was typed."""
    return word.replace(STANDARD_INPUT, "-")


def named_sources(words: Sequence[str]) -> list[str]:
    """The sources that were named. UsageError if there are none."""
    if not words:
        raise UsageError("name at least one file, folder or bundled corpus")
    return [restore_dash(word) for word in words]


def read_prompt(word: str) -> str:
    """The prompt, or standard input for "-"; bytes that are no UTF-8 become U+FFFD."""
    if word == STANDARD_INPUT:
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_text(texts: Iterable[str]) -> None:
    """Text as it comes; on a terminal, control characters as visible symbols."""
    show = plain if sys.stdout.isatty() else str
    for text in texts:
        sys.stdout.write(show(text))
        sys.stdout.flush()
    sys.stdout.write("\n")


@contextlib.contextmanager
def counting(line: str) -> Iterator[Callable[[int], None]]:
    """Of work that takes long: what it calls with how many more are done; on a terminal a last line says how many."""
    if not sys.stderr.isatty():
        yield lambda more: None
        return
    from rich.console import Console

    done = 0
    with Console(stderr=True).status("") as status:

        def add(more: int) -> None:
            nonlocal done
            done += more
            status.update(line.format(done))

        yield add


def curve(values: Sequence[float], width: int = CURVE_WIDTH) -> str:
    """A small curve of block characters, lowest value lowest; a blank where a value is no number."""
    if len(values) > width:
        values = [values[i * (len(values) - 1) // (width - 1)] for i in range(width)]
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    span = (high - low) or 1.0
    return "".join(" " if math.isnan(v) else BLOCKS[round((v - low) / span * (len(BLOCKS) - 1))] for v in values)


def print_json(record: dict[str, Any]) -> None:
    """One object on one line."""
    print(json.dumps(record, ensure_ascii=False))
