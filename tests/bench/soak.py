"""An hour of generation and an hour of training, side by side: does either take more and more memory?

usage: python tests/bench/soak.py FOLDER [--minutes 60]

`charrnn generate --length 0` writes with the model that ships, `charrnn train corpus` trains into FOLDER. Anonymous
memory (RssAnon) is sampled every second. Slopes are those of least-squares lines through the samples of each third of
the time from a tenth to nine tenths: what comes before is start-up, what comes after is the end of training, and what a
cache takes until it is full is seen in the first alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from processes import anonymous
from table import show

FIRST, LAST = 0.1, 0.9  # of the time, whose samples count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    charrnn, model = [sys.executable, "-m", "charrnn"], str(given.folder / "model")
    commands = {
        "generate": [*charrnn, "generate", "--length", "0", "--seed", "1"],
        "train": [*charrnn, "train", "corpus", "--minutes", str(given.minutes), "--out", model, "--overwrite"],
    }
    out = {name: (given.folder / f"{name}.txt").open("wb") for name in commands}
    start = time.monotonic()
    running = {
        name: subprocess.Popen(command, stdout=out[name], stderr=subprocess.STDOUT)
        for name, command in commands.items()
    }
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    while time.monotonic() - start < given.minutes * 60:
        for name, process in running.items():
            if process.poll() is None:
                samples[name].append(((time.monotonic() - start) / 3600, anonymous(process.pid)))
        time.sleep(1)
    running["generate"].terminate()
    for process in running.values():
        process.wait()
    written = len((given.folder / "generate.txt").read_text(encoding="utf-8", errors="ignore"))
    rows = [["", "samples", "MB at the first", "MB at the last", "highest", "MB an hour, in each third"]]
    for name, found in samples.items():
        counted = np.array([at for at in found if FIRST <= at[0] * 60 / given.minutes <= LAST])
        slopes = [np.polyfit(*third.T, 1)[0] for third in np.array_split(counted, 3)]
        ends = f"{counted[0, 1]:.1f}", f"{counted[-1, 1]:.1f}", f"{max(size for _, size in found):.1f}"
        rows.append([name, str(len(counted)), *ends, " ".join(f"{slope:+.2f}" for slope in slopes)])
    show(rows)
    print(f"\n{written:,} characters were written")


if __name__ == "__main__":
    main()
