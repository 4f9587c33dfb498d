"""Whether the memory turns generation into copying: runs shared with the training text, and repetition.

usage: python tests/bench/copying.py MODEL [--characters 2000] [--temperatures 0.7,1]

The training text is that of the model's memory. A run is shared where it stands there letter for letter; a text of the
same kind that was never read says how much of that is natural (`--beside FILE`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from table import show

import charrnn

SEEDS, WINDOW = 4, 12


def shared_runs(text: str, read: str) -> Iterator[int]:
    """The lengths of the runs that stand in what was read and are not part of longer ones."""
    end = 0
    for start in range(len(text)):
        end = max(end, start)
        longer = end
        while longer < len(text) and text[start : longer + 1] in read:
            longer += 1
        if longer > end:
            yield longer - start
        end = longer


def figures(texts: list[str], read: str) -> list[str]:
    """Longest shared run, mean of such runs, share of windows that are shared, and of those that repeat."""
    runs = [run for text in texts for run in shared_runs(text, read)]
    windows = [[text[i : i + WINDOW] for i in range(len(text) - WINDOW)] for text in texts]
    shared = sum(window in read for some in windows for window in some) / sum(map(len, windows))
    repeated = 1 - sum(len(set(some)) for some in windows) / sum(map(len, windows))
    return [f"{max(runs)}", f"{sum(runs) / len(runs):.1f}", f"{shared:.3f}", f"{repeated:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--characters", type=int, default=2000)
    parser.add_argument("--temperatures", default="0.7,1")
    parser.add_argument("--beside", type=Path, help="a text that was not read")
    given = parser.parse_args()
    models = {name: charrnn.load(given.model, memory=name == "with") for name in ("without", "with")}
    memory = models["with"].memory
    if memory is None:
        raise SystemExit(f"{given.model} has no memory")
    read = models["with"].tokenizer.decode(memory.ngrams.tokens.tolist())
    rows = [["text", "longest shared run", "mean", f"shared windows of {WINDOW}", "repeated windows"]]
    if given.beside:
        text = given.beside.read_text(encoding="utf-8")
        spread = [text[i : i + given.characters] for i in range(0, len(text), max(1, len(text) // SEEDS))][:SEEDS]
        rows.append([given.beside.name, *figures(spread, read)])
    for temperature in map(float, given.temperatures.split(",")):
        for name, model in models.items():
            texts = [
                "".join(model.generate("", length=given.characters, temperature=temperature, seed=seed))
                for seed in range(SEEDS)
            ]
            rows.append([f"T {temperature:g}, {name} memory", *figures(texts, read)])
    show(rows)


if __name__ == "__main__":
    main()
