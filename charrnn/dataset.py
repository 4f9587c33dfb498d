"""From a stream of documents to the token files that training and evaluation read, with the held-out part set aside.

Documents are read once, into a spool of plain UTF-8 on disk; the tokenizer learns from a sample of it, and the tokens
are written from it. What is made is kept in the user's cache folder by the hash of the text and of what was asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from charrnn import cache
from charrnn.corpus import ReadingReport, file_signature, read_corpus
from charrnn.errors import CorpusError
from charrnn.parallel import apart, encoded
from charrnn.spool import Split, Spool, Stretch
from charrnn.tokenizer import Kind, Tokenizer, first_characters
from charrnn.tokens import TokenFile, TokenWriter
from charrnn.vocabulary import train_tokenizer

LEAST_CHARACTERS = 20
SAMPLED: dict[Kind, int] = {"char": 5_000_000, "subword": 2_000_000}
"""Characters to learn from. Subwords of twice as many are no better, and take twice as long."""
SUBWORDS_FROM = 200_000  # characters of text
SUBWORD_LENGTH = 1.4  # characters, on average: shorter subwords tell no more than characters, and are more
ALWAYS_FROM = 5_000_000  # characters: of so much text, read hardly twice, any subword lets a step read more
LEARNED_APART = 500_000  # characters: from here on learning subwords takes seconds
PIECE = 4096  # characters of a sample's pieces
MEASURED = 200_000  # characters, of the trial that finds that length
CACHE_FORMAT = 7

Say = Callable[[str], None]
BETWEEN = 0.2  # seconds between two words about how far a stage is


class _Stage:
    """What is being done, said some times a second."""

    def __init__(self, working: Say) -> None:
        self._working = working
        self._due = 0.0

    def __call__(self, line: Callable[[], str]) -> None:
        if time.monotonic() >= self._due:
            self._working(line())
            self._due = time.monotonic() + BETWEEN


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
    folder: Path
    facts: CorpusFacts
    has_dialogue: bool
    key: str

    def tokens(self, name: Literal["train", "valid"], *, turns: bool = False) -> TokenFile:
        """The text to train on or the held-out text, whole documents or dialogues turn by turn."""
        return TokenFile(self.folder, name, self.tokenizer.size, turns=turns)


def _spread_sample(split: Split, spool: Spool, kind: Kind) -> Iterator[str]:
    """Training text; of a large corpus a piece here and there, as many as it takes, from everywhere in it."""
    share = min(1.0, SAMPLED[kind] / spool.characters)
    read = kept = 0
    for stretch in split.stretches(spool):
        if stretch.held_out:
            continue
        for start in range(0, len(stretch.text), PIECE):
            piece = stretch.text[start : start + PIECE]
            read += len(piece)
            if kept + len(piece) <= share * read:
                kept += len(piece)
                yield piece


def _new_tokenizer(split: Split, spool: Spool, kind: Literal["auto", "char", "subword"], vocabulary: int) -> Tokenizer:
    """Learned from the text."""
    if kind == "auto":
        kind = "subword" if _reads_subwords(split, spool, vocabulary) else "char"
    sample = _spread_sample(split, spool, kind)
    if kind == "char" or spool.characters < LEARNED_APART:
        return train_tokenizer(sample, kind, size=vocabulary)
    return Tokenizer(apart(_learned, list(sample), vocabulary))


def _reads_subwords(split: Split, spool: Spool, vocabulary: int) -> bool:
    """Unasked: where there is much text, or enough of it and it is dialogue, of which longer tokens say more of what
    the question chose, or they are long enough, which a trial on little of it tells: all takes many times as long."""
    if not SUBWORDS_FROM <= spool.characters < ALWAYS_FROM:
        return spool.characters >= ALWAYS_FROM
    if any(stretch.role for stretch in split.stretches(spool)):
        return True
    text = "".join(first_characters(_spread_sample(split, spool, "subword"), MEASURED))
    trial = train_tokenizer([text], "subword", size=vocabulary)
    return len(text) >= SUBWORD_LENGTH * len(trial.encode(text))


def _learned(sample: list[str], vocabulary: int) -> bytes:
    return train_tokenizer(sample, "subword", size=vocabulary).model


def _write_tokens(
    stretches: Iterable[Stretch], characters: int, tokenizer: Tokenizer, folder: Path, working: Say
) -> tuple[list[int], bool]:
    """The two token files of so many characters; those on each side (train, valid), and whether there is dialogue."""
    writers = [TokenWriter(folder, name, tokenizer.size) for name in ("train", "valid")]
    written, open_side, dialogue = [0, 0], -1, False
    stage = _Stage(working)
    marks = {"ask": tokenizer.ask, "answer": tokenizer.answer}
    for stretch, ids in encoded(stretches, tokenizer):
        side = int(stretch.held_out)
        if stretch.begins_document:
            if open_side >= 0:
                writers[open_side].end_document()
            writers[side].write([tokenizer.document])
            open_side = side
        if stretch.role in marks:
            dialogue = dialogue or not side
            if not stretch.begins_document:
                writers[side].end_turn()
            writers[side].write([marks[stretch.role]])
        writers[side].write(ids)
        written[side] += len(stretch.text)
        stage(lambda: f"writing tokens: {sum(written) / characters:.0%}")
    if open_side >= 0:
        writers[open_side].end_document()
    for writer in writers:
        writer.close()
    return written, dialogue


def prepare(
    sources: Sequence[str],
    *,
    kind: Literal["auto", "char", "subword"],
    vocabulary: int = 0,
    valid: Sequence[str] = (),
    errors: Literal["strict", "replace"] = "strict",
    tokenizer: Tokenizer | None = None,
    say: Say = lambda line: None,
    working: Say = lambda line: None,
) -> Dataset:
    """Read, split, learn the tokenizer (unless one is given), write the tokens; or find them in the cache.

    `say` is told what is done, and `working` what is being done.

    Raises CorpusError for text that cannot be read, is empty, or is too little.
    """
    asked = [kind, str(vocabulary), errors, tokenizer.model.hex() if tokenizer else ""]
    signature = _signature([*sources], [*valid], asked)
    key = cache.recall(signature)
    if key is not None:
        with contextlib.suppress(FileNotFoundError):  # another process may have just removed it
            dataset = open_dataset(key, sources, valid)
            cache.use(key)
            say(f"read before: {dataset.facts.documents:,} documents, {dataset.facts.characters:,} characters")
            return dataset
    with cache.making() as temporary:
        spool, report = _read(sources, errors, temporary / "train", working)
        _say_report(report, say)
        others, key_parts = None, [spool.sha256, *asked]
        if valid:
            others, valid_report = _read(valid, errors, temporary / "valid", working)
            _say_report(valid_report, say)
            key_parts.append(others.sha256)
        key = hashlib.sha256(json.dumps([CACHE_FORMAT, *key_parts]).encode()).hexdigest()[:32]
        try:
            dataset = open_dataset(key, sources, valid)
        except FileNotFoundError:
            made = temporary / "made"
            made.mkdir()
            _make(made, list(sources), list(valid), spool, others, tokenizer, kind, vocabulary, working)
            dataset = open_dataset(key, sources, valid, cache.publish(made, key))
    cache.remember(signature, key)
    cache.use(key)
    return dataset


def _signature(sources: list[str], valid: list[str], asked: list[str]) -> str | None:
    """Of the files that are to be read, and of what is asked; None where that does not tell what they hold."""
    known = [file_signature(sources), file_signature(valid)]
    if None in known:
        return None
    return hashlib.sha256(json.dumps([CACHE_FORMAT, sources, valid, *known, *asked]).encode()).hexdigest()[:32]


def _read(
    sources: Sequence[str], errors: Literal["strict", "replace"], path: Path, working: Say
) -> tuple[Spool, ReadingReport]:
    report, stage = ReadingReport(), _Stage(working)
    documents = read_corpus(sources, errors=errors, report=report)
    spool = Spool.write(documents, path, lambda: stage(lambda: f"reading: {report.characters:,} characters"))
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
    spool: Spool,
    others: Spool | None,
    tokenizer: Tokenizer | None,
    kind: Literal["auto", "char", "subword"],
    vocabulary: int,
    working: Say,
) -> None:
    if others is None:
        split = Split.of(spool)
        stretches = split.stretches(spool)
    else:
        split, everything = Split("a text of its own"), Split("", highest=1.0)
        stretches = itertools.chain(split.stretches(spool), everything.stretches(others))
    if tokenizer is None:
        working("learning the vocabulary")
        tokenizer = _new_tokenizer(split, spool, kind, vocabulary)
    (folder / "tokenizer.model").write_bytes(tokenizer.model)
    characters = spool.characters + (others.characters if others else 0)
    (trained, held_out), dialogue = _write_tokens(stretches, characters, tokenizer, folder, working)
    facts = CorpusFacts(
        sources=sources,
        valid_sources=valid_sources,
        sha256=spool.sha256,
        documents=len(spool.ends),
        characters=spool.characters,
        train_characters=trained,
        valid_characters=held_out,
        split=split.rule,
    )
    record = {"facts": asdict(facts), "has_dialogue": dialogue}
    (folder / cache.FACTS).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def open_dataset(key: str, sources: Sequence[str], valid: Sequence[str], held: int | None = None) -> Dataset:
    """A dataset of the cache by its key, which stays there as long as it is in use; FileNotFoundError if it is gone.

    The same text may have been read from other sources before; these are the ones it says.
    """
    held = cache.hold(key) if held is None else held
    folder = cache.folder() / key
    try:
        record = json.loads((folder / cache.FACTS).read_text(encoding="utf-8"))
        tokenizer = Tokenizer((folder / "tokenizer.model").read_bytes())
        facts = CorpusFacts(**record["facts"] | {"sources": [*sources], "valid_sources": [*valid]})
        dataset = Dataset(tokenizer, folder, facts, record["has_dialogue"], key)
    except BaseException:
        os.close(held)
        raise
    weakref.finalize(dataset, os.close, held)
    return dataset
