"""From a stream of documents to the token files that training and evaluation read, with the held-out part set aside.

Documents are read once, into a spool of plain UTF-8 on disk; the tokenizer learns from a sample of it, and the tokens
are written from it. What is made is kept in the user's cache folder by the hash of the text and of what was asked.

Held out is a tenth of the documents, chosen by a hash of their names so that the choice never moves; of fewer than
twenty documents, blocks of the text chosen the same way, each scored as a document of its own.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import platformdirs

from charrnn.corpus import Document, ReadingReport, read_corpus
from charrnn.errors import CorpusError
from charrnn.tokenizer import Tokenizer, train_tokenizer
from charrnn.tokens import TokenFile, TokenWriter

HELD_OUT_SHARE = 0.1
FEWEST_DOCUMENTS = 20
BLOCKS = 50
LEAST_CHARACTERS = 20
SAMPLE_CHARACTERS = 5_000_000
READ_CHARACTERS = 1 << 16
CACHE_BYTES = 2 << 30
CACHE_FORMAT = 1

Role = Literal["text", "ask", "answer"]
Say = Callable[[str], None]
ROLES: tuple[Role, ...] = ("text", "ask", "answer")


@dataclass(frozen=True)
class CorpusFacts:
    """What a model folder says of the text it was trained on."""

    sources: list[str]
    valid_sources: list[str]
    sha256: str
    documents: int
    characters: int
    train_characters: int
    valid_characters: int
    split: str


@dataclass(frozen=True)
class Dataset:
    """Token files for training and for scoring, and the tokenizer that made them."""

    tokenizer: Tokenizer
    train: TokenFile
    valid: TokenFile
    facts: CorpusFacts
    has_dialogue: bool
    key: str


def hash_share(name: str) -> float:
    """A number in [0, 1) that is the same for a name for ever."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


@dataclass
class _Spool:
    """Documents on disk: their text one after the other, and the lengths that cut it into parts and documents."""

    path: Path
    names: list[str] = field(default_factory=list)
    parts: array[int] = field(default_factory=lambda: array("Q"))  # characters of a part
    roles: bytearray = field(default_factory=bytearray)  # its role, an index into ROLES
    ends: array[int] = field(default_factory=lambda: array("Q"))  # parts before the end of a document
    characters: int = 0
    sha256: str = ""

    @classmethod
    def write(cls, documents: Iterable[Document], path: Path) -> _Spool:
        spool, digest = cls(path), hashlib.sha256()
        with path.open("w", encoding="utf-8", newline="") as file:
            for document in documents:
                spool.names.append(document.name)
                digest.update(b"\x00document\x00" + document.name.encode("utf-8", "surrogatepass"))
                for part in document.parts:
                    spool._add(part.role, len(part.text), first=len(spool.parts) == (spool.ends or [0])[-1])
                    digest.update(b"\x00" + part.role.encode() + b"\x00" + part.text.encode("utf-8"))
                    file.write(part.text)
                spool.ends.append(len(spool.parts))
        spool.sha256 = digest.hexdigest()
        return spool

    def _add(self, role: Role, characters: int, *, first: bool) -> None:
        self.characters += characters
        if role == "text" and not first and ROLES[self.roles[-1]] == "text":
            self.parts[-1] += characters  # a long text comes in pieces and is one part
            return
        self.parts.append(characters)
        self.roles.append(ROLES.index(role))

    def lengths(self) -> list[int]:
        """Characters of each document."""
        starts = [0, *self.ends[:-1]]
        return [sum(self.parts[a:b]) for a, b in zip(starts, self.ends, strict=True)]


@dataclass(frozen=True)
class _Stretch:
    """A piece of a segment of the spool: what begins with it, and its text."""

    held_out: bool
    begins_document: bool
    role: Role | None  # begins a question or an answer
    text: str


@dataclass(frozen=True)
class _Split:
    """Which documents (block 0), or which blocks of so many characters of them, are held out."""

    held_out: frozenset[str]
    rule: str
    block: int = 0

    @classmethod
    def of(cls, spool: _Spool) -> _Split:
        """A tenth by a hash of the names, at least one and never all."""
        names = set(spool.names)
        if len(names) >= FEWEST_DOCUMENTS:
            return cls(_tenth(names), f"{HELD_OUT_SHARE:.0%} of the documents, by a hash of their names")
        block = max(1, spool.characters // BLOCKS)
        lengths = zip(spool.names, spool.lengths(), strict=True)
        blocks = {f"{name}#{start // block}" for name, n in lengths for start in range(0, n, block)}
        held_out = _tenth(blocks)
        return cls(held_out, f"{len(held_out)} of {len(blocks)} blocks of {block} characters, by a hash", block)

    def stretches(self, spool: _Spool) -> Iterator[_Stretch]:
        """The whole spool in order, cut where a segment, a part or a reading block ends."""
        part = 0
        with spool.path.open(encoding="utf-8", newline="") as file:
            for name, end in zip(spool.names, spool.ends, strict=True):
                lengths = spool.parts[part:end]
                roles = [ROLES[r] for r in spool.roles[part:end]]
                part = end
                if self.block:
                    yield from self._blocks(file, lengths, roles, name)
                else:
                    yield from _whole(file, lengths, roles, name in self.held_out)

    def _blocks(self, file: io.TextIOBase, lengths: Sequence[int], roles: list[Role], name: str) -> Iterator[_Stretch]:
        """A document cut at every block's end; a new segment begins where the side changes."""
        position, side = 0, None
        for length, role in zip(lengths, roles, strict=True):
            begins: Role | None = None if role == "text" else role
            while length > 0 or begins:
                room = self.block - position % self.block
                text = file.read(min(room, length, READ_CHARACTERS))
                held_out = f"{name}#{position // self.block}" in self.held_out
                yield _Stretch(held_out, held_out is not side, begins, text)
                side, begins = held_out, None
                position += len(text)
                length -= len(text)


def _tenth(names: set[str]) -> frozenset[str]:
    """Those whose hash falls in the first tenth; at least one, and never all."""
    ordered = sorted(names, key=hash_share)
    count = sum(hash_share(name) < HELD_OUT_SHARE for name in ordered)
    return frozenset(ordered[: max(1, min(len(ordered) - 1, count))])


def _whole(file: io.TextIOBase, lengths: Sequence[int], roles: list[Role], held_out: bool) -> Iterator[_Stretch]:
    begins_document = True
    for length, role in zip(lengths, roles, strict=True):
        begins: Role | None = None if role == "text" else role
        while length > 0 or begins:
            text = _read_lines(file, length)
            yield _Stretch(held_out, begins_document, begins, text)
            begins_document, begins = False, None
            length -= len(text)


def _read_lines(file: io.TextIOBase, most: int) -> str:
    """At most `most` characters, in pieces that end with a line where they can: a subword never crosses one."""
    text = file.read(min(most, READ_CHARACTERS))
    if len(text) == most:
        return text
    return text + file.readline(min(most - len(text), READ_CHARACTERS))


def _spread_sample(split: _Split, spool: _Spool) -> Iterator[str]:
    """Training text, every k-th piece of it when the corpus is large."""
    every = max(1, -(-spool.characters // SAMPLE_CHARACTERS))
    kept = 0
    for stretch in split.stretches(spool):
        if stretch.held_out:
            continue
        for start in range(0, len(stretch.text), 4096):
            if kept % every == 0:
                yield stretch.text[start : start + 4096]
            kept += 1


def _write_tokens(stretches: Iterable[_Stretch], tokenizer: Tokenizer, folder: Path) -> tuple[list[int], bool]:
    """The two token files; characters on each side (train, valid), and whether there is dialogue."""
    writers = [TokenWriter(folder, name, tokenizer.size) for name in ("train", "valid")]
    characters, open_side, dialogue = [0, 0], -1, False
    marks = {"ask": tokenizer.ask, "answer": tokenizer.answer}
    for stretch in stretches:
        side = int(stretch.held_out)
        if stretch.begins_document:
            if open_side >= 0:
                writers[open_side].end_document()
            writers[side].write([tokenizer.document])
            open_side = side
        if stretch.role in marks:
            dialogue = True
            writers[side].write([marks[stretch.role]])
        writers[side].write(tokenizer.encode(stretch.text))
        characters[side] += len(stretch.text)
    if open_side >= 0:
        writers[open_side].end_document()
    for writer in writers:
        writer.close()
    return characters, dialogue


def cache_folder() -> Path:
    """Where prepared text is kept: the user's cache folder, or the system's temporary one where that is read-only."""
    folder = platformdirs.user_cache_path("charrnn") / "tokens"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError:
        return Path(tempfile.gettempdir()) / f"charrnn-tokens-{os.getuid()}"


def prepare(
    sources: Sequence[str],
    *,
    kind: Literal["char", "subword"],
    vocabulary: int = 0,
    valid: Sequence[str] = (),
    errors: Literal["strict", "replace"] = "strict",
    tokenizer: Tokenizer | None = None,
    say: Say = lambda line: None,
) -> Dataset:
    """Read, split, learn the tokenizer (unless one is given), write the tokens; or find them in the cache.

    Raises CorpusError for text that cannot be read, is empty, or is too little.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reading-", dir=cache) as temporary:
        spool, report = _read(sources, errors, Path(temporary) / "train")
        _say_report(report, say)
        others, key_parts = None, [spool.sha256, kind, str(vocabulary), tokenizer.model.hex() if tokenizer else ""]
        if valid:
            others, valid_report = _read(valid, errors, Path(temporary) / "valid")
            _say_report(valid_report, say)
            key_parts.append(others.sha256)
        key = hashlib.sha256(json.dumps([CACHE_FORMAT, *key_parts]).encode()).hexdigest()[:32]
        if not (cache / key / "dataset.json").exists():
            made = Path(temporary) / "made"
            made.mkdir()
            _make(made, list(sources), list(valid), spool, others, tokenizer, kind, vocabulary)
            _publish(made, cache / key)
    os.utime(cache / key)
    _prune(cache, keep=key)
    return open_dataset(key)


def _read(sources: Sequence[str], errors: Literal["strict", "replace"], path: Path) -> tuple[_Spool, ReadingReport]:
    report = ReadingReport()
    spool = _Spool.write(read_corpus(sources, errors=errors, report=report), path)
    if spool.characters < LEAST_CHARACTERS:
        raise CorpusError(
            f"{', '.join(sources)}: only {spool.characters} characters of text; "
            f"give at least {LEAST_CHARACTERS}, and a few thousand for a model worth its while"
        )
    return spool, report


def _say_report(report: ReadingReport, say: Say) -> None:
    said = f"read {report.documents:,} documents, {report.characters:,} characters"
    other = {name: n for name, n in report.encodings.items() if name != "utf-8"}
    if other:
        said += "; " + ", ".join(f"{n} in {name}" for name, n in other.items())
    if report.replaced:
        said += f"; {report.replaced:,} bad bytes replaced"
    say(said)
    if report.skipped:
        shown = "; ".join(f"{name} ({why})" for name, why in report.skipped_names[:5])
        say(f"skipped {report.skipped:,}: {shown}{' …' if report.skipped > 5 else ''}")


def _make(
    folder: Path,
    sources: list[str],
    valid_sources: list[str],
    spool: _Spool,
    others: _Spool | None,
    tokenizer: Tokenizer | None,
    kind: Literal["char", "subword"],
    vocabulary: int,
) -> None:
    if others is None:
        split = _Split.of(spool)
        stretches = split.stretches(spool)
    else:
        split = _Split(frozenset(), "a text of its own")
        everything = _Split(frozenset(others.names), "")
        stretches = itertools.chain(split.stretches(spool), everything.stretches(others))
    tokenizer = tokenizer or train_tokenizer(_spread_sample(split, spool), kind, size=vocabulary)
    (folder / "tokenizer.model").write_bytes(tokenizer.model)
    characters, dialogue = _write_tokens(stretches, tokenizer, folder)
    facts = CorpusFacts(
        sources=sources,
        valid_sources=valid_sources,
        sha256=spool.sha256,
        documents=len(spool.names),
        characters=spool.characters,
        train_characters=characters[0],
        valid_characters=characters[1],
        split=split.rule,
    )
    record = {"facts": asdict(facts), "has_dialogue": dialogue}
    (folder / "dataset.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def _publish(made: Path, place: Path) -> None:
    """Put a finished folder in its place; another process may have put the same there first."""
    try:
        made.rename(place)
    except OSError:
        if not (place / "dataset.json").exists():
            raise


def _prune(cache: Path, *, keep: str) -> None:
    """Remove the longest unused datasets while the cache is too large; open maps stay readable."""
    folders = sorted((f for f in cache.iterdir() if (f / "dataset.json").exists()), key=lambda f: f.stat().st_mtime)
    size = {f: sum(p.stat().st_size for p in f.iterdir()) for f in folders}
    total = sum(size.values())
    for folder in folders:
        if total <= CACHE_BYTES:
            return
        if folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size[folder]


def open_dataset(key: str) -> Dataset:
    """A dataset of the cache by its key; FileNotFoundError if it is gone."""
    folder = cache_folder() / key
    record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer((folder / "tokenizer.model").read_bytes())
    train, valid = (TokenFile(folder, name, tokenizer.size) for name in ("train", "valid"))
    return Dataset(tokenizer, train, valid, CorpusFacts(**record["facts"]), record["has_dialogue"], key)
