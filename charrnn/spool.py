"""A corpus on disk, read once: its text, where it is cut, and which part of it is held out.

Held out is a tenth of the documents, chosen by a hash of their names so that the choice never moves; of fewer than
twenty documents, blocks of the text chosen the same way, each scored as a document of its own.
"""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charrnn.corpus import Document, Role, hash_share

HELD_OUT_SHARE = 0.1
FEWEST_DOCUMENTS = 20
BLOCKS = 50
READ_CHARACTERS = 1 << 16
ROLES: tuple[Role, ...] = ("text", "ask", "answer")


def is_held_out(name: str) -> bool:
    """Whether a document's name falls in the tenth that is never trained on."""
    return hash_share(name) < HELD_OUT_SHARE


@dataclass
class Spool:
    """Documents on disk: their text one after the other, and the lengths that cut it into parts and documents."""

    path: Path
    names: dict[float, str] = field(default_factory=dict)  # of some documents with different ones, by their hash
    hashes: array[float] = field(default_factory=lambda: array("d"))  # of each document's name, as a share of all
    parts: array[int] = field(default_factory=lambda: array("Q"))  # characters of a part
    roles: bytearray = field(default_factory=bytearray)  # its role, an index into ROLES
    ends: array[int] = field(default_factory=lambda: array("Q"))  # parts before the end of a document
    characters: int = 0
    sha256: str = ""

    @classmethod
    def write(cls, documents: Iterable[Document], path: Path, tick: Callable[[], None] = lambda: None) -> Spool:
        """Read the documents to their end into a file; `tick` is called now and then."""
        spool, digest = cls(path), hashlib.sha256()
        with path.open("w", encoding="utf-8", newline="") as file:
            for document in documents:
                spool._name(document.name)
                digest.update(b"\x00document\x00" + document.name.encode("utf-8", "surrogatepass"))
                for part in document.parts:
                    spool._add(part.role, len(part.text), first=len(spool.parts) == (spool.ends or [0])[-1])
                    digest.update(b"\x00" + part.role.encode() + b"\x00" + part.text.encode("utf-8"))
                    file.write(part.text)
                    tick()
                spool.ends.append(len(spool.parts))
        spool.sha256 = digest.hexdigest()
        return spool

    def _name(self, name: str) -> None:
        """Of many documents a name each would fill the memory."""
        self.hashes.append(hash_share(name))
        if len(self.names) < FEWEST_DOCUMENTS:
            self.names.setdefault(self.hashes[-1], name)

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
class Stretch:
    """A piece of a segment of the spool: what begins with it, and its text."""

    held_out: bool
    begins_document: bool
    role: Role | None  # begins a question or an answer
    text: str


@dataclass(frozen=True)
class Split:
    """Which documents are held out, those of low hashes; or which blocks of so many characters of them."""

    rule: str
    highest: float = -1.0
    """The highest hash of a name that is held out."""
    blocks: frozenset[str] = frozenset()
    block: int = 0

    @classmethod
    def of(cls, spool: Spool) -> Split:
        """A tenth by a hash of the names, at least one and never all."""
        if len(spool.names) >= FEWEST_DOCUMENTS:
            rule = f"{HELD_OUT_SHARE:.0%} of the documents, by a hash of their names"
            return cls(rule, _tenth(np.unique(np.frombuffer(spool.hashes, np.float64))))
        block = max(1, spool.characters // BLOCKS)
        lengths = zip(map(spool.names.__getitem__, spool.hashes), spool.lengths(), strict=True)
        blocks = {f"{name}#{start // block}" for name, n in lengths for start in range(0, n, block)}
        highest = _tenth(np.sort([hash_share(name) for name in blocks]))
        held_out = frozenset(name for name in blocks if hash_share(name) <= highest)
        rule = f"{len(held_out)} of {len(blocks)} blocks of {block} characters, by a hash"
        return cls(rule, blocks=held_out, block=block)

    def stretches(self, spool: Spool) -> Iterator[Stretch]:
        """The whole spool in order, cut where a segment, a part or a reading block ends."""
        part = 0
        with spool.path.open(encoding="utf-8", newline="") as file:
            for hashed, end in zip(spool.hashes, spool.ends, strict=True):
                lengths = spool.parts[part:end]
                roles = [ROLES[r] for r in spool.roles[part:end]]
                part = end
                if self.block:
                    yield from self._blocks(file, lengths, roles, spool.names[hashed])
                else:
                    yield from _whole(file, lengths, roles, hashed <= self.highest)

    def _blocks(self, file: io.TextIOBase, lengths: Sequence[int], roles: list[Role], name: str) -> Iterator[Stretch]:
        """A document cut at every block's end; a new segment begins where the side changes."""
        position, side = 0, None
        for length, role in zip(lengths, roles, strict=True):
            begins: Role | None = None if role == "text" else role
            while length > 0 or begins:
                room = self.block - position % self.block
                text = file.read(min(room, length, READ_CHARACTERS))
                held_out = f"{name}#{position // self.block}" in self.blocks
                yield Stretch(held_out, held_out is not side, begins, text)
                side, begins = held_out, None
                position += len(text)
                length -= len(text)


def _tenth(hashes: npt.NDArray[np.float64]) -> float:
    """The highest of those that fall in the first tenth, in rising order; at least one, and never all."""
    count = int(np.searchsorted(hashes, HELD_OUT_SHARE))
    return float(hashes[max(1, min(len(hashes) - 1, count)) - 1])


def _whole(file: io.TextIOBase, lengths: Sequence[int], roles: list[Role], held_out: bool) -> Iterator[Stretch]:
    begins_document = True
    for length, role in zip(lengths, roles, strict=True):
        begins: Role | None = None if role == "text" else role
        while length > 0 or begins:
            text = _read_lines(file, length)
            yield Stretch(held_out, begins_document, begins, text)
            begins_document, begins = False, None
            length -= len(text)


def _read_lines(file: io.TextIOBase, most: int) -> str:
    """At most `most` characters, in pieces that end with a line where they can: a subword never crosses one."""
    text = file.read(min(most, READ_CHARACTERS))
    if len(text) == most:
        return text
    return text + file.readline(min(most - len(text), READ_CHARACTERS))
