"""From one megabyte of text to a thousand: what preparing and training cost, and in how much memory.

usage: python tests/bench/scale.py TEXT FOLDER [--megabytes 1 10 100 1000] [--parts encode,prepare,train,ranks]

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
BATCHES = 32, 128  # of both ranks; what they exchange is the same
SAMPLED = 0.05  # seconds between two looks at a process


def build(text: Path, folder: Path, megabytes: int) -> Path:
    """A corpus of so many documents of a megabyte each, their lines drawn from the text in another order."""
    place = folder / f"corpus-{megabytes}"
    if place.is_dir():
        return place
    lines = [line for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    many = round(1_000_000 / (sum(len(line.encode()) + 1 for line in lines) / len(lines)))
    partly = folder / f"corpus-{megabytes}.part"
    shutil.rmtree(partly, ignore_errors=True)
    partly.mkdir(parents=True)
    for number in range(megabytes):
        chosen = random.Random(number).choices(lines, k=many)
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
    rows = [["MB", "seconds", "MB/s", "of them reading", "peak MB", "again, seconds", "peak MB"]]
    for megabytes, corpus in corpora.items():
        shutil.rmtree(folder / "cache", ignore_errors=True)
        command = [sys.executable, "-c", PREPARE, str(corpus)]
        seconds, peak, lines = run(command, folder)
        reading = next(second for second, line in lines if line.startswith("read "))
        again, second_peak, _ = run(command, folder)
        figures = f"{seconds:.1f}", f"{megabytes / seconds:.2f}", f"{reading:.1f}", f"{peak:.0f}"
        rows.append([str(megabytes), *figures, f"{again:.1f}", f"{second_peak:.0f}"])
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
        first = next(second for second, record in steps if "tokens_per_second" in record)
        rows.append([str(megabytes), f"{middle_rate(lines):,.0f}", f"{peak:.0f}", f"{first:.1f}"])
    show(rows)


ENCODE = """
import sys, time
from collections import deque
from pathlib import Path
from charrnn.parallel import encoded
from charrnn.spool import Stretch
from charrnn.vocabulary import train_tokenizer

if __name__ == "__main__":
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path(sys.argv[1]).iterdir())[:100]]
    tokenizer = train_tokenizer(texts[:5], "subword", size=8000)
    pieces = [text[start : start + 65536] for text in texts for start in range(0, len(text), 65536)]
    stretches = [Stretch(False, False, None, piece) for piece in pieces]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    processor = tokenizer._processor
    ways = {
        "alone": lambda: [processor.encode(piece, return_type="numpy") for piece in pieces],
        "lists": lambda: [processor.encode(piece) for piece in pieces],
        "threads": lambda: processor.encode(pieces, num_threads=2, return_type="numpy"),
        "one": lambda: deque(encoded(stretches, tokenizer, 1), maxlen=0),
        "two": lambda: deque(encoded(stretches, tokenizer, 2), maxlen=0),
    }
    for _ in range(5):
        for name, way in ways.items():
            start = time.monotonic()
            way()
            print(name, megabytes / (time.monotonic() - start), flush=True)
"""


def encoding(corpora: dict[int, Path], folder: Path) -> None:
    """The table of text to tokens, of 100 MB at most, by SentencePiece alone (to arrays, to lists, by two threads of
    its own) and by one and two threads of ours: medians of five rounds."""
    rows = [["MB", "SentencePiece, MB/s", "to lists", "two threads", "ours", "two threads", "one by one", "two by two"]]
    for megabytes, corpus in corpora.items():
        rates: dict[str, list[float]] = {}
        for _, line in run([sys.executable, "-c", ENCODE, str(corpus)], folder)[2]:
            name, rate = line.split()
            rates.setdefault(name, []).append(float(rate))
        alone, _, threads, one, two = found = [sorted(rate)[2] for rate in rates.values()]
        ratios = f"{one / alone:.2f}", f"{two / threads:.2f}"
        rows.append([str(min(megabytes, 100)), *(f"{rate:.1f}" for rate in found), *ratios])
    show(rows)


def ranks(corpora: dict[int, Path], folder: Path) -> None:
    """The table of two processes with a thread each beside one with two, the same batch together: five rounds."""
    rows = [["MB", "batch", "one rank of two threads, tokens/s", "two ranks of one", "ratio", "ratio of each round"]]
    corpus = min(corpora)
    for batch in BATCHES:
        train = ["-m", "charrnn", "train", str(corpora[corpus]), "--minutes", str(MINUTES / 2), "--json"]
        train += ["--tokenizer", "subword", "--vocabulary", "8000", "--width", "256", "--layers", "2"]
        train += ["--out", str(folder / "model"), "--overwrite"]
        torchrun = [sys.executable, "-m", "torch.distributed.run"]
        commands = [
            [sys.executable, *train, "--threads", "2", "--batch", str(batch)],
            [*torchrun, "--nproc-per-node", "2", *train, "--threads", "1", "--batch", str(batch // 2)],
        ]
        rates: list[list[float]] = [[], []]
        for _ in range(5):
            for found, command in zip(rates, commands, strict=True):
                found.append(middle_rate(run(command, folder)[2]))
        one, two = (sorted(found)[2] for found in rates)
        each = sorted(b / a for a, b in zip(*rates, strict=True))
        shown = ", ".join(f"{ratio:.2f}" for ratio in each)
        rows.append([str(corpus), str(batch), f"{one:,.0f}", f"{two:,.0f}", f"{each[2]:.2f}", shown])
    show(rows)


def middle_rate(lines: list[tuple[float, str]]) -> float:
    """The median of the tokens a second that a training told."""
    records = [json.loads(line) for _, line in lines]
    rates = sorted(record["tokens_per_second"] for record in records if "tokens_per_second" in record)
    return float(rates[len(rates) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--parts", default="encode,prepare,train,ranks")
    given = parser.parse_args()
    corpora = {n: build(given.text, given.folder, n) for n in given.megabytes}
    for part in given.parts.split(","):
        {"encode": encoding, "prepare": prepared, "train": trained, "ranks": ranks}[part](corpora, given.folder)
        print()


if __name__ == "__main__":
    main()
