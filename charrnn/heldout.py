"""Scoring held-out tokens with the torch network: quickly while training, exactly at the end.

The quick score cuts documents into pieces that are scored side by side, each from a zero state and the document's mark:
a little pessimistic, the same at every evaluation, and what the best model is chosen by. The exact one is bits per
character as `evaluation` defines it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from charrnn.answers import Answers
from charrnn.engine import BUCKETS
from charrnn.evaluation import Scores, TextScore, no_bits
from charrnn.memory import CACHED, Memory
from charrnn.network import Network
from charrnn.question import Bag
from charrnn.tokenizer import Tokenizer
from charrnn.tokens import Ids, Piece, TokenFile

PIECE = 512  # tokens of a piece of the quick score
QUICK_TOKENS = 40_000  # scored at most by the quick score
ROWS = 64  # pieces or documents side by side
POSITIONS = 64  # of all rows, read at once
LOGITS = 1 << 22  # at once, about: what a cache holds
IGNORED = -100


class _Row(NamedTuple):
    """Tokens to score: those of a document from some place on, after its first one, a mark."""

    ids: Ids
    document: int


class Predictions(NamedTuple):
    """At N places."""

    logits: Tensor
    """(N, V)."""
    targets: Tensor
    """(N)."""
    histories: list[Ids]
    """The tokens before each."""
    dialogue: Tensor
    """Whether it is in a question or an answer, (N)."""


@dataclass(frozen=True)
class _Rows:
    """Up to ROWS token sequences side by side: inputs and targets (T, B), targets past a row's end IGNORED; and at each
    position the number of the bag that says what is being answered, 0 for none. Which of them are of a dialogue (B)."""

    inputs: Ids
    targets: Ids
    where: Ids
    bags: list[Bag]
    dialogue: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: list[_Row], answers: Answers | None) -> _Rows:
        longest = max(len(row.ids) for row in rows) - 1
        inputs = np.zeros((longest, len(rows)), np.int64)
        targets = np.full((longest, len(rows)), IGNORED, np.int64)
        for b, row in enumerate(rows):
            inputs[: len(row.ids) - 1, b] = row.ids[:-1]
            targets[: len(row.ids) - 1, b] = row.ids[1:]
        if answers is None:
            return cls(inputs, targets, np.zeros_like(inputs), [], np.zeros(len(rows), np.bool_))
        pieces = [Piece(b, 0, row.document, 0, len(row.ids) - 1) for b, row in enumerate(rows)]
        dialogue = np.array([answers.speaks(row.document) for row in rows])
        return cls(inputs, targets, *answers.at(pieces, inputs.shape), dialogue)


class HeldOut:
    """The held-out token file, cut into turns for a network with a summary; characters and bytes of each token."""

    def __init__(self, tokens: TokenFile, tokenizer: Tokenizer) -> None:
        self._tokens = tokens
        self._answers = Answers(tokens, tokenizer, BUCKETS)
        texts = [tokenizer.token_bytes(i) for i in range(tokenizer.size)]
        self._bytes = np.array([len(t) for t in texts])
        # A character begins with a byte that is no continuation byte, so counts add up whatever the cut.
        self._characters = np.array([sum(b & 0xC0 != 0x80 for b in t) for t in texts])

    @property
    def total(self) -> int:
        """Number of tokens."""
        return self._tokens.total

    def quick_score(self, network: Network) -> TextScore:
        """The score for the curve: pieces, each from a zero state, evenly spread if there are many."""
        return self._score(network, [self._row(*piece) for piece in self._pieces(QUICK_TOKENS // PIECE)]).alone

    def exact_score(
        self, network: Network, limit: int | None = None, batches: int | None = None, memory: Memory | None = None
    ) -> Scores:
        """Every document from its mark and a zero state to its end, also with a memory where one is given.

        `limit` scores only so many tokens of each, `batches` only so many batches of documents side by side.
        """
        stop = None if limit is None else limit + 1
        total = Scores.of(no_bits(memory))
        for rows in itertools.islice(self._side_by_side(stop), batches):
            total += self._score(network, rows, memory)
        return total

    def predictions(self, network: Network) -> Iterator[Predictions]:
        """Of every document, in portions."""
        for rows in self._side_by_side(None):
            yield from _predictions(network, self._rows(network, rows))

    def _side_by_side(self, stop: int | None) -> Iterator[list[_Row]]:
        """Every document, up to some place in it, ROWS together."""
        order = self._by_length()
        for start in range(0, len(order), ROWS):
            yield [self._row(d, 1, stop) for d in order[start : start + ROWS].tolist()]

    def longest_documents(self) -> list[int]:
        """Positions that `exact_score` steps through: the longest document of each batch."""
        lengths = self._tokens.lengths()[self._by_length()[::ROWS]]
        longest: list[int] = np.maximum(1, lengths - 1).tolist()
        return longest

    def _by_length(self) -> Ids:
        """Documents, the longest first, so that those side by side are alike."""
        return np.argsort(-self._tokens.lengths(), kind="stable")

    def _pieces(self, most: int) -> Iterator[tuple[int, int, int]]:
        """Documents cut into pieces; of more than so many, as many from everywhere: the document, start and stop."""
        lengths = self._tokens.lengths()
        ends = np.cumsum(-(-np.maximum(lengths - 1, 0) // PIECE))  # pieces before the end of each document
        total = int(ends[-1]) if len(ends) else 0
        for i in range(min(total, most)):
            number = i * total // most if total > most else i
            document = int(np.searchsorted(ends, number, side="right"))
            before = int(ends[document - 1]) if document else 0
            start = 1 + (number - before) * PIECE
            yield document, start, min(start + PIECE, int(lengths[document]))

    def _row(self, document: int, start: int, stop: int | None) -> _Row:
        ids = self._tokens.document(document, 0, 1), self._tokens.document(document, start, stop)
        return _Row(np.concatenate(ids), document)

    def _rows(self, network: Network, rows: list[_Row]) -> _Rows:
        return _Rows.of(rows, self._answers if network.summary is not None else None)

    def _score(self, network: Network, rows: list[_Row], memory: Memory | None = None) -> Scores:
        rows = sorted((row for row in rows if len(row.ids) > 1), key=lambda row: -len(row.ids))
        bits = no_bits(memory)
        for i in range(0, len(rows), ROWS):
            bits += _bits(network, self._rows(network, rows[i : i + ROWS]), memory)
        targets = np.concatenate([np.empty(0, np.int64), *(row.ids[1:] for row in rows)])
        return Scores.of(bits, len(targets), int(self._characters[targets].sum()), int(self._bytes[targets].sum()))


def _bits(network: Network, rows: _Rows, memory: Memory | None) -> npt.NDArray[np.float64]:
    """Total bits of the targets, as `no_bits` has them."""
    bits = no_bits(memory)
    for logits, targets, histories, _ in _predictions(network, rows, histories=memory is not None):
        if memory is None:
            bits += float(functional.cross_entropy(logits, targets, reduction="sum")) / math.log(2)
        else:
            bits += memory.bits(logits.cpu().numpy(), histories, targets.cpu().numpy())
    return bits


def _predictions(network: Network, rows: _Rows, *, histories: bool = True) -> Iterator[Predictions]:
    """Window by window, with the tokens before each if they are wanted."""
    device = network.head.bias.device
    training = network.training
    network.eval()
    state = network.initial_state(rows.inputs.shape[1])
    together = max(1, LOGITS // network.config.vocabulary)
    for start in range(0, len(rows.inputs), POSITIONS):
        window = slice(start, start + POSITIONS)
        wanted = rows.targets[window] != IGNORED
        with torch.inference_mode():
            x, y, where = (torch.from_numpy(a[window]).to(device) for a in (rows.inputs, rows.targets, rows.where))
            h, state = network.hidden(x, state, network.summaries(where, rows.bags))
            read = torch.from_numpy(wanted).to(device)
            h, y = h[read], y[read]
        places = np.argwhere(wanted)
        dialogue = torch.from_numpy(rows.dialogue[places[:, 1]]).to(device)
        for first in range(0, len(places), together):
            some = slice(first, first + together)
            before = []
            for t, b in places[some].tolist() if histories else []:
                before.append(rows.inputs[max(0, start + t + 1 - CACHED) : start + t + 1, b])
            with torch.inference_mode():
                logits = network.logits(h[some], dialogue[some]).float()
            yield Predictions(logits, y[some], before, dialogue[some])
    network.train(training)
