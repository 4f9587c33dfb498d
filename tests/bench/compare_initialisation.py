"""Our initialisation against torch's own: the same cell, settings, seed and seconds."""

from __future__ import annotations

import argparse
import shlex

from table import show

from charrnn.bench import train_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument(
        "--steps", type=int, default=0, help="as many steps for both instead, free of the machine's noise"
    )
    parser.add_argument("--options", default="")
    given = parser.parse_args()
    budget = ["--steps", str(given.steps)] if given.steps else ["--minutes", str(given.minutes)]
    rows = [["cell", "ours", "torch's"]]
    for cell in ("rnn", "lstm", "gru"):
        row = [cell]
        for how in ("charrnn", "torch"):
            words = [given.train, "--valid", given.valid, "--cell", cell, "--initialisation", how, *budget]
            row.append(f"{train_run([*words, *shlex.split(given.options)]).bits_per_character:.4f}")
        rows.append(row)
    show(rows)


if __name__ == "__main__":
    main()
