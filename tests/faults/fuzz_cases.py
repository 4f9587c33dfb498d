"""What all parts of the fuzzer share: a case with its own random numbers and folder, commands that are run and judged,
models and texts to spoil, and values that nobody expects."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from charrnn import cli
from charrnn.errors import CharRNNError
from charrnn.model import LanguageModel, load
from charrnn.plain import one_line

POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"
SUMS = [{"ask": [f"{n}加一是几", f"比{n}大一的数"], "answer": [f"是{n + 1}。"]} for n in range(30)]
SMALL = ("--layers", "1", "--width", "16", "--batch", "4", "--window", "16", "--threads", "1", "--summary", "8")
SMALL += ("--contrast", "5", "--aside", "300")
SECONDS = 60.0  # that a case may take, also where others have the processor
LONGEST_LINE = 1500  # characters that a person would read
CODES = (0, 1, 2, 130)


class Failure(Exception):  # noqa: N818  it is none of the program's
    """What must not happen."""


class Hang(BaseException):
    """A case took too long; nothing that catches an Exception keeps it."""


class Canary:
    """What pickle would make a file of, to show that it ran."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.file), "w")


@dataclass
class World:
    """A folder for everything, and in it models that are whole, made when they are first asked for."""

    folder: Path

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    @cached_property
    def pickle(self) -> bytes:
        return pickle.dumps(Canary(self.canary))

    @cached_property
    def poems(self) -> Path:
        path = self.folder / "poems.txt"
        path.write_text(POEM * 150, encoding="utf-8")
        return path

    @cached_property
    def sums(self) -> Path:
        path = self.folder / "sums.jsonl"
        path.write_text("\n".join(json.dumps(record) for record in SUMS), encoding="utf-8")
        return path

    def _trained(self, name: str, source: Path, *more: str) -> Path:
        path = self.folder / "whole" / name
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(["train", str(source), "--steps", "20", *SMALL, *more, "--out", str(path)])
        assert code == 0, f"the model {name} could not be made"
        return path

    @cached_property
    def writer(self) -> Path:
        """A model that continues text, with a memory."""
        return self._trained("writer", self.poems)

    @cached_property
    def talker(self) -> Path:
        """A model that can be asked."""
        return self._trained("talker", self.sums, "--store", "int8")

    @cached_property
    def gated(self) -> Path:
        """Another cell, subwords, weights as float32."""
        more = ("--cell", "gru", "--tokenizer", "subword", "--store", "float32", "--feedforward", "8", "--no-tied")
        return self._trained("gated", self.poems, *more)

    @cached_property
    def shipped(self) -> Path:
        import shutil

        from charrnn.paths import pretrained

        path = self.folder / "whole" / "shipped"
        shutil.copytree(pretrained(), path)
        return path

    @cached_property
    def unfinished(self) -> Path:
        """A run that was interrupted after some steps."""
        from charrnn.config import TrainingConfig
        from charrnn.dataset import prepare
        from charrnn.training import Trainer

        config = TrainingConfig(layers=1, width=16, batch=4, window=16, threads=1, steps=9, aside=300)
        dataset = prepare([str(self.poems)], kind="char")
        path = self.folder / "whole" / "unfinished"
        trainer = Trainer.begin(config, dataset, path, weights=None, started=0.0)
        for _ in trainer.run(lambda: trainer.progress.step >= 3):
            pass
        return path

    def model(self, name: str) -> LanguageModel:
        """A whole model, loaded once."""
        if name not in self._loaded:
            self._loaded[name] = load(getattr(self, name), memory=name != "gated")
        return self._loaded[name]

    @cached_property
    def _loaded(self) -> dict[str, LanguageModel]:
        return {}


@dataclass
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str


@dataclass
class Case:
    """One case: all that is random in it comes from `rng`, all that it writes is under `folder`."""

    world: World
    part: str
    number: int
    rng: random.Random
    folder: Path
    refusals: list[str] = field(default_factory=list)
    words: tuple[str, ...] = ()
    """Of the last command."""

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def command(self, *words: str, stdin: bytes = b"", process: bool = False) -> Done:
        """Run a command as `charrnn` does, in this process or in one of its own, and judge its code and its words."""
        self.words = words
        done = self._in_a_process(words, stdin) if process else _in_process(words, stdin)
        self._judge(words, done)
        return done

    @staticmethod
    def _in_a_process(words: tuple[str, ...], stdin: bytes) -> Done:
        command = [os.fsencode(word) for word in (sys.executable, "-m", "charrnn", *words)]
        run = subprocess.run(command, input=stdin, capture_output=True, timeout=60, env=os.environ)
        return Done(run.returncode, run.stdout.decode("utf-8", "replace"), run.stderr.decode("utf-8", "replace"))

    def _judge(self, words: tuple[str, ...], done: Done) -> None:
        said = f"{' '.join(words)[:200]!r} ended with {done.code} and {done.err[-300:]!r}"
        if done.code not in CODES or "Traceback" in done.err or "\x1b" in done.err:
            raise Failure(said)
        talks = words[:1] in (("train",), ("bench",), ("corpus",))
        errors = [line for line in done.err.splitlines() if line.startswith("charrnn: ")]
        if done.code in (1, 2):
            if len(errors) != 1 or not done.err.endswith(f"{errors[0]}\n") or not (talks or done.err.count("\n") == 1):
                raise Failure(f"no one line: {said}")
            self.refuse(errors[0].removeprefix("charrnn: "))
        elif errors or (done.err and not talks):
            raise Failure(f"it says something beside its work: {said}")

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What a function of the library gives; None where it refuses, as it may."""
        try:
            return function(*arguments, **named)
        except CharRNNError as error:
            if "\n" in str(error):
                raise Failure(f"more than one line: {str(error)[:300]!r}") from error
            self.refuse(one_line(str(error)))  # as the command line and the app show it
            return None

    def refuse(self, line: str) -> None:
        """A line that says why."""
        unclear = (
            len(line) < 8 or len(line) > LONGEST_LINE or any(unicodedata.category(c) in ("Cc", "Zl") for c in line)
        )
        if unclear or line.endswith("()"):
            raise Failure(f"no clear line: {line[:300]!r}")
        self.refusals.append(line)

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def _in_process(words: tuple[str, ...], stdin: bytes) -> Done:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    with _native_errors() as native, mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err):
        try:
            code = cli.main(list(words))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    said = [stream.buffer.getvalue() for stream in (out, err)]  # type: ignore[attr-defined]
    return Done(code, said[0].decode("utf-8", "replace"), (said[1] + native()).decode("utf-8", "replace"))


@contextlib.contextmanager
def _native_errors() -> Iterator[Callable[[], bytes]]:
    """What libraries in C write to the standard error of the process itself."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        data = b""
        try:
            yield lambda: data
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            data = file.read()


def run_case(world: World, part: str, number: int, seed: str, work: Callable[[Case], None], seconds: float) -> str:
    """Run one case; "accepted" or "refused". Raises Failure, or whatever a case has let out, for what must not be."""
    import shutil

    case = Case(
        world, part, number, random.Random(f"{seed}:{part}:{number}"), world.folder / "cases" / f"{part}-{number}"
    )
    shutil.rmtree(case.folder, ignore_errors=True)
    case.folder.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(case.folder)
    try:
        with _in_time(seconds), warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work(case)
        for warning in seen:
            if issubclass(warning.category, RuntimeWarning):
                where = f"{Path(warning.filename).name}:{warning.lineno}"
                raise Failure(f"a warning that a user would see: {warning.message} ({where})")
        if world.canary.exists():
            world.canary.unlink()
            raise Failure("code from a file was run")
    except (Exception, Hang) as error:
        error.add_note(f"the last command: {' '.join(word[:100] for word in case.words)!r}")
        raise
    finally:
        os.chdir(before)
    shutil.rmtree(case.folder, ignore_errors=True)
    return "refused" if case.refusals else "accepted"


@contextlib.contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hang(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# What nobody expects -------------------------------------------------------------------------------------------------

UNEXPECTED: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 10**6, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e-320, 1e308,
    math.inf, -math.inf, math.nan, "", "x", "0", "nan", "../../etc/passwd", "/etc/passwd", "a\0b", "\x1b[2J\n\r\u2028",
    "\ud800", "好" * 1000, [], [[]], {}, [1, "x", None], {"x": [1]}, {"": {}}, [[["x"]] * 3] * 3, ["\0"], [None],
)  # fmt: skip
ODD = "\0\t\n\r\x0b\x1b\x7f\x85\xa0\u200b\u200d\u202e\u2028\u2066\ufeff\ufffd\ufffe\u2581\u2585\u0301\u3000"
ODD += "\U0001f600\U0001f1e8\U0010ffff<>[]{}\\\"'%_*?-=/#&;|`$"


def odd_text(rng: random.Random, most: int, *, surrogates: bool = True) -> str:
    """Any characters: Chinese, letters, what steers, what joins, what is not assigned, halves of characters."""
    kinds: list[Callable[[], str]] = [
        lambda: chr(rng.randrange(0x4E00, 0x9FFF)),
        lambda: rng.choice(POEM),
        lambda: chr(rng.randrange(0x20, 0x7F)),
        lambda: rng.choice(ODD),
        lambda: chr(rng.randrange(0x300, 0x370)),
        lambda: chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])),
        lambda: chr(rng.randrange(0xD800, 0xE000)) if surrogates else "x",
        lambda: rng.choice(["<document>", "<ask>", "<0xE4>", "👩‍👩‍👧‍👦", "\r\n", "\x1b]0;x\x07", "   "]),
    ]
    chosen = rng.sample(kinds, rng.randrange(1, len(kinds) + 1))
    return "".join(rng.choice(chosen)() for _ in range(rng.randrange(most + 1)))


def flipped(rng: random.Random, data: bytes, most: int = 8, first: int = 0) -> bytes:
    """With some bits the other way."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, most + 1) if len(data) > first else 0):
        changed[rng.randrange(first, len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Cut, longer, with bits flipped, a stretch of it lost, doubled, or other bytes in its place."""
    at, after = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice(
        [
            lambda: data[:at],
            lambda: data[: at // 1024 * 1024],
            lambda: data + rng.randbytes(rng.randrange(1, 5000)),
            lambda: flipped(rng, data),
            lambda: flipped(rng, data, 1),
            lambda: data[:at] + data[after:],
            lambda: data[:at] + data[at:after] * 2 + data[after:],
            lambda: data[:at] + rng.randbytes(min(after - at, 200)) + data[min(after, at + 200) :],
            lambda: data[:at] + bytes(min(after - at, 4096)) + data[min(after, at + 4096) :],
        ]
    )()


def altered(rng: random.Random, record: Any, times: int = 1) -> Any:
    """A JSON value with something unexpected at some place, a key of it gone, or one more."""
    try:
        record = json.loads(json.dumps(record))
    except RecursionError:
        return record
    for _ in range(times):
        places = list(_places(record))
        if not places:
            return copy.deepcopy(rng.choice(UNEXPECTED))
        holder, key = rng.choice(places)
        what = rng.randrange(10)
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[odd_text(rng, 5) or "x"] = copy.deepcopy(rng.choice(UNEXPECTED))
        else:
            holder[key] = copy.deepcopy(rng.choice(UNEXPECTED))
    return record


def _places(record: Any) -> Iterator[tuple[Any, Any]]:
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        yield record, key
        yield from _places(value)


def as_json(rng: random.Random, record: Any) -> bytes:
    """Its bytes, now and then spoiled."""
    data = json.dumps(record, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return spoiled(rng, data) if rng.random() < 0.05 else data


def hashes(folder: Path) -> dict[str, str]:
    """What a hostile maker would write into config.json."""
    names = ("model.safetensors", "tokenizer.model", "memory.safetensors")
    found = {}
    for name in names:
        with contextlib.suppress(OSError):
            if (folder / name).is_file():
                found[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return found
