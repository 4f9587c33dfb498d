"""Feed the program what nobody would, some ten thousand times, and see that it refuses in one line or works.

    python tests/faults/fuzz.py                        10,000 cases of all parts, in some minutes on one core
    python tests/faults/fuzz.py --cases 500 --parts folders,history --seed 7
    python tests/faults/fuzz.py --only folders:123     one of them again, its folder kept
    python tests/faults/fuzz.py --million              and a corpus of a million files, which takes minutes more

A failure is an exception that is none of charrnn's own, a warning or more than one line for a person to read, a case
that takes too long or too much memory, a process that dies, code from a file that runs, and a thing that was accepted
and then does not work. Each case is made from Random("SEED:PART:NUMBER"). Cases run in a child process, which holds the
models, with a limit on its data (RLIMIT_DATA, what it needs at the start and so much more), a timer (SIGALRM), and its
parent, which ends it where it does not even hear that.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])

from tests.faults import (
    fuzz_cache,
    fuzz_commands,
    fuzz_corpora,
    fuzz_folders,
    fuzz_history,
    fuzz_prompts,
    fuzz_settings,
)
from tests.faults.fuzz_cases import SECONDS, Case, Failure, Hang, World, run_case

PARTS = {
    "corpora": (fuzz_corpora, 29),
    "folders": (fuzz_folders, 19),
    "history": (fuzz_history, 13),
    "settings": (fuzz_settings, 9),
    "commands": (fuzz_commands, 13),
    "prompts": (fuzz_prompts, 17),
    "cache": (fuzz_cache, 0),
}
"""Each part and its share of the cases, in percent; one with none is run when it is asked for by its name."""
MEMORY = 1 << 30  # bytes beyond what the process holds at the start
LARGE_SECONDS, LARGE_MEMORY = 180.0, 3 << 29
GRACE = 15.0  # seconds after which a child that does not answer is ended


def user_folders(folder: Path) -> None:
    """Everything that the program would write lies in a folder of its own."""
    names = {
        "XDG_CACHE_HOME": "cache",
        "XDG_DATA_HOME": "data",
        "XDG_CONFIG_HOME": "config",
        "HOME": "home",
        "TMPDIR": "tmp",
    }
    for variable, name in names.items():
        (folder / name).mkdir(exist_ok=True)
        os.environ[variable] = str(folder / name)
    os.environ.update(PYTHONUTF8="1", PYTHONPATH=str(Path(__file__).parents[2]))
    tempfile.tempdir = None


def prepare(world: World, part: str) -> None:
    """What the part's cases have in common."""
    PARTS[part][0].prepare(Case(world, part, -1, random.Random(0), world.folder))


def one(world: World, part: str, number: int, seed: str, *, million: bool = False) -> str:
    """Run a case here: "accepted" or "refused"; or an exception."""
    if million and part == "corpora" and number == fuzz_corpora.MILLION:
        return run_case(world, part, number, seed, fuzz_corpora._million, 3600.0)
    large = part == "corpora" and number < len(fuzz_corpora.LARGE)
    return run_case(world, part, number, seed, PARTS[part][0].run, LARGE_SECONDS if large else SECONDS)


def _child(world: World, part: str, numbers: Sequence[int], seed: str, million: bool, pipe: int) -> None:
    held = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmData")
    )
    with os.fdopen(pipe, "w") as out:
        for number in numbers:
            large = part == "corpora" and number <= fuzz_corpora.MILLION
            limit = held + (LARGE_MEMORY if large else MEMORY)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
            print(json.dumps([number, "begins", ""]), file=out, flush=True)
            try:
                result, why = one(world, part, number, seed, million=million), ""
            except Failure as error:
                result, why = "failed", " ".join([str(error), *error.__notes__])
            except (Exception, Hang):
                result, why = "failed", traceback.format_exc(limit=-5)
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(json.dumps([number, result, why, most]), file=out, flush=True)


def _results(
    world: World, part: str, numbers: Sequence[int], seed: str, million: bool
) -> Iterator[tuple[int, str, str, int]]:
    """Of each case, its number, what came of it, why, and the most memory in MiB so far. A child that dies costs just
    the case that it died of."""
    left = list(numbers)
    while left:
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                _child(world, part, left, seed, million, writing)
            finally:
                os._exit(0)
        os.close(writing)
        begun = None
        with os.fdopen(reading) as lines:
            while True:
                large = begun is not None and part == "corpora" and begun <= fuzz_corpora.MILLION
                wait = (3600.0 if million and large else LARGE_SECONDS if large else SECONDS) + GRACE
                if not select.select([lines], [], [], wait)[0]:
                    os.kill(child, signal.SIGKILL)
                line = lines.readline()
                if not line:
                    break
                number, result, *rest = json.loads(line)
                if result == "begins":
                    begun = number
                    continue
                begun = None
                left.remove(number)
                yield number, result, rest[0], rest[1]
        _, status = os.waitpid(child, 0)
        if begun is not None:
            left.remove(begun)
            yield begun, "failed", f"the process ended with status {status}", 0
        elif left and status:
            raise SystemExit(f"the child ended with status {status} between cases")


def run_part(
    world: World, part: str, count: int, seed: str, million: bool
) -> tuple[Counter[str], list[tuple[int, str]], int]:
    """How many cases ended in which way, the failures, and the most memory in MiB."""
    prepare(world, part)
    numbers = list(range(count))
    if million and part == "corpora" and fuzz_corpora.MILLION not in numbers:
        numbers.append(fuzz_corpora.MILLION)
    counted: Counter[str] = Counter()
    failures, peak = [], 0
    for number, result, why, most in _results(world, part, numbers, seed, million):
        counted[result] += 1
        if most > peak + 200 > 200:
            print(f"{part}:{number} took memory from {peak:,} to {most:,} MiB", file=sys.stderr)
        peak = max(peak, most)
        if result == "failed":
            failures.append((number, why))
            print(f"{part}:{number} failed: {why.strip()}\n", file=sys.stderr, flush=True)
    return counted, failures, peak


def main(words: Sequence[str] | None = None) -> int:
    """The table; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--parts", default=",".join(part for part in PARTS if PARTS[part][1]))
    parser.add_argument("--only", metavar="PART:NUMBER")
    parser.add_argument("--million", action="store_true", help="a corpus of a million files, too")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="charrnn-fuzz-") as temporary:
        user_folders(Path(temporary))
        world = World(Path(temporary))
        if given.only:
            part, number = given.only.split(":")
            prepare(world, part)
            try:
                print(one(world, part, int(number), given.seed, million=given.million))
                return 0
            finally:
                kept = world.folder / "cases" / f"{part}-{number}"
                if kept.is_dir():
                    place = tempfile.mkdtemp(prefix="charrnn-kept-", dir=Path(temporary).parent)
                    print(f"its folder: {kept.rename(Path(place) / kept.name)}")
        parts = given.parts.split(",")
        shares = sum(PARTS[part][1] or 10 for part in parts)
        print(
            f"{'part':<10}{'cases':>8}{'refused':>9}{'accepted':>10}{'failures':>10}{'seconds':>9}{'peak MiB':>10}",
            flush=True,
        )
        total: Counter[str] = Counter()
        failed: list[str] = []
        for part in parts:
            started = time.monotonic()
            count = -(-given.cases * (PARTS[part][1] or 10) // shares)
            counted, failures, peak = run_part(world, part, count, given.seed, given.million)
            total += counted
            failed += [f"{part}:{number}" for number, _ in failures]
            _row(part, counted, time.monotonic() - started, peak)
        _row("all", total, 0, 0)
    if failed:
        print(f"failed with --seed {given.seed}; each again with --only: {' '.join(failed)}")
    return 1 if failed else 0


def _row(name: str, counted: Counter[str], seconds: float, peak: int) -> None:
    figures = f"{counted.total():>8,}{counted['refused']:>9,}{counted['accepted']:>10,}{counted['failed']:>10,}"
    print(f"{name:<10}{figures}{seconds:>9.0f}{peak:>10,}" if seconds else f"{name:<10}{figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
