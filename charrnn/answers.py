"""Which question is being answered at each position of a token file: read from the tokens, between their marks.

It joins tokens, tokenizer and `question`, and knows nothing of networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.question import REMEMBERED, Asked, Bag, runs
from charrnn.tokenizer import Tokenizer
from charrnn.tokens import Ids, Piece, TokenFile

MOST_KEPT, MOST_RUNS = 1 << 16, 1 << 22  # turns whose bags are remembered, and runs in them
MOST_COUNTED = 100_000  # turns that rarity is counted on


class Exchange(NamedTuple):
    """Ways to ask something with which a dialogue begins, and the answers to it."""

    questions: list[Bag]
    answers: list[Bag]


class Answers:
    """The answers of a token file that is cut into turns."""

    def __init__(self, tokens: TokenFile, tokenizer: Tokenizer, buckets: int) -> None:
        self._tokens = tokens
        self._tokenizer = tokenizer
        self._buckets = buckets
        self._kept: dict[int, Bag] = {}
        self._runs = 0

    def of(self, turn: int) -> Bag:
        """What is answered in a turn, with the dialogue before it; an empty bag where it is no answer."""
        if turn in self._kept:
            return self._kept[turn]
        bag = self._read(turn)
        self._runs += len(bag.buckets)
        if self._runs > MOST_RUNS or len(self._kept) >= MOST_KEPT:
            self._kept, self._runs = {}, 0
        self._kept[turn] = bag
        return bag

    def _read(self, turn: int) -> Bag:
        if self._mark(turn) != self._tokenizer.answer:
            return Bag.of([])
        first, questions = turn, 0
        while first > 0 and not self._begins_document(first) and questions < REMEMBERED:
            first -= 1
            questions += self._mark(first) == self._tokenizer.ask
        asked = Asked(self._buckets)
        for before in range(first, turn):
            text = self._text(before)
            if self._mark(before) == self._tokenizer.ask:
                asked = asked.ask(text)
            elif self._mark(before) == self._tokenizer.answer:
                asked = asked.answer(text)
        return asked.bag()

    def _begins_document(self, turn: int) -> bool:
        return int(self._tokens.document(turn, 0, 1)[0]) == self._tokenizer.document

    def _mark(self, turn: int) -> int:
        """The mark of a question or an answer; behind the document's, if the turn begins with that. −1: neither."""
        start = int(self._begins_document(turn))
        found = self._tokens.document(turn, start, start + 1).tolist()
        return found[0] if found and found[0] in (self._tokenizer.ask, self._tokenizer.answer) else -1

    def _text(self, turn: int) -> str:
        """What is said, without marks."""
        return self._tokenizer.decode(self._tokens.document(turn, 1 + self._begins_document(turn)).tolist())

    def speaks(self, turn: int) -> bool:
        """Whether a turn is a question or an answer."""
        return self._mark(turn) >= 0

    def prose(self) -> npt.NDArray[np.bool_]:
        """Which turns are none, but documents or what stands before a dialogue."""
        return np.array([not self.speaks(turn) for turn in range(len(self._tokens))], bool)

    def exchanges(self) -> list[Exchange]:
        """How dialogues begin: questions with an answer in common are ways to ask the same."""
        found: dict[tuple[int, str], Exchange] = {}
        marks = (self._tokenizer.ask, self._tokenizer.answer)
        for turn in range(min(len(self._tokens) - 1, MOST_COUNTED)):
            if self._begins_document(turn) and (self._mark(turn), self._mark(turn + 1)) == marks:
                question, answer = ((self._mark(t), self._text(t)) for t in (turn, turn + 1))
                exchange = found.get(question) or found.get(answer) or Exchange([], [])
                for said, bags in ((question, exchange.questions), (answer, exchange.answers)):
                    if said not in found and (bag := Asked(self._buckets).ask(said[1]).bag()).buckets:
                        found[said] = exchange
                        bags.append(bag)
        distinct = {id(exchange): exchange for exchange in found.values()}.values()
        return [exchange for exchange in distinct if exchange.questions and exchange.answers]

    def rarity(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """How much each bucket says, (buckets,): log(N / n) / log N where n of N texts of dialogue hold it."""
        counts, texts = np.zeros(self._buckets), 0
        for turn in range(min(len(self._tokens), MOST_COUNTED)):
            if self._mark(turn) >= 0:
                counts[list(set(runs(self._text(turn), self._buckets)))] += 1
                texts += 1
        return np.asarray(np.log((texts + 2) / (counts + 1)) / math.log(texts + 2), np.float32)

    def at(self, pieces: Iterable[Piece], shape: tuple[int, int]) -> tuple[Ids, list[Bag]]:
        """For a window of pieces: the number of the bag at each position (T, B), 0 for none, and the bags from 1 on."""
        where, bags = np.zeros(shape, np.int64), list[Bag]()
        for piece in pieces:
            if (bag := self.of(piece.document)).buckets:  # there are none before the first question, or of an empty one
                bags.append(bag)
                where[piece.position : piece.position + piece.length, piece.stream] = len(bags)
        return where, bags
