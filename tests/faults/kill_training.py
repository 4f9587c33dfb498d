"""Training that is killed, again and again: what stands is always whole, and what ends is what it would have been."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import charrnn as package
from charrnn.errors import CharRNNError
from charrnn.paths import STATE, readable, sibling
from tests.faults.kill_processes import (
    POEM,
    Part,
    Process,
    charrnn,
    left_running,
    line_of,
    names,
    slow_saves,
    user_cache,
)

STEPS = int(os.environ.get("KILLS_STEPS", "8"))  # see kills.py
SMALL = ["--layers=1", "--width=16", "--batch=4", "--window=16", "--threads=1", "--precision=fp32", "--dropout=0.2"]
SETTINGS = [*SMALL, "--cell=mingru", f"--steps={STEPS}"]
TEXT, MODEL = "text.txt", "m"
TRAIN = ["train", TEXT, "--out", MODEL, *SETTINGS]
RESUME = ["train", "--resume", "--out", MODEL]
REAL_EVERY = 8  # of so many chains one is the program as a user starts it
LEFT = {f".{MODEL}.new", f".{MODEL}.previous", f".{MODEL}.lock", f".{MODEL}.rehearsal"}
LEFT |= {f"..{MODEL}.rehearsal.new", f"..{MODEL}.rehearsal.previous"}  # the next run of that name takes them away
BEFORE, BETWEEN, RENAMING = "before the first save", "between saves", "between a save's two renames"
WRITING, CLEARING, AFTER = "while a save was written", "while the old save was cleared away", "after the last save"


@dataclass(frozen=True)
class Reference:
    """A run that nothing disturbs: its text, its files without the clock's figures, and how long it takes."""

    text: str
    files: dict[str, bytes]
    seconds: float
    path: Path


def references(folder: Path, *, thorough: bool) -> list[Reference]:
    """Of a text without a memory, or of one more that has one, and then by the program as a user starts it."""
    found = []
    for n, text in enumerate((POEM, names(random.Random(5)))[: 1 + thorough]):
        home = new_home(folder / f"reference{n}", text)
        run = charrnn(TRAIN, home, real=thorough)
        if run.wait():
            raise SystemExit(f"an undisturbed run has failed: {run.said()}")
        forked = charrnn([*TRAIN, "--overwrite"], home)
        if forked.wait():
            raise SystemExit(f"an undisturbed run has failed: {forked.said()}")
        found.append(Reference(text, files_of(home / MODEL), time.monotonic() - forked.began, home / MODEL))
    return found


def new_home(home: Path, text: str) -> Path:
    home.mkdir(parents=True)
    (home / TEXT).write_text(text, encoding="utf-8")
    return home


def files_of(model: Path) -> dict[str, bytes]:
    """The files of a model, without the seconds of its evaluations."""
    files = {file.name: file.read_bytes() for file in model.iterdir()}
    rows = [json.loads(line) for line in files["metrics.jsonl"].splitlines()]
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return {**files, "metrics.jsonl": json.dumps(rows).encode()}


def differences(model: Path, reference: Reference) -> str:
    """In which files a finished model differs from that of a run left alone."""
    found = files_of(model)
    names = sorted(found.keys() | reference.files.keys())
    differing = [name for name in names if found.get(name) != reference.files.get(name)]
    return f"other bytes than those of a run left alone: {', '.join(differing)}" if differing else ""


def whole(model: Path) -> str:
    """What is wrong with a model folder, whose memory is read and who is to write; empty if nothing is."""
    try:
        loaded = package.load(model, memory=True)
        written = "".join(loaded.generate("床", length=12, seed=1))
    except CharRNNError as error:
        return f"it does not load: {error}"
    return "" if len(written) == 12 else f"it wrote {written!r}"


def saved_step(model: Path) -> int:
    """The step of its save, -1 where there is none, STEPS + 1 where it is finished."""
    place = readable(model)
    if place is None:
        return -1
    if not (place / STATE).exists():
        return STEPS + 1
    return int(json.loads((place / STATE).read_text(encoding="utf-8"))["progress"]["step"])


def stage(model: Path, step: int) -> str:
    """Where a kill has hit."""
    if step < 0:
        return BEFORE
    if not model.exists():
        return RENAMING
    if sibling(model, "new").exists():
        return WRITING
    if sibling(model, "previous").exists():
        return CLEARING
    return AFTER if step > STEPS else BETWEEN


def strike(run: Process, model: Path, rng: random.Random, seconds: float) -> str:
    """Kill it at a random moment of its life, or inside one of its saves; the moment, or nothing where it was gone."""
    if rng.random() < 0.5:
        moment = rng.uniform(0, seconds)
        while run.poll() is None and time.monotonic() - run.began < moment:
            time.sleep(0.001)
        return f"{moment:.3f} s" if run.kill() else ""
    hidden, which, delay = (sibling(model, "new"), sibling(model, "previous")), rng.randrange(6), rng.uniform(0, 0.05)
    there = False
    while run.poll() is None:
        before, there = there, any(os.path.exists(place) for place in hidden)  # noqa: PTH110
        if there and not before:
            if which == 0:
                time.sleep(delay)
                return f"{delay * 1000:.1f} ms into a save" if run.kill() else ""
            which -= 1
        time.sleep(0.0002)
    return ""


def train(folder: Path, count: int, seed: int, known: list[Reference]) -> Part:
    """So many kills: in chains, each of which is begun, killed, resumed, killed … until it has ended by itself."""
    part, chain, rng = Part("train"), 0, random.Random(seed)
    while part.tries < count:
        reference, real, home = known[-(chain % 3 == 2)], chain % REAL_EVERY == 2, folder / f"chain{chain}"
        new_home(home, reference.text)
        with user_cache(home / "cache"):
            failure = _chain(part, count, home, reference, rng, real=real)
        if failure:
            part.fail(f"seed {seed}, chain {chain}: {failure}; it stands in {home}")
        chain += 1
    for pid in left_running(folder):
        part.fail(f"process {pid} is left")
    part.ends["chains that went to the end"] = chain
    left = sum(1 for _ in folder.glob("chain*/cache/charrnn/tokens/reading-*"))
    if left:
        part.ends["folders half read left in a cache"] = left
    return part


def _chain(part: Part, count: int, home: Path, reference: Reference, rng: random.Random, *, real: bool) -> str:
    """What went wrong, with the kills before it; empty if nothing did."""
    model, step, kills = home / MODEL, -1, ""
    life = reference.seconds + (2 if real else 0)
    while True:
        run = charrnn(TRAIN if step < 0 else RESUME, home, real=real, before=slow_saves if rng.random() < 0.5 else int)
        left = life if step < 0 else life * (1.2 - step / STEPS)
        moment = strike(run, model, rng, left) if part.tries < count else ""
        if not moment:
            if code := run.wait():
                return f"exit code {code} after [{kills}]: {run.said()[-600:]}"
            run.said()
            break
        run.said()
        before, step = step, saved_step(model)
        kills += f" {moment} (step {step});"
        part.add(stage(model, step))
        if step < before:
            return f"step {before} was saved, then {step} after [{kills}]"
        if problem := whole(model) if step >= 0 else "":
            return f"{problem} after [{kills}]"
        if strange := {file.name for file in home.iterdir()} - LEFT - {TEXT, MODEL, "cache"}:
            return f"{strange} is left after [{kills}]"
        if step > STEPS:
            problem = _nothing_to_resume(home)
            return f"{problem} after [{kills}]" if problem else differences(model, reference)
    if {file.name for file in home.iterdir()} != {TEXT, MODEL, "cache"}:
        return f"{sorted(file.name for file in home.iterdir())} is there at the end, after [{kills}]"
    if problem := whole(model) or differences(model, reference):
        return f"{problem} after [{kills}]"
    return ""


def _nothing_to_resume(home: Path) -> str:
    run = charrnn(RESUME, home)
    if code := run.wait() - 1:
        return f"exit code {code + 1} where there was nothing to resume"
    return line_of(run.said(), "nothing to resume")
