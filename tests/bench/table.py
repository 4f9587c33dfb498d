"""What the measurements share: a training run as a user starts it, and a table of what it said."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def train(words: Sequence[str]) -> dict[str, Any]:
    """Run `charrnn train WORDS`; its held-out figures, parameters, tokens a second, seconds, and curve."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        command = [sys.executable, "-m", "charrnn", "train", *words, "--out", str(out)]
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.monotonic() - started
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
        "seconds": whole,
        "with_memory": (info["held_out_with_memory"] or {}).get("bits_per_character"),
        "curve": [(row["seconds"], row["held_out_bits_per_character"]) for row in rows],
    }


def show(rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table; the first row is its head."""
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]), flush=True)
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |", flush=True)
