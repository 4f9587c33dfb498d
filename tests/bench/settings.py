"""Settings of a network that answers, one after another: what they cost on held-out text, and how well they answer.

usage: python tests/bench/settings.py FOLDER [--steps 3000] [--most 200] "" "--dropout 0.3" "--width 384 --prose 0.5" …

Each is a training on the bundled corpora with these options beside `--steps`, whose model stays in FOLDER under a name
of its own; a model that is there is not trained again. A row of the table is printed as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from answers import ask_model, groups, hits, read_sets

import charrnn
from charrnn.chat import DRAFTS
from charrnn.corpus import bundled_root

SCORES = ("held_out", "held_out_with_memory", "held_out_with_cache")
NAMES = ("alone", "with memory", "with cache")


def train(options: str, folder: Path, steps: int) -> Path:
    """The folder of the model."""
    path = folder / (re.sub(r"[^a-z0-9.]+", "-", f"{steps} {options}".lower()).strip("-"))
    if not (path / "config.json").exists() or json.loads((path / "config.json").read_text())["status"] != "finished":
        command = [sys.executable, "-m", "charrnn", "train", "corpus", "--steps", str(steps), *options.split()]
        command += ["--out", str(path), "--overwrite", "--json"]
        with (folder / f"{path.name}.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("options", nargs="+")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--most", type=int, default=200, help="questions of a group")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    questions = groups(read_sets(bundled_root() / "dialogues"), given.most)
    head = ["options", "MB", "best at", *NAMES, *questions]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for options in given.options:
        path = train(options, given.folder, given.steps)
        info = json.loads((path / "config.json").read_text())
        bits = [info[name]["bits_per_character"] if info[name] else None for name in SCORES]
        model = charrnn.load(path)
        found = [hits(ask_model(model, some, 0.3, DRAFTS), some)[0] for some in questions.values()]
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        row = [options or "–", f"{size:.1f}", str(info["best_step"])]
        row += [f"{x:.3f}" if x else "" for x in bits] + [f"{x:.3f}" for x in found]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
