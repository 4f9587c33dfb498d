"""Seconds from the shell to the first character of an answer, beside a framework's import; medians, alternating."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from table import show

COMMANDS = {
    "charrnn generate, first character": [sys.executable, "-m", "charrnn", "generate", "循环", "--length", "1"],
    "import torch": [sys.executable, "-c", "import torch; print(1, flush=True)"],
    "import textual.app": [sys.executable, "-c", "import textual.app; print(1, flush=True)"],
}


def seconds(command: list[str]) -> float:
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=11)
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(given.times):
        for name, command in COMMANDS.items():
            found[name].append(seconds(command))
    show([["what", "seconds (median)"], *([name, f"{statistics.median(times):.2f}"] for name, times in found.items())])


if __name__ == "__main__":
    main()
