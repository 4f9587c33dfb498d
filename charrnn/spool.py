"""A corpus on disk, read once: its text, where it is cut, and which part of it is held out.

Held out is a tenth of the documents, chosen by a hash of their names so that the choice never moves; of fewer than
twenty documents, blocks of the text chosen the same way, each scored as a document of its own.
"""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    names: list[str] = field(default_factory=list)
    parts: array[int] = field(default_factory=lambda: array("Q"))  # characters of a part
    roles: bytearray = field(default_factory=bytearray)  # its role, an index into ROLES
    ends: array[int] = field(default_factory=lambda: array("Q"))  # parts before the end of a document
    characters: int = 0
    sha256: str = ""

    @classmethod
    def write(cls, documents: Iterable[Document], path: Path) -> Spool:
        """Read the documents to their end into a file."""
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
class Stretch:
    """A piece of a segment of the spool: what begins with it, and its text."""

    held_out: bool
    begins_document: bool
    role: Role | None  # begins a question or an answer
    text: str


@dataclass(frozen=True)
class Split:
    """Which documents (block 0), or which blocks of so many characters of them, are held out."""

    held_out: frozenset[str]
    rule: str
    block: int = 0

    @classmethod
    def of(cls, spool: Spool) -> Split:
        """A tenth by a hash of the names, at least one and never all."""
        names = set(spool.names)
        if len(names) >= FEWEST_DOCUMENTS:
            return cls(_tenth(names), f"{HELD_OUT_SHARE:.0%} of the documents, by a hash of their names")
        block = max(1, spool.characters // BLOCKS)
        lengths = zip(spool.names, spool.lengths(), strict=True)
        blocks = {f"{name}#{start // block}" for name, n in lengths for start in range(0, n, block)}
        held_out = _tenth(blocks)
        return cls(held_out, f"{len(held_out)} of {len(blocks)} blocks of {block} characters, by a hash", block)

    def stretches(self, spool: Spool) -> Iterator[Stretch]:
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

    def _blocks(self, file: io.TextIOBase, lengths: Sequence[int], roles: list[Role], name: str) -> Iterator[Stretch]:
        """A document cut at every block's end; a new segment begins where the side changes."""
        position, side = 0, None
        for length, role in zip(lengths, roles, strict=True):
            begins: Role | None = None if role == "text" else role
            while length > 0 or begins:
                room = self.block - position % self.block
                text = file.read(min(room, length, READ_CHARACTERS))
                held_out = f"{name}#{position // self.block}" in self.held_out
                yield Stretch(held_out, held_out is not side, begins, text)
                side, begins = held_out, None
                position += len(text)
                length -= len(text)


def _tenth(names: set[str]) -> frozenset[str]:
    """Those whose hash falls in the first tenth; at least one, and never all."""
    ordered = sorted(names, key=hash_share)
    count = sum(map(is_held_out, ordered))
    return frozenset(ordered[: max(1, min(len(ordered) - 1, count))])


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
