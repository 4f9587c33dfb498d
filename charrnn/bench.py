"""`charrnn bench`: every cell on this machine at equal minutes, trained as a user trains it, and how fast it writes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import TrainingError

WRITTEN = 1000  # characters, to time generation
HEAD = (
    "run",
    "bits per character",
    "with memory",
    "and cache",
    "tokens/s",
    "million parameters",
    "writes characters/s",
    "seconds",
)


@dataclass(frozen=True)
class Run:
    """What came of `charrnn train`, or of another program."""

    bits_per_character: float
    """Held out, by the network alone."""
    with_memory: float | None
    with_cache: float | None
    """With what it has read of the held-out text, too."""
    tokens_per_second: float
    parameters: int
    seconds: float
    """All told, from the call to the end."""
    characters_per_second: float | None
    """Written by the network alone, one text."""
    curve: list[tuple[float, float]]
    """Seconds and held-out bits per character on the way."""

    def row(self, name: str) -> tuple[str, ...]:
        """Under HEAD."""
        return (
            name,
            f"{self.bits_per_character:.3f}",
            *(f"{bits:.3f}" if bits is not None else "" for bits in (self.with_memory, self.with_cache)),
            f"{self.tokens_per_second:,.0f}",
            f"{self.parameters / 1e6:.2f}",
            f"{self.characters_per_second:,.0f}" if self.characters_per_second is not None else "",
            f"{self.seconds:.0f}",
        )


def train_run(words: Sequence[str]) -> Run:
    """Run `charrnn train WORDS` in a process and a folder of its own. TrainingError says what it said if it failed."""
    from charrnn.model import load

    with tempfile.TemporaryDirectory(prefix="charrnn-bench-") as folder:
        out = Path(folder) / "model"
        command = [sys.executable, "-m", "charrnn", "train", *words, "--out", str(out)]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        seconds = time.monotonic() - started
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise TrainingError(f"charrnn train {' '.join(words)}: {said[-1]}")
        model = load(out)
        rows = [json.loads(row) for row in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    started = time.monotonic()
    written = len("".join(model.generate("", length=WRITTEN, seed=0)))
    writing = time.monotonic() - started
    training, info = model.info["training"], model.info
    tokens = rows[-1]["step"] * training["batch"] * training["window"]
    memory, cache = info["held_out_with_memory"], info["held_out_with_cache"]
    return Run(
        bits_per_character=info["held_out"]["bits_per_character"],
        with_memory=memory and memory["bits_per_character"],
        with_cache=cache and cache["bits_per_character"],
        tokens_per_second=tokens / (rows[-1]["seconds"] - rows[0]["seconds"]),
        parameters=sum(w.size for w in model.weights.values()),
        seconds=seconds,
        characters_per_second=written / writing,
        curve=[(row["seconds"], row["held_out_bits_per_character"]) for row in rows],
    )
