"""From one megabyte of text to a thousand: what preparing and training cost, and in how much memory.

usage: python tests/bench/scale.py TEXT FOLDER [--megabytes 1 10 100 1000] [--parts prepare,train,ranks]

TEXT is any reference text (`texts.py` builds some); its lines, repeated and permuted by rule, fill corpora of so many
megabytes in FOLDER, a document a megabyte. Each figure is of a process of its own, its peak of anonymous memory
(RssAnon; mapped pages are the system's to take) sampled twenty times a second. The cache is one in FOLDER, which is
emptied before each first run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from processes import anonymous
from table import show

MINUTES = 1.0
SAMPLED = 0.05  # seconds between two looks at a process


def build(text: Path, folder: Path, megabytes: int) -> Path:
    """A corpus of so many documents of a megabyte each, their lines drawn from the text in another order."""
    place = folder / f"corpus-{megabytes}"
    if place.is_dir():
        return place
    lines = [line for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    partly = folder / f"corpus-{megabytes}.part"
    shutil.rmtree(partly, ignore_errors=True)
    partly.mkdir(parents=True)
    for number in range(megabytes):
        rng, size, chosen = random.Random(number), 0, []
        while size < 1_000_000:
            line = rng.choice(lines)
            chosen.append(line)
            size += len(line.encode()) + 1
        (partly / f"{number:05}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    partly.rename(place)
    return place


def listen(process: subprocess.Popen[str], start: float, lines: list[tuple[float, str]]) -> None:
    """Lines as they come, with the second of each."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.append((time.monotonic() - start, line))


def run(command: list[str], folder: Path) -> tuple[float, float, list[tuple[float, str]]]:
    """Seconds, peak MB, and the lines it wrote with the second of each."""
    start, peak = time.monotonic(), 0.0
    lines: list[tuple[float, str]] = []
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        reader = threading.Thread(target=listen, args=(process, start, lines))
        reader.start()
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(SAMPLED)
        reader.join()
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.monotonic() - start, peak, lines


PREPARE = """
import sys
from charrnn.dataset import prepare
prepare([sys.argv[1]], kind="subword", vocabulary=8000, say=lambda line: print(line, flush=True))
"""


def prepared(corpora: dict[int, Path], folder: Path) -> None:
    """The table of preparing, first and again."""
    rows = [["MB", "seconds", "MB/s", "peak MB", "again, seconds", "peak MB"]]
    for megabytes, corpus in corpora.items():
        shutil.rmtree(folder / "cache", ignore_errors=True)
        command = [sys.executable, "-c", PREPARE, str(corpus)]
        seconds, peak, _ = run(command, folder)
        again, second_peak, _ = run(command, folder)
        rows.append(
            [str(megabytes), f"{seconds:.1f}", f"{megabytes / seconds:.2f}", f"{peak:.0f}", f"{again:.1f}",
             f"{second_peak:.0f}"]
        )  # fmt: skip
    show(rows)


def trained(corpora: dict[int, Path], folder: Path) -> None:
    """The table of training: its rate, its memory, and how long a second run takes to its first step."""
    rows = [["MB", "tokens/s", "peak MB", "first step of a second run, seconds"]]
    for megabytes, corpus in corpora.items():
        command = [sys.executable, "-m", "charrnn", "train", str(corpus), "--minutes", str(MINUTES), "--json"]
        command += ["--tokenizer", "subword", "--vocabulary", "8000"]  # the same network for all
        command += ["--out", str(folder / "model"), "--overwrite"]
        run(command, folder)
        _, peak, lines = run(command, folder)
        steps: list[tuple[float, dict[str, Any]]] = [(second, json.loads(line)) for second, line in lines]
        rates = [record["tokens_per_second"] for _, record in steps if "tokens_per_second" in record]
        first = next(second for second, record in steps if "tokens_per_second" in record)
        rows.append([str(megabytes), f"{sorted(rates)[len(rates) // 2]:,.0f}", f"{peak:.0f}", f"{first:.1f}"])
    show(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--parts", default="prepare,train")
    given = parser.parse_args()
    corpora = {n: build(given.text, given.folder, n) for n in given.megabytes}
    for part in given.parts.split(","):
        {"prepare": prepared, "train": trained}[part](corpora, given.folder)
        print()


if __name__ == "__main__":
    main()
