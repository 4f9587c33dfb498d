"""What the parts of `kills.py` share: a program in a process of its own, small texts and models, and what was found."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from charrnn import checkpoint
from charrnn.cli import main

POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n" * 200
SLOW = 0.004  # seconds after every file and rename of a slowed save


@dataclass
class Part:
    """A part of the run: how its tries ended, and what went wrong, each with what is needed to see it again."""

    name: str
    tries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, end: str, failure: str = "") -> None:
        """A try."""
        self.tries += 1
        self.ends[end] += 1
        self.fail(failure)

    def fail(self, failure: str) -> None:
        """Something went wrong, unless it is empty."""
        if failure:
            self.failures.append(f"{self.name}: {failure}")
            print(self.failures[-1], flush=True)

    def row(self) -> list[str]:
        """A line of the table."""
        ends = "; ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return [self.name, str(self.tries), ends, str(len(self.failures))]


class Process:
    """A process beside this one. Forked, it has torch already, and lives for a second instead of five."""

    def __init__(self, work: Callable[[], int] | list[str], folder: Path) -> None:
        reader, writer = os.pipe()
        self._pipe = reader
        self._code: int | None = None
        self.began = time.monotonic()
        if isinstance(work, list):
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "charrnn", *work],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=folder,
            )
            self.pid = self._popen.pid
        else:
            sys.stdout.flush()
            self.pid = os.fork()
            if self.pid == 0:
                _live(work, folder, writer)
        os.close(writer)
        os.set_blocking(reader, False)

    def poll(self) -> int | None:
        """Its exit code, once it has ended; minus the signal's number where one ended it."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, seconds: float = 120) -> int:
        """Until it has ended; one that does not is killed, and has no exit code of its own then."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        if self._code is None:
            self.kill()
        assert self._code is not None
        return self._code

    def kill(self) -> bool:
        """SIGKILL; whether it was still alive."""
        if self.poll() is not None:
            return False
        os.kill(self.pid, signal.SIGKILL)
        self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code == -signal.SIGKILL

    def said(self) -> str:
        """What it has written, once it has ended."""
        data = b""
        try:
            while more := os.read(self._pipe, 1 << 16):
                data += more
        except BlockingIOError:
            pass
        os.close(self._pipe)
        return data.decode("utf-8", "replace")


def _live(work: Callable[[], int], folder: Path, writer: int) -> None:
    code = 70
    try:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        # Those of the process that was forked may know that they were files.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def charrnn(
    words: list[str], folder: Path, *, real: bool = False, before: Callable[[], object] = lambda: None
) -> Process:
    """`charrnn` in a process: the program as a user starts it, or forked; then `before` comes first."""

    def work() -> int:
        before()
        return main(words)

    return Process(words if real else work, folder)


def slow_saves() -> None:
    """Of a process that is to be killed inside a save: each of its steps takes a while, their order stays."""

    def slowed(work: Callable[..., object]) -> Callable[..., object]:
        def slow(*given: object, **named: object) -> object:
            result = work(*given, **named)
            time.sleep(SLOW)
            return result

        return slow

    checkpoint._write_synced = slowed(checkpoint._write_synced)  # type: ignore[assignment]
    Path.rename = slowed(Path.rename)  # type: ignore[assignment,method-assign]
    shutil.rmtree = slowed(shutil.rmtree)  # type: ignore[assignment]


def line_of(said: str, *parts: str) -> str:
    """What is wrong with a failure's one line, which comes last and holds these words; empty if nothing is."""
    lines = said.splitlines()
    ours = [line for line in lines if line.startswith("charrnn: ")]
    if "Traceback" in said or len(ours) != 1 or lines[-1:] != ours:
        return f"not one line at the end: {said[-800:]!r}"
    missing = [part for part in parts if part not in ours[0]]
    return f"{missing} is not said: {ours[0]}" if missing else ""


def names(rng: random.Random) -> str:
    """A text long enough for a memory: names of twelve letters, many times each."""
    known = ["".join(rng.choices("甲乙丙丁戊己庚辛壬癸", k=12)) for _ in range(60)]
    return "，".join(rng.choices(known, k=2400))


@contextmanager
def user_cache(folder: Path) -> Iterator[None]:
    """The cache of what is started meanwhile."""
    before = os.environ["XDG_CACHE_HOME"]
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ["XDG_CACHE_HOME"] = before


def left_running(folder: Path) -> list[int]:
    """Processes that have something to do with a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, place = (process / "cmdline").read_bytes(), str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(folder).encode() in words or place.startswith(str(folder))):
            found.append(int(process.name))
    return found
