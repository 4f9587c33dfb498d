"""Texts that nobody would call texts: what `read_corpus`, `train` and `eval` make of them."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from charrnn.corpus import Document, ReadingReport, read_corpus
from charrnn.errors import CorpusError
from charrnn.spool import Spool
from tests.faults.fuzz_cases import POEM, SMALL, UNEXPECTED, Case, Failure, altered, as_json, flipped, odd_text, spoiled

SIMPLE = "循环神经网络把上一个时刻的隐藏状态带到下一个时刻，所以它记得前面说过的话。\n"
TRADITIONAL = "這個時候，我們說話的樣子與從前不同了。學習現代漢語的人，對於這種問題還沒有一致的見解。\n"
ENCODINGS = (
    "utf-8", "utf-8-sig", "gb18030", "gbk", "big5", "big5hkscs", "utf-16", "utf-16-le", "utf-16-be", "utf-32",
    "utf-32-le", "utf-7", "shift_jis", "latin-1", "hz",
)  # fmt: skip
RECORDS: tuple[Any, ...] = (
    {"text": "一段话。\r\n第二行。"},
    {"ask": ["什么是甲？", "甲是啥", "甲呢", "说说甲"], "answer": ["甲是一。", "一。"], "keys": ["一"]},
    {"ask": "乙呢", "answer": "乙是二。"},
    {"turns": [["问", "你好"], ["答", "你好！"], ["user", "再见"], ["gpt", "再见。"]]},
    {"messages": [{"role": role, "content": "问答"} for role in ("system", "user", "answer")]},
)
BIG = 100 << 20
GIGABYTES = 3 << 30
MANY = 3000
TRAINED = 0.06  # of the cases; the others are read and scored


def run(case: Case) -> None:
    """One of them; the first few numbers are the large ones."""
    if case.number < len(LARGE):
        LARGE[case.number](case)
        return
    rng = case.rng
    kind = rng.choices(KINDS, WEIGHTS)[0]
    source = kind(case)
    if source is None:
        return
    errors = rng.choice(["strict", "replace"])
    if rng.random() < TRAINED:
        words = ["train", source, "--steps", "1", "--errors", errors, *SMALL]
        case.command(*words, "--dry-run") if rng.random() < 0.8 else case.command(*words, "--out", "made")
        return
    done = case.command("eval", source, "-m", str(case.world.writer), "--errors", errors, "--json")
    if done.code == 0 and not json.loads(done.out)["bits_per_character"] < 1000:
        raise Failure(f"a figure that is none: {done.out}")


def prepare(case: Case) -> None:
    """Nothing has to be made beforehand but a model."""
    _ = case.world.writer


def _text(rng: random.Random) -> str:
    text = rng.choice([SIMPLE, TRADITIONAL, POEM, "An English text.\n", odd_text(rng, 60, surrogates=False)])
    return text * rng.choice([1, 2, 20, 200]) + rng.choice(["", "\0", "没有换行", odd_text(rng, 20, surrogates=False)])


def _encoded(rng: random.Random) -> bytes:
    data = _text(rng).encode(rng.choice(ENCODINGS), "replace")
    what = rng.randrange(5)
    if what == 0:
        return data[: rng.randrange(len(data) + 1)]
    if what == 1:
        return flipped(rng, data, 20)
    if what == 2:
        at = rng.randrange(len(data) + 1)
        return data[:at] + bytes(rng.choice([1, 2, 3, 5000])) + data[at:]
    return data if what == 3 else spoiled(rng, data)


def _junk(case: Case) -> str:
    rng = case.rng
    name = rng.choice(["a.txt", "a.md", "a.jsonl", "a.json", "a.txt.gz", "a.jsonl.zst", "a", "a.gz", "a.zst.gz"])
    case.write(name, rng.randbytes(rng.choice([0, 1, 2, 3, 50, 3000, 70_000])))
    return name


def _words(case: Case) -> str:
    name = case.rng.choice(["a.txt", "a.md", "A.TXT", "a.json", "a.jsonl", "无.txt"])
    front = case.rng.choice(
        [b"", b"", b"---\n" * case.rng.randrange(1, 400), b"\xef\xbb\xbf", b"\xff\xfe", b"\x00\x00\xfe\xff"]
    )
    case.write(name, front + _encoded(case.rng))
    return name


def _packed(case: Case) -> str:
    rng = case.rng
    data = _encoded(rng) if rng.random() < 0.7 else _lines(rng)
    pack: Callable[[bytes], bytes] = rng.choice([gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
    packed = pack(data)
    what = rng.randrange(4)
    if what == 0:
        packed = spoiled(rng, packed)
    elif what == 1:
        packed = b"".join(rng.choice([packed, spoiled(rng, packed), pack(b""), b"\0" * 9]) for _ in range(3))
    elif what == 2:
        packed = pack(packed)
    ending = rng.choice([".gz", ".zst"] if rng.random() < 0.2 else [".gz" if pack is gzip.compress else ".zst"])
    name = rng.choice(["a.txt", "a.jsonl", "a.json", "a", "a.md"]) + ending
    case.write(name, packed)
    return name


def _lines(rng: random.Random) -> bytes:
    lines = []
    for _ in range(rng.randrange(1, 12)):
        record = rng.choice(RECORDS)
        lines.append(as_json(rng, altered(rng, record) if rng.random() < 0.3 else record))
    return rng.choice([b"\n", b"\r\n", b"\n\n", b" "]).join(lines)


def _records(case: Case) -> str:
    rng = case.rng
    what = rng.randrange(6)
    if what == 0:
        deep = rng.choice(["[", '{"text":', '{"turns":[', '{"ask":'])
        data = (deep * rng.choice([10, 900, 1100, 100_000])).encode()
    elif what == 1:
        number = rng.choice(["1" * 5000, "1e999999", "-" + "9" * 4301, "NaN", "Infinity", "0.0" + "1" * 9000])
        data = f'{{"text": "好", "n": {number}}}\n{{"text": {number}}}'.encode()
    elif what == 2:
        data = b'{"text": "x", "text": 3, "ask": "a", "text": "\\ud800\\udc00\\udfff\\u0000", "ask": null}\n' * 3
    elif what == 3:
        data = as_json(rng, [altered(rng, rng.choice(RECORDS)) for _ in range(4)])
    elif what == 4:
        data = as_json(rng, rng.choice(UNEXPECTED))
    else:
        data = _lines(rng)
    name = rng.choice(["a.json", "a.jsonl"])
    case.write(name, data)
    return name


def _folder(case: Case) -> str:
    rng = case.rng
    root = case.folder / "texts"
    root.mkdir()
    for _ in range(rng.randrange(1, 12)):
        name = rng.choice(
            ["a.txt", "b.md", "c.jsonl", ".hidden", "README.md", "d/e.txt", "f.txt/g.txt", "h.png", "i.txt.gz"]
        )
        place = root / rng.choice([name, name, f"{rng.randrange(99)}{name}"])
        what = rng.randrange(8)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(place):
                continue
            if what == 0:
                place.symlink_to(
                    rng.choice([root, root / "nowhere", place, Path(".."), Path("/dev/null"), root / "a.txt"])
                )
            elif what == 1:
                os.mkfifo(place)
            elif what == 2:
                place.mkdir()
            elif what == 3:
                odd = (
                    os.fsencode(root)
                    + b"/"
                    + rng.choice([b"\xff\xfe.txt", b"a\nb.txt", b"\x1b[2J.txt", b"-.txt", b" .md"])
                )
                with open(odd, "wb") as file:  # noqa: PTH123  a name that is no text
                    file.write(_encoded(rng))
            elif name.endswith(".jsonl"):
                place.write_bytes(_lines(rng))
            else:
                place.write_bytes(SIMPLE.encode() if rng.random() < 0.6 else _encoded(rng))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            if place.is_symlink():
                continue
            raise Failure(str(error)) from error
    source = rng.choice(["texts", "texts", "texts/a.txt", "texts/d", "texts/../texts"])
    return "texts" if (case.folder / source).is_fifo() else source  # a pipe that is named is waited for: see _waiting


def _named(case: Case) -> str:
    """Sources that are no files."""
    odd = odd_text(case.rng, 9, surrogates=False).lstrip("./~").replace("\0", "")
    return case.rng.choice(["nowhere", "x" * 300, "x/" * 3000, "/dev/null", "/proc/self/mem", "", ".", odd])


def _changing(case: Case) -> None:
    """Files that vanish, are cut short, grow, or become something else while others are read."""
    rng = case.rng
    names = [f"t/{n}.{rng.choice(['txt', 'jsonl', 'md.gz'])}" for n in range(6)]
    for name in names:
        text = _lines(rng) if "jsonl" in name else (SIMPLE * rng.choice([1, 9000])).encode()
        case.write(name, gzip.compress(text, 1) if name.endswith(".gz") else text)

    def change() -> None:
        path = case.folder / rng.choice(names)
        what = rng.randrange(6)
        if what == 0:
            path.unlink(missing_ok=True)
        elif not path.is_file():
            return
        elif what == 1:
            os.truncate(path, path.stat().st_size // 2)
        elif what == 2:
            with path.open("ab") as file:
                file.write(rng.choice([SIMPLE.encode(), rng.randbytes(99), bytes(99)]) * rng.choice([1, 5000]))
        elif what == 3:
            path.write_bytes(rng.randbytes(3000))
        elif what == 4:
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(b"")

    def watched(documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            yield Document(document.name, between(document.parts))

    def between(parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            yield part
            if rng.random() < 0.2:
                change()

    report = ReadingReport()
    try:
        Spool.write(
            watched(read_corpus(["t"], errors=rng.choice(["strict", "replace"]), report=report)), case.folder / "spool"
        )
    except (CorpusError, FileNotFoundError, IsADirectoryError) as error:  # of these the command line makes one line
        case.refuse(str(error))


KINDS: list[Callable[[Case], str | None]] = [_junk, _words, _packed, _records, _folder, _named, _changing]
WEIGHTS = [3, 8, 5, 6, 4, 1, 1]

# The large ones ------------------------------------------------------------------------------------------------------


def _spooled(case: Case, source: str) -> int:
    spool = case.call(lambda: Spool.write(read_corpus([source]), case.folder / "spool"))
    return spool.characters if spool else 0


def _one_line(case: Case) -> None:
    with (case.folder / "a.txt").open("wb") as file:
        for _ in range(BIG // (3 << 20)):
            file.write("好".encode() * (1 << 20))
    if _spooled(case, "a.txt") != BIG // (3 << 20) << 20:
        raise Failure("a text of one line was not read whole")


def _one_record(case: Case) -> None:
    """A line of .jsonl is held whole, and what is made of it is larger."""
    with (case.folder / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "x"}\n{"x": [')
        for _ in range(BIG >> 20):
            file.write(b"[],{}," * (1 << 17) + b"0," * (1 << 17))
        file.write(b"0]}\n")
    _spooled(case, "a.jsonl")


def _endless_record(case: Case) -> None:
    """A .jsonl file without an end of line; its hole takes no room on the disk."""
    with (case.folder / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "')
        for _ in range(600):
            file.write(b"x" * (1 << 20))
    _spooled(case, "a.jsonl")
    if not case.refusals:
        raise Failure("600 MiB of one line of .jsonl were taken into memory")


def _bomb(case: Case, name: str, block: bytes, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(block * ((64 << 20) // len(block)))
    with (case.folder / name).open("wb") as file:
        for _ in range(GIGABYTES // (64 << 20)):
            file.write(packed)
    read = _spooled(case, name)
    if not case.refusals:
        raise Failure(f"{(case.folder / name).stat().st_size:,} bytes unpacked to {read:,} characters")


def _many(case: Case, count: int = MANY) -> None:
    folder = case.folder / "many"
    for n in range(count):
        if n % 1000 == 0:
            part = folder / str(n // 1000)
            part.mkdir(parents=True)
        (part / f"{n}.txt").write_text(f"第{n}个。", encoding="utf-8")
    report = ReadingReport()
    Spool.write(read_corpus([str(folder)], report=report), case.folder / "spool")
    if report.documents != count:
        raise Failure(f"{report.documents} of {count} files were read")


def _million(case: Case) -> None:
    _many(case, 1_000_000)


def _waiting(case: Case) -> None:
    """A pipe that is named, and nobody writes into: it is waited for, as everywhere, until Ctrl+C; one in a folder is
    passed over."""
    os.mkfifo(case.folder / "pipe.txt")
    words = [sys.executable, "-m", "charrnn", "eval", "pipe.txt", "-m", str(case.world.writer)]

    def heard() -> None:  # also where this script itself runs with Ctrl+C ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard) as process:
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    if process.returncode != 130 or said.strip():
        raise Failure(f"it ended with {process.returncode} and {said[-300:]!r}")


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 6)


LARGE: list[Callable[[Case], None]] = [
    _one_line,
    _one_record,
    _endless_record,
    lambda case: _bomb(case, "zeros.txt.gz", bytes(1 << 20), _gzip),
    lambda case: _bomb(case, "zeros.txt.zst", bytes(1 << 20), _zstd),
    lambda case: _bomb(case, "lines.txt.gz", "好\n".encode() * 1024, _gzip),
    lambda case: _bomb(case, "lines.jsonl.zst", b'{"text": "x"}\n', _zstd),
    _many,
    _waiting,
]
MILLION = len(LARGE)
