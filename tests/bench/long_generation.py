"""Rate and memory along a very long text: both should stay where they are."""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from table import show

import charrnn


def resident() -> float:
    """Resident memory in MB: the present one where the system says it, else the highest so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10)
    given = parser.parse_args()
    texts = charrnn.load(given.model).generate("", length=given.characters, temperature=0.8, seed=1)
    rows = [["characters", "characters/s", "resident MB"]]
    each, written, since = given.characters // given.rows, 0, time.monotonic()
    for text in texts:
        written += len(text)
        if written >= each * len(rows):
            now = time.monotonic()
            rows.append([f"{written:,}", f"{each / (now - since):,.0f}", f"{resident():.1f}"])
            since = now
    show(rows)


if __name__ == "__main__":
    main()
