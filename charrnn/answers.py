"""Which question is being answered at each position of a token file: read from the tokens, between their marks.

It joins tokens, tokenizer and `question`, and knows nothing of networks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from charrnn.question import Asked, Bag, runs
from charrnn.tokenizer import Tokenizer
from charrnn.tokens import Ids, Piece, TokenFile

MOST_KEPT, MOST_RUNS = 1 << 16, 1 << 22  # documents whose answers are remembered, and runs in their bags
MOST_COUNTED = 20_000  # documents that rarity is counted on


class _Turn(NamedTuple):
    """A question or an answer: its mark, which stands at `start`, where it ends, and its text."""

    mark: int
    start: int
    stop: int
    text: str


class Answer(NamedTuple):
    """Positions [start, stop) of a document, from the answer's mark to its last token, and what was asked."""

    start: int
    stop: int
    asked: Bag


class Exchange(NamedTuple):
    """An answer with which a dialogue begins, and every question that it answers."""

    answer: Bag
    questions: list[Bag]


class Answers:
    """The answers of a token file's documents."""

    def __init__(self, tokens: TokenFile, tokenizer: Tokenizer, buckets: int) -> None:
        self._tokens = tokens
        self._tokenizer = tokenizer
        self._buckets = buckets
        self._kept: dict[int, tuple[Answer, ...]] = {}
        self._runs = 0

    def of(self, document: int) -> tuple[Answer, ...]:
        """The answers of a document, each with the dialogue before it as a bag."""
        if document in self._kept:
            return self._kept[document]
        answers = tuple(self._read(self._tokens.document(document)))
        self._runs += sum(len(answer.asked.buckets) for answer in answers)
        if self._runs > MOST_RUNS or len(self._kept) >= MOST_KEPT:
            self._kept, self._runs = {}, 0
        self._kept[document] = answers
        return answers

    def _read(self, ids: Ids) -> Iterator[Answer]:
        asked = Asked(self._buckets)
        for mark, start, stop, text in self._turns(ids):
            if mark == self._tokenizer.ask:
                asked = asked.ask(text)
                continue
            if (bag := asked.bag()).buckets:  # there are none before the first question, or of an empty one
                yield Answer(start, stop, bag)
            asked = asked.answer(text)

    def _turns(self, ids: Ids) -> Iterator[_Turn]:
        marks = np.flatnonzero((ids == self._tokenizer.ask) | (ids == self._tokenizer.answer)).tolist()
        for start, stop in itertools.pairwise([*marks, len(ids)]):
            yield _Turn(int(ids[start]), start, stop, self._tokenizer.decode(ids[start + 1 : stop].tolist()))

    def exchanges(self) -> list[Exchange]:
        """How dialogues begin: questions with the same answer are ways to ask the same."""
        found: dict[str, Exchange] = {}
        for d in range(min(len(self._tokens), MOST_COUNTED)):
            turns = list(itertools.islice(self._turns(self._tokens.document(d)), 2))
            if [turn.mark for turn in turns] == [self._tokenizer.ask, self._tokenizer.answer]:
                question, answer = (Asked(self._buckets).ask(turn.text).bag() for turn in turns)
                if question.buckets and answer.buckets:
                    found.setdefault(turns[1].text, Exchange(answer, [])).questions.append(question)
        return list(found.values())

    def rarity(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """How much each bucket says, (buckets,): log(N / n) / log N where n of N texts of dialogue hold it."""
        counts, texts = np.zeros(self._buckets), 0
        for d in range(min(len(self._tokens), MOST_COUNTED)):
            for turn in self._turns(self._tokens.document(d)):
                counts[list(set(runs(turn.text, self._buckets)))] += 1
                texts += 1
        return np.asarray(np.log((texts + 2) / (counts + 1)) / math.log(texts + 2), np.float32)

    def at(self, pieces: Iterable[Piece], shape: tuple[int, int]) -> tuple[Ids, list[Bag]]:
        """For a window of pieces: the number of the bag at each position (T, B), 0 for none, and the bags from 1 on."""
        where, bags = np.zeros(shape, np.int64), list[Bag]()
        for piece in pieces:
            for start, stop, bag in self.of(piece.document):
                first, last = max(start, piece.start), min(stop, piece.start + piece.length)
                if first < last:
                    bags.append(bag)
                    shift = piece.position - piece.start
                    where[first + shift : last + shift, piece.stream] = len(bags)
        return where, bags
