"""Held-out bits per character at equal minutes: our cells, what a reader would otherwise train, and compressors.

usage: python tests/bench/training.py TRAIN VALID [--minutes 5] [--runs mingru,gru,…] [--plot FILE.svg]

One run after another, and one table: bits per character of VALID by the network alone, with its memory, and with the
cache of VALID itself; tokens a second, parameters. Minutes are all told: reading, tokenizing, training, memory, gate,
and for ours the scoring, too. A compressor's figure is what VALID adds to TRAIN when both are compressed together; it
adapts to VALID while it reads it. A name may carry options: `gru:--tokenizer char`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from plot import line_plot
from table import show

from charrnn.bench import HEAD, Run, train_run

PEERS = ("char-rnn", "word-language-model", "nanogpt")
CELLS = ("mingru", "gru", "lstm", "rnn")
COMPRESSORS = ("xz", "ppmd", "zpaq")  # of the packages xz-utils (in Python itself), p7zip-full and zpaq


def compressed(name: str, path: Path) -> int | None:
    """The bytes of a file after compression; None where the program is not installed."""
    if name == "xz":
        return len(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    archive = path.with_suffix(".archive")
    commands = {
        "ppmd": ["7z", "a", "-t7z", "-m0=PPMd:o=8:mem=512m", str(archive), str(path)],
        "zpaq": ["zpaq", "a", str(archive), str(path), "-m5", "-t2"],
    }
    if shutil.which(commands[name][0]) is None:
        return None
    subprocess.run(commands[name], check=True, capture_output=True)
    made = next(path.parent.glob(archive.name + "*"))
    size = made.stat().st_size
    made.unlink()
    return size


def bits_of_compressor(name: str, train_text: Path, valid_text: Path) -> float | None:
    """Bits per character of the held-out text behind the other."""
    with tempfile.TemporaryDirectory() as folder:
        alone, both = Path(folder) / "alone", Path(folder) / "both"
        alone.write_bytes(train_text.read_bytes())
        both.write_bytes(train_text.read_bytes() + valid_text.read_bytes())
        sizes = compressed(name, alone), compressed(name, both)
    if None in sizes:
        return None
    return 8 * (sizes[1] - sizes[0]) / len(valid_text.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--runs", default=",".join((*COMPRESSORS, *PEERS, *CELLS)))
    parser.add_argument("--plot", help="bits against seconds, as an SVG file")
    given = parser.parse_args()
    rows = [HEAD]
    curves = {}
    for run in given.runs.split(","):
        name, _, options = run.partition(":")
        if name in COMPRESSORS:
            bits = bits_of_compressor(name, given.train, given.valid)
            row = (run, f"{bits:.3f}" if bits is not None else "not installed", *[""] * (len(HEAD) - 2))
        elif name in PEERS:
            script = Path(__file__).with_name("peers.py")
            words = [sys.executable, script, name, given.train, given.valid, "--seconds", str(60 * given.minutes)]
            found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            figures = found["bits_per_character"], None, None, found["tokens_per_second"], found["parameters"]
            peer = Run(*figures, seconds=60 * given.minutes, characters_per_second=None, curve=found["curve"])
            curves[run], row = peer.curve, peer.row(run)
        else:
            words = [str(given.train), "--valid", str(given.valid), "--minutes", str(given.minutes), "--cell", name]
            found = train_run([*words, *shlex.split(options)])
            curves[run], row = found.curve, found.row(run)
        rows.append(row)
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    show(rows)
    if given.plot:
        Path(given.plot).write_text(line_plot(curves, "seconds", "bits per character"), encoding="utf-8")


if __name__ == "__main__":
    main()
