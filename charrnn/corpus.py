"""From names, files, folders and standard input to a stream of documents.

Text files are a document each; .jsonl and .json hold records: {"text": …}, question sets, conversations. Documents
stream: a text comes in pieces, and memory does not grow with the corpus (a .json file, which must be read whole, has a
limit). What a folder holds that is no text is skipped, counted and named.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from charrnn.errors import CorpusError
from charrnn.textfile import Errors, TextFile, front_matter

BUNDLED = {"corpus": ("articles", "dialogues")} | {name: (name,) for name in ("articles", "dialogues", "binary")}
TEXT, RECORDS, PACKED = (".txt", ".md"), (".jsonl", ".json"), (".gz", ".zst")
LARGEST_JSON = 256 << 20
FEWEST_PHRASINGS = 4  # of a set that one of them is held out of
NAMED_SKIPS = 100
TICK = 2.0  # seconds: of the coarsest clock of a file system
ASK, ANSWER = ("问", "user", "human", "ask"), ("答", "assistant", "gpt", "answer")

Role = Literal["text", "ask", "answer"]


@dataclass(frozen=True)
class Part:
    """A stretch of a document: running text (a piece of it), a question, or an answer."""

    role: Role
    text: str


@dataclass(frozen=True)
class Document:
    """A document's name, which decides whether it is held out, and its parts, to be read once and in order."""

    name: str
    parts: Iterator[Part]


@dataclass
class ReadingReport:
    """What was read and what was not; filled while the documents are."""

    files: int = 0
    documents: int = 0
    characters: int = 0
    encodings: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    skipped_names: list[tuple[str, str]] = field(default_factory=list)
    replaced: int = 0

    def skip(self, name: str, why: str) -> None:
        """Count what is passed over, and keep the first hundred names."""
        self.skipped += 1
        if len(self.skipped_names) < NAMED_SKIPS:
            self.skipped_names.append((name, why))


def hash_share(name: str) -> float:
    """A number in [0, 1) that is the same for a name for ever."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def held_out_phrasing(asks: Sequence[str]) -> str | None:
    """The phrasing of a question set that is never trained on, so that answers can be measured on it.

    Chosen by a hash, and never the first, which names the set; None for a set of few.
    """
    return min(asks[1:], key=hash_share) if len(asks) >= FEWEST_PHRASINGS else None


def bundled_root() -> Path:
    """The folder of the bundled corpora: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "corpora"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "corpora"


def read_corpus(
    sources: Sequence[str], *, errors: Errors = "strict", report: ReadingReport | None = None
) -> Iterator[Document]:
    """The documents of files, folders, bundled corpora (by name, where no such path exists) and "-", in order.

    A document's name is its path under the folder that was given, or for records their first question, or their line:
    it stays the same wherever the corpus lies. Each document's parts must be read before the next is taken.
    Raises CorpusError for a source that is not there, bytes that are no text, a wrong record, and nothing to read.
    """
    report = ReadingReport() if report is None else report
    for source in sources:
        for path, name in _files(source, report):
            yield from _counted(_documents(path, name, errors, report), report)
    if not report.documents:
        skipped = f" ({report.skipped} skipped: {report.skipped_names[0][1]})" if report.skipped else ""
        raise CorpusError(f"{', '.join(sources)}: empty, there is no text to read{skipped}")


def file_signature(sources: Sequence[str]) -> str | None:
    """A hash of the names, sizes and times of all files that `read_corpus` would read; None where one is no regular
    file, or was written so lately that it might be again within the same tick. Raises CorpusError as it does."""
    digest, newest = hashlib.sha256(), 0.0
    for source in sources:
        for path, name in _files(source, ReadingReport()):
            if path is None or not path.is_file():
                return None
            known = path.stat()
            digest.update(json.dumps([name, str(path.absolute()), known.st_size, known.st_mtime_ns]).encode())
            newest = max(newest, known.st_mtime)
    return digest.hexdigest() if newest < time.time() - TICK else None


# Files ---------------------------------------------------------------------------------------------------------------


def _files(source: str, report: ReadingReport) -> Iterator[tuple[Path | None, str]]:
    """The files of a source and their names; None is standard input."""
    path = Path(source)
    if source == "-":
        yield None, "-"
    elif path.is_dir():
        yield from _walk(path, path, report)
    elif path.exists():
        yield path, path.name
    elif source in BUNDLED:
        for folder in BUNDLED[source]:
            yield from _walk(bundled_root() / folder, bundled_root(), report)
    else:
        raise CorpusError(
            f"{source}: there is no such file or folder, and no bundled corpus of that name ({', '.join(BUNDLED)})"
        )


def _walk(folder: Path, root: Path, report: ReadingReport) -> Iterator[tuple[Path, str]]:
    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = Path(place, file)
            name = path.relative_to(root).as_posix()
            if file.startswith("."):
                continue
            if _kind(path) not in TEXT + RECORDS:
                report.skip(name, f"no {' '.join(TEXT + RECORDS)}")
            elif file.lower() == "readme.md":
                report.skip(name, "describes its folder")
            elif not path.is_file():
                report.skip(name, "no regular file")
            else:
                yield path, name


def _kind(path: Path) -> str:
    """The ending that says how to read a file, whether it is packed or not."""
    path = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return path.suffix.lower()


# Documents -----------------------------------------------------------------------------------------------------------


def _documents(path: Path | None, name: str, errors: Errors, report: ReadingReport) -> Iterator[Document]:
    file = TextFile(path, errors)
    report.files += 1
    report.encodings[file.encoding] += 1
    kind = "" if path is None else _kind(path)
    if kind in RECORDS:
        for place, record in _lines(file) if kind == ".jsonl" else _whole(file):
            yield from _record_documents(record, f"{name}#{place}", f"{file.name}:{place}")
    else:
        yield Document(name, (Part("text", piece) for piece in _text(file, kind == ".md")))
    report.replaced += file.replaced


def _text(file: TextFile, markdown: bool) -> Iterator[str]:
    for i, piece in enumerate(file.pieces()):
        yield piece[front_matter(piece) :] if markdown and i == 0 else piece


def _counted(documents: Iterable[Document], report: ReadingReport) -> Iterator[Document]:
    """Those with text in them, counted as they are read."""
    for document in documents:
        first = next((part for part in document.parts if part.text.strip()), None)
        if first is None:
            report.skip(document.name, "empty")
            continue
        report.documents += 1
        yield Document(document.name, _count(first, document.parts, report))


def _count(first: Part, others: Iterator[Part], report: ReadingReport) -> Iterator[Part]:
    report.characters += len(first.text)
    yield first
    for part in others:
        report.characters += len(part.text)
        yield part


# Records -------------------------------------------------------------------------------------------------------------


def _lines(file: TextFile) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file.lines(), 1):
        if line.strip():
            yield number, _parse(line, f"{file.name}:{number}")


def _whole(file: TextFile) -> Iterator[tuple[int, Any]]:
    pieces, size = [], 0
    for piece in file.pieces():
        size += len(piece)
        if size > LARGEST_JSON:
            raise CorpusError(
                f"{file.name}: more than {LARGEST_JSON >> 20} MiB of .json, which must be read whole; use .jsonl"
            )
        pieces.append(piece)
    text = "".join(pieces)
    records = _parse(text, file.name) if text.strip() else []
    yield from enumerate(records if isinstance(records, list) else [records], 1)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where}: no JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise CorpusError(f"{where}: no record of text: its JSON is nested too deep") from error
    except ValueError as error:
        raise CorpusError(f"{where}: no record of text: a number in it has too many digits") from error


def _record_documents(record: Any, name: str, where: str) -> Iterator[Document]:
    """The documents of one record.

    A set gives one a phrasing (but the held-out one), with its answers in turn; its first phrasing comes with each, so
    that all of the set hangs together.
    """
    match record:
        case {"text": str(text)}:
            yield Document(name, iter([Part("text", _sound(text))]))
        case {"ask": str() | [_, *_] as asks, "answer": str() | [_, *_] as answers}:
            asks, answers = (_strings(x, where) for x in (asks, answers))
            held_out = held_out_phrasing(asks)
            read = [ask for ask in asks if ask != held_out]  # nothing, where all are the same
            pairs = itertools.chain(
                itertools.product(read[:1], answers), zip(read[1:], itertools.cycle(answers), strict=False)
            )
            for ask, answer in pairs:
                yield _dialogue(asks[0], [("ask", ask), ("answer", answer)])
        case {"turns": [_, *_] as turns}:
            yield _conversation(turns, lambda turn: (turn[0], turn[1]), where)
        case {"messages": [_, *_] as turns}:
            yield _conversation(turns, lambda turn: (turn["role"], turn["content"]), where)
        case _:
            raise CorpusError(
                f'{where}: no record of text: expected an object with "text", "ask" and "answer", "turns" or "messages"'
            )


def _strings(value: Any, where: str) -> list[str]:
    values: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(v, str) for v in values):
        raise CorpusError(f'{where}: "ask" and "answer" must be texts or lists of texts')
    return [_sound(v) for v in values]


def _conversation(turns: list[Any], parts_of: Callable[[Any], tuple[Any, Any]], where: str) -> Document:
    said: list[tuple[Role, str]] = []
    for number, turn in enumerate(turns, 1):
        try:
            speaker, text = parts_of(turn)
        except (KeyError, IndexError, TypeError):
            speaker, text = None, None
        if speaker == "system" and isinstance(text, str):
            continue
        if not isinstance(text, str) or speaker not in ASK + ANSWER:
            raise CorpusError(
                f"{where}: turn {number} is no question (问, user) or answer (答, assistant) with its text"
            )
        said.append(("ask" if speaker in ASK else "answer", _sound(text)))
    if not said:
        raise CorpusError(f"{where}: a conversation without turns")
    return _dialogue(said[0][1], said)


def _dialogue(name: str, turns: list[tuple[Role, str]]) -> Document:
    return Document(name, iter([Part(role, text) for role, text in turns]))


def _sound(text: str) -> str:
    """JSON can hold half of a surrogate pair, which no encoding can; line ends are \\n everywhere."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
