"""A disk that fills, a file that may not grow, a folder that turns read-only: one line, and what was saved stands."""

from __future__ import annotations

import codecs
import os
import random
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import charrnn as package
from charrnn import recording
from charrnn.config import SamplingConfig
from charrnn.errors import HistoryError
from charrnn.history import Conversations
from charrnn.paths import readable
from charrnn.recording import Recorder
from tests.faults.kill_processes import Part, charrnn, line_of, user_cache
from tests.faults.kill_training import MODEL, RESUME, TRAIN, Reference, differences, new_home, whole

NOBODY = 65534
ROOM = "16m"


@contextmanager
def _small_disk(place: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
    """A disk of that size; what is called makes it larger."""
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], check=True)
    try:
        yield lambda: _mount("remount,size=" + ROOM, place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(options: str, place: Path) -> None:
    subprocess.run(["mount", "-o", options, str(place)], check=True)


def disk(folder: Path, count: int, seed: int, known: list[Reference], *, mounts: bool) -> Part:
    """So many tries of each kind: files that may not grow, and disks that fill under model, cache and conversations."""
    part, rng = Part("disk"), random.Random(seed)
    kinds: list[Callable[[Part, Path, random.Random, Reference], None]] = [_limited_files]
    if mounts:
        kinds += [_full_under_model, _full_under_cache, _full_under_conversations]
    else:
        part.ends["kinds skipped: no disk may be mounted here"] = 3
    for n in range(count):
        for kind in kinds:
            kind(part, folder / f"{kind.__name__}{n}", rng, known[n % len(known)])
    return part


def _limited_files(part: Part, home: Path, rng: random.Random, reference: Reference) -> None:
    """RLIMIT_FSIZE: Python ignores the signal, and a write fails."""
    limit = rng.randrange(500, 150_000)
    new_home(home, reference.text)
    if charrnn([*TRAIN, "--dry-run"], home).wait():  # the prepared text is there
        part.fail(f"{home}: the dry run failed")
    run = charrnn(TRAIN, home, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _ended(part, f"files of {limit} bytes", home, reference, run.wait(), run.said(), "File too large", home / MODEL)


def _full_under_model(part: Part, home: Path, rng: random.Random, reference: Reference) -> None:
    size = rng.randrange(4, 400, 4)
    new_home(home, reference.text)
    out = ["--out", f"disk/{MODEL}"]
    with _small_disk(home / "disk", size) as grow:
        run = charrnn([*TRAIN, *out][:2] + out + TRAIN[4:], home)
        code, said, model = run.wait(), run.said(), home / "disk" / MODEL
        _ended(part, f"a model's disk of {size} KiB", home, reference, code, said, "No space left", model, grow)


def _full_under_cache(part: Part, home: Path, rng: random.Random, reference: Reference) -> None:
    size = rng.randrange(4, 400, 4)
    new_home(home, reference.text)
    with _small_disk(home / "disk", size) as grow, user_cache(home / "disk"):
        run = charrnn(TRAIN, home)
        code, said = run.wait(), run.said()
        _ended(part, f"a cache's disk of {size} KiB", home, reference, code, said, "No space left", home / MODEL, grow)
        if left := [*(home / "disk").rglob("reading-*")]:
            part.fail(f"{left} is left, of a cache's disk of {size} KiB")


def _ended(
    part: Part,
    what: str,
    home: Path,
    reference: Reference,
    code: int,
    said: str,
    why: str,
    model: Path,
    mend: Callable[[], None] = lambda: None,
    before: Callable[[], None] = lambda: None,
) -> None:
    """A training that may have failed: how, and that it goes on exactly once all is well again."""
    if code == 0:
        part.add("not in the way", _prefixed(what, home, differences(model, reference)))
        return
    problem = line_of(said, why) if code == 1 else f"exit code {code}: {said[-800:]}"
    saved = readable(model) is not None
    problem = problem or (whole(model) if saved else "")
    mend()
    out = ["--out", str(model.relative_to(home))]
    again = charrnn([*RESUME[:2], *out] if saved else [*TRAIN[:2], *out, *TRAIN[4:]], home, before=before)
    if code := again.wait():
        problem = problem or f"exit code {code} once there was room: {again.said()[-800:]}"
    else:
        problem = problem or differences(model, reference)
    hidden = [file.name for file in model.parent.iterdir() if file.name.startswith(".")]
    problem = problem or (f"{hidden} is left" if hidden else "")
    part.add(
        "one line, resumed exactly" if saved else "one line, before the first save", _prefixed(what, home, problem)
    )


def _prefixed(what: str, home: Path, problem: str) -> str:
    return problem and f"{what}, in {home}: {problem}"


def _full_under_conversations(part: Part, home: Path, rng: random.Random, reference: Reference) -> None:
    """The answer streams on; once there is room again, all of it is saved; else what was saved is whole."""
    size, recovers, most = rng.randrange(20, 600, 4), rng.random() < 0.5, 3000
    model = package.load(reference.path)
    recording.SAVE_EVERY = 0.01
    home.mkdir(parents=True)
    with _small_disk(home / "disk", size) as grow:
        file = home / "disk" / "c.sqlite"
        try:
            base = Conversations(file)
        except HistoryError as error:
            part.add("one line, not even opened", "" if "full" in str(error) else f"{size} KiB: {error}")
            return
        recorder = Recorder(model.chat(SamplingConfig(seed=size)), base)
        recorder.session.mode = "continue"
        troubles, text, problem, grown = set(), "", "", None
        for n, piece in enumerate(pieces := recorder.say("床")):
            text += piece.text
            if recorder.trouble:
                troubles.add(recorder.trouble)
            if n >= most // 2 and recovers and troubles and grown is None:
                grow()
                grown = n
            if n >= most and (grown is None or n >= grown + most // 2):
                break
        pieces.close()
        number, trouble = recorder.conversation, recorder.trouble
        base.close()
        end = "not in the way"
        if grown is not None:
            end = "saved in the end"
            problem = f"still {trouble}" if trouble else ""
        elif troubles:
            end = "the answer streamed on"
            problem = "" if trouble else "the trouble went away by itself"
        grow()
        again = Conversations(file)
        found = [turn.standing.answer for turn in again.turns(number or 0)]
        if not problem and (again.set_aside or not text.startswith("".join(found)) or len(found) > 1):
            problem = f"{len(found)} answers, not the beginning of what streamed"
        if not problem and trouble is None and found != [text]:
            problem = f"saved is not what streamed: {len(text)} characters, {list(map(len, found))}"
        if sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            problem = problem or "the database is damaged"
        if any("\n" in line for line in troubles):
            problem = problem or f"not one line: {troubles}"
        again.close()
        part.add(end, _prefixed(f"a conversations' disk of {size} KiB", home, problem))


def readonly(folder: Path, count: int, seed: int, known: list[Reference]) -> Part:
    """A model's parent folder turns read-only at a random moment; root, whom no rights stop, becomes nobody."""
    part, rng = Part("readonly"), random.Random(seed)

    def nobody() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)

    codecs.lookup("ascii")  # nobody may not be able to read Python's own files
    folder.parent.chmod(0o755)
    if os.geteuid() == 0 and not all(place.stat().st_mode & 1 for place in folder.parents):
        part.ends["tries skipped: nobody cannot reach the temporary folder"] = count
        return part
    for n in range(count):
        reference, home = known[n % len(known)], folder / f"try{n}"
        new_home(home, reference.text)
        for place in (home, home / "models", home / "cache"):
            place.mkdir(exist_ok=True)
            place.chmod(0o777)
        model, moment = home / "models" / MODEL, rng.uniform(0, reference.seconds)
        with user_cache(home / "cache"):
            run = charrnn([*TRAIN[:2], "--out", f"models/{MODEL}", *TRAIN[4:]], home, before=nobody)
            while run.poll() is None and time.monotonic() - run.began < moment:
                time.sleep(0.001)
            model.parent.chmod(0o555)
            code, said = run.wait(), run.said()
            what = f"read-only after {moment:.3f} s, seed {seed}"
            mend = lambda: model.parent.chmod(0o777)  # noqa: B023, E731
            _ended(part, what, home, reference, code, said, "Permission denied", model, mend, nobody)
    return part
