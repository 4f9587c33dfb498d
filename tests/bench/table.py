"""What the measurements share: a training run as a user starts it, and a table of what it said."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def train(words: Sequence[str]) -> dict[str, float]:
    """Run `charrnn train WORDS`; its held-out figure, parameters, tokens a second and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        command = [sys.executable, "-m", "charrnn", "train", *words, "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        info = json.loads((out / "config.json").read_text(encoding="utf-8"))
        rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        size = (out / "model.safetensors").stat().st_size / (2 if info["training"]["store"] == "float16" else 4)
    seconds = rows[-1]["seconds"] - rows[0]["seconds"]
    tokens = rows[-1]["step"] * info["training"]["batch"] * info["training"]["window"]
    return {
        "bits": info["held_out"]["bits_per_character"],
        "characters": info["held_out"]["characters"],
        "parameters": size,
        "tokens": tokens / seconds,
        "seconds": rows[-1]["seconds"],
    }


def show(rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table; the first row is its head."""
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]), flush=True)
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |", flush=True)
