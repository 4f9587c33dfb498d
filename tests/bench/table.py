"""What the measurements share: a table."""

from __future__ import annotations

from collections.abc import Sequence


def show(rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table; the first row is its head."""
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]), flush=True)
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |", flush=True)
