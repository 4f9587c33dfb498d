"""Two programs at once: on one model folder, one cache, one file of conversations."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import charrnn as package
from charrnn.checkpoint import write_folder
from charrnn.errors import CharRNNError
from charrnn.history import Conversations
from charrnn.recording import Recorder
from tests.faults.kill_processes import POEM, Part, Process, charrnn, line_of, user_cache
from tests.faults.kill_training import MODEL, RESUME, SETTINGS, TEXT, TRAIN, Reference, differences, new_home, whole

TURNS = 200  # of each of two programs


def together(folder: Path, count: int, seed: int, known: list[Reference]) -> Part:
    """So many tries of each kind, and once hundreds of turns in one file."""
    part, rng = Part("together"), random.Random(seed)
    kinds: list[Callable[[Path, random.Random, Reference], str]] = [
        _one_folder,
        _one_name,
        _cleared_cache,
        _crowded_cache,
        _reading_while_saving,
        _new_conversations,
    ]
    for n in range(count):
        for kind in kinds:
            home = folder / f"{kind.__name__}{n}"
            with user_cache(home / "cache"):
                problem = kind(home, rng, known[n % len(known)])
            part.add(kind.__name__.strip("_").replace("_", " "), problem and f"seed {seed}, in {home}: {problem}")
    problem = _one_history(folder / "history", min(TURNS, count * 10))
    part.add("hundreds of turns in one file", problem)
    return part


def _one_folder(home: Path, rng: random.Random, reference: Reference) -> str:
    """A second training, or a resume, of a folder that another one trains into is refused; the first is as if alone."""
    new_home(home, reference.text)
    one = charrnn(TRAIN, home)
    while not (home / f".{MODEL}.lock").exists() and one.poll() is None:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, reference.seconds * 0.3))
    os.kill(one.pid, signal.SIGSTOP)
    if not (home / f".{MODEL}.lock").exists():  # it has ended before it was stopped
        os.kill(one.pid, signal.SIGCONT)
        one.wait()
        return differences(home / MODEL, reference) or _hidden(home)
    other = charrnn(rng.choice(([*TRAIN, "--overwrite"], RESUME)), home)
    code, said = other.wait(), other.said()
    os.kill(one.pid, signal.SIGCONT)
    problem = line_of(said, "another training") if code == 1 else f"the second ended by {code}: {said[-500:]}"
    if code := one.wait():
        problem = problem or f"the first ended by {code}: {one.said()[-500:]}"
    return problem or differences(home / MODEL, reference) or _hidden(home)


def _one_name(home: Path, rng: random.Random, reference: Reference) -> str:
    """Two of the same text at once, without --out: each has a folder of its own, and both the same model."""
    new_home(home, reference.text)
    runs = [charrnn(["train", TEXT, *SETTINGS], home) for _ in range(2)]
    codes = [run.wait() for run in runs]
    if any(codes):
        return f"exit codes {codes}: {[run.said()[-500:] for run in runs]}"
    models = [home / "models" / name for name in ("text", "text-2")]
    for model in models:
        if not model.exists() or (model / "model.safetensors").read_bytes() != reference.files["model.safetensors"]:
            return f"{model} is not there, or another than that of a run left alone"
    return whole(models[1]) or _hidden(home / "models")


def _hidden(home: Path) -> str:
    left = [file.name for file in home.iterdir() if file.name.startswith(".")]
    return f"{left} is left" if left else ""


def _disturbed(home: Path, rng: random.Random, reference: Reference, other: Callable[[], Process]) -> str:
    """A training from an empty cache, disturbed at a random moment: as if it had not been."""
    new_home(home, reference.text)
    run = charrnn(TRAIN, home)
    moment = rng.uniform(0, reference.seconds * 0.8) * rng.choice((0.2, 1))
    time.sleep(moment)
    disturber = other()
    code, said = run.wait(), run.said()
    if disturber.wait():
        return f"the disturber, after {moment:.3f} s: {disturber.said()[-500:]}"
    return f"after {moment:.3f} s, exit code {code}: {said[-500:]}" if code else differences(home / MODEL, reference)


def _cleared_cache(home: Path, rng: random.Random, reference: Reference) -> str:
    return _disturbed(home, rng, reference, lambda: charrnn(["cache", "--clear"], home))


def _crowded_cache(home: Path, rng: random.Random, reference: Reference) -> str:
    def other() -> Process:
        (home / "other.txt").write_text("别的，" + POEM, encoding="utf-8")
        crowded = {"CHARRNN_CACHE_GIB": "0"}
        words = ["train", "other.txt", "--out", "other", *SETTINGS, "--dry-run"]
        return charrnn(words, home, before=lambda: os.environ.update(crowded))

    return _disturbed(home, rng, reference, other)


def _reading_while_saving(home: Path, rng: random.Random, reference: Reference) -> str:
    """Loads without locks, while saves replace the folder without a pause."""
    folders = [{**reference.files, "README.md": text.encode()} for text in ("one", "other")]
    model, seconds = home / MODEL, rng.uniform(0.2, 0.6)
    home.mkdir(parents=True)
    write_folder(model, folders[0])

    def save() -> int:
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            n += 1
            write_folder(model, folders[n % 2])
        return 0

    run, loads = Process(save, home), 0
    while run.poll() is None:
        try:
            package.load(model)
            loads += 1
        except CharRNNError as error:
            run.wait()
            return f"load {loads}: {error}"
    return (f"the saves: {run.said()[-500:]}" if run.wait() else "") or ("no load ended" if not loads else "")


def _new_conversations(home: Path, rng: random.Random, reference: Reference) -> str:
    """Both make the file, in the same moment."""
    return _one_history(home, 2, programs=3)


def _one_history(home: Path, turns: int, programs: int = 2) -> str:
    """Recorders of several programs in one file: nothing is lost, and nobody is told of a lock."""
    from tests.tui.scripted import ScriptedSession

    home.mkdir(parents=True)
    file, start = home / "c.sqlite", time.monotonic() + 0.05

    def write(name: str) -> int:
        time.sleep(max(0.0, start - time.monotonic()))
        base = Conversations(file)
        recorder = Recorder(ScriptedSession(["答。" * 20] * turns), base)
        for n in range(turns):
            for _ in recorder.say(f"{name}{n}"):
                pass
            if recorder.trouble:
                print(recorder.trouble)
                return 1
            if n % 20 == 19:
                recorder.reset()
                other = Conversations(file, first=False)  # as the list of conversations does
                other.count()
                other.close()
        base.close()
        return 0

    runs = [Process(lambda name=name: write(name), home) for name in "甲乙丙"[:programs]]
    codes = [run.wait() for run in runs]
    if any(codes):
        return f"exit codes {codes}: {[run.said()[-300:] for run in runs]}"
    base = Conversations(file)
    found = [
        turn.standing.prompt
        for entry in base.listed(most=1000)
        for turn in base.turns(entry.id)
        if turn.standing.answer == "答。" * 20
    ]
    base.close()
    wanted = sorted(f"{name}{n}" for name in "甲乙丙"[:programs] for n in range(turns))
    return "" if sorted(found) == wanted else f"{len(found)} turns of {len(wanted)} are there, in {file}"
