"""Kill it, fill its disk, take its rights, run it twice: does what was saved stay whole, and does it go on exactly?

usage: python tests/faults/kills.py [--count 200] [--seed 1] [--parts train,app,disk,readonly,together] [--steps 8]

`count` is how often training, and how often the app, is killed; there are a tenth as many tries of each kind of the
others. A training saves after each of its steps. Everything happens in a temporary folder, which stays
where something failed; the exit code is 1 then. What needs a disk of its own mounts one, where `unshare` lets it.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch; forks inherit it

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ("train", "app", "disk", "readonly", "together")
THOROUGH = 20  # kills, from which on the program itself is started, too, and there is a text with a memory
MOUNTS = "CHARRNN_TEST_MOUNTS"  # set where mounts are this process's own, and go with it


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    wanted = given.parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    if "disk" in wanted and MOUNTS not in os.environ:
        _with_own_mounts()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    for name in ("cache", "data", "config"):
        os.environ[f"XDG_{name.upper()}_HOME"] = str(folder / name)
    os.environ |= {"PYTHONUTF8": "1", "KILLS_STEPS": str(given.steps)}
    failed = _run(wanted, folder, given.count, given.seed)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def _with_own_mounts() -> None:
    """This program once more, where it may mount what goes with it."""
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
        os.environ[MOUNTS] = "1"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])


def _run(wanted: list[str], folder: Path, count: int, seed: int) -> bool:
    """Whether something failed."""
    import torch
    import torch._dynamo  # an optimiser would, in each of the forked processes

    torch.set_num_threads(1)
    import charrnn.commands
    import charrnn.parser
    import charrnn.training  # noqa: F401
    from tests.bench.table import show
    from tests.faults.full_disks import disk, readonly
    from tests.faults.kill_app import app
    from tests.faults.kill_training import references, train
    from tests.faults.side_by_side import together

    few = max(1, count // 10)
    known = references(folder, thorough=count >= THOROUGH)
    work = {
        "train": lambda: train(folder / "train", count, seed, known),
        "app": lambda: app(folder / "app", count, seed),
        "disk": lambda: disk(folder / "disk", few, seed, known, mounts=MOUNTS in os.environ),
        "readonly": lambda: readonly(folder / "readonly", few, seed, known),
        "together": lambda: together(folder / "together", few, seed, known),
    }
    parts = []
    for name in wanted:
        begun = time.monotonic()
        parts.append(work[name]())
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    show([["part", "tries", "how they ended", "failures"], *(part.row() for part in parts)])
    return any(part.failures for part in parts)


if __name__ == "__main__":
    sys.exit(main())
