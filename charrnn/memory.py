"""The n-gram memory beside the network: what followed in the text, wherever the last n tokens stood, for every n.

The positions of a text, sorted by the tokens before them, the nearest first (the suffix array of the text read
backwards; Manber and Myers 1993): the places where some n tokens stood lie side by side, and those of a longer context
lie within those of a shorter one. So, as in the ∞-gram of Liu et al. (2024), nothing is counted before it is asked for,
all orders share six bytes a token, and a search is a few bisections.

Experts are the network's distribution q, the same made softer, q^(1/SOFTER), and of each order the share c_n(token) /
c_n of what followed. A small network, the gate, weighs them token by token, p = Σ w_i p_i: it sees how often and how
unanimously each context was followed, how likely the network holds the favourite of each, and how sure it is itself.
No torch here: `gate_training` trains it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Positions = npt.NDArray[np.uint32]
ORDERS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
DEPTH = 16  # tokens by which positions are sorted
MOST = 256  # occurrences of a context that are looked at
SOFTER = 1.5  # temperature of the network's second voice
FLOOR = 1e-4  # of the mixture is spread evenly
LEAST_LOG = -15.0


def sorted_by_context(tokens: npt.NDArray[np.integer]) -> Positions:
    """The positions 0 … N − 1 in the order of the tokens before them, nearest first, to a depth of DEPTH.

    By doubling: what is sorted by k tokens is sorted by 2k when the pairs of ranks, k positions apart, are.
    """
    N = len(tokens)
    ranks = np.zeros(N, np.int64)
    ranks[1:] = tokens[:-1].astype(np.int64) + 1  # 0 where there is nothing before
    order = np.argsort(ranks, kind="stable")
    known = 1
    while known < DEPTH:
        earlier = np.zeros(N, np.int64)
        earlier[known:] = ranks[:-known]
        keys = ranks * (int(ranks.max(initial=0)) + 1) + earlier
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        ranks[order] = np.concatenate([[0], np.cumsum(keys[1:] != keys[:-1])])
        known *= 2
    return order.astype(np.uint32)


class Found(NamedTuple):
    """What followed a context, for each of ORDERS; only the first orders may be there."""

    counts: npt.NDArray[np.int64]
    """How often its last n tokens stood in the text, (orders,)."""
    order: npt.NDArray[np.int64]
    """Index into ORDERS of each pair of order and follower, (pairs,), rising."""
    tokens: npt.NDArray[np.int64]
    """The follower of each pair."""
    shares: Array
    """How much of its order's occurrences are followed by it; those of an order sum to 1."""


class NGrams:
    """A text that can be asked what followed."""

    def __init__(self, tokens: npt.NDArray[np.integer], positions: Positions, vocabulary: int) -> None:
        self.tokens = tokens
        self.positions = positions
        # Of a first token, where its contexts begin and end: one position has nothing before it and comes first.
        counts = np.bincount(tokens[:-1].astype(np.int64), minlength=vocabulary)
        self._bounds = np.concatenate([[1], 1 + np.cumsum(counts)])
        self._token_at = memoryview(
            cast(Any, tokens)
        )  # a number of Python's at each look, five times as fast as numpy's
        self._position_at = memoryview(cast(Any, positions))

    def intervals(self, context: Sequence[int]) -> list[tuple[int, int]]:
        """Where in `positions` the last 1, 2, … tokens of the context stood; as long as they stood anywhere."""
        if not context:
            return []
        low, high = int(self._bounds[context[-1]]), int(self._bounds[context[-1] + 1])
        found = []
        tokens, positions = self._token_at, self._position_at
        for n in range(1, DEPTH + 1):
            if low >= high:
                break
            found.append((low, high))
            if n == len(context) or n == DEPTH:
                break

            def before(position: int, n: int = n) -> int:
                return tokens[position - n - 1] if position > n else -1

            token = context[-n - 1]
            low = bisect_left(positions, token, low, high, key=before)
            high = bisect_right(positions, token, low, high, key=before)
        return found

    def followers(self, context: Sequence[int]) -> Found:
        """What followed the last tokens of the context; of contexts that stood too often, evenly chosen occurrences."""
        intervals = self.intervals(context)
        intervals = [intervals[n - 1] for n in ORDERS if n <= len(intervals)]
        looked = [
            low + np.arange(high - low) if high - low <= MOST else low + np.arange(MOST) * (high - low) // MOST
            for low, high in intervals
        ]
        sizes = np.array([len(where) for where in looked], np.int64)
        where = np.concatenate(looked) if looked else np.empty(0, np.int64)
        keys = np.repeat(np.arange(len(sizes)) << 32, sizes) | self.tokens[self.positions[where]].astype(np.int64)
        pairs, repeats = np.unique(keys, return_counts=True)
        order = pairs >> 32
        shares = (repeats / sizes[order]).astype(np.float32)
        counts = np.array([high - low for low, high in intervals] + [0] * (len(ORDERS) - len(intervals)), np.int64)
        return Found(counts, order, pairs & 0xFFFFFFFF, shares)


@dataclass(frozen=True)
class Gate:
    """Features to the experts' weights, by one hidden layer: softmax(W₂ tanh(W₁ x + b₁) + b₂) over what is there."""

    w_1: Array
    """(FEATURES, hidden), with what brings features to mean 0 and deviation 1 folded in."""
    b_1: Array
    w_2: Array
    """(hidden, EXPERTS)."""
    b_2: Array

    def weights(self, features: Array, there: npt.NDArray[np.bool_]) -> Array:
        """Features (N, FEATURES) and which experts are there (N, EXPERTS) → weights (N, EXPERTS) that sum to 1."""
        logits = np.tanh(features @ self.w_1 + self.b_1) @ self.w_2 + self.b_2
        logits[~there] = -np.inf
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


EXPERTS = 2 + len(ORDERS)
FEATURES = 2 + 5 * len(ORDERS)


class Experts:
    """What each expert expects at N places, and what the gate sees of them."""

    def __init__(self, ngrams: NGrams, logits: Array, contexts: Sequence[Sequence[int]]) -> None:
        """The network's logits (N, V), and at each place the tokens before it; the last DEPTH are enough."""
        self._logs = _log_softmax(logits)
        self._soft = _log_softmax(self._logs / np.float32(SOFTER))
        self._found = [ngrams.followers(context) for context in contexts]
        N = len(logits)
        self.features = np.zeros((N, FEATURES), np.float32)
        self.there = np.ones((N, EXPERTS), np.bool_)
        p = np.exp(self._logs)
        self.features[:, 0] = -(p * self._logs).sum(axis=1)
        self.features[:, 1] = self._logs.max(axis=1)
        for row, found in enumerate(self._found):
            self.there[row, 2:] = found.counts > 0
            self._describe(self.features[row, 2:].reshape(5, len(ORDERS)), found, self._logs[row])

    @staticmethod
    def _describe(features: Array, found: Found, logs: Array) -> None:
        """For each order: log counts of occurrences and of different followers, the share of the favourite, whether it
        is there, and how likely the network holds the favourite."""
        features[0] = np.log1p(found.counts)
        features[3] = found.counts > 0
        if len(found.order):
            starts = np.flatnonzero(np.diff(found.order, prepend=-1))
            n = len(starts)
            features[1, :n] = np.log(np.diff(starts, append=len(found.order)) + 1)
            highest = np.maximum.reduceat(found.shares, starts)
            features[2, :n] = highest
            favourites = np.flatnonzero(found.shares == highest[found.order])
            first = np.searchsorted(found.order[favourites], np.arange(n))
            features[4, :n] = np.maximum(logs[found.tokens[favourites[first]]], LEAST_LOG)

    def at(self, targets: npt.NDArray[np.int64]) -> Array:
        """The probability that each expert gives the target of each place, (N, EXPERTS)."""
        given = np.zeros(self.there.shape, np.float32)
        rows = np.arange(len(targets))
        given[:, 0], given[:, 1] = np.exp(self._logs[rows, targets]), np.exp(self._soft[rows, targets])
        for row, found in enumerate(self._found):
            hit = found.tokens == targets[row]
            given[row, 2 + found.order[hit]] = found.shares[hit]
        return given

    def mixture(self, weights: Array) -> Array:
        """Σ w_i p_i over the vocabulary, (N, V)."""
        p = weights[:, :1] * np.exp(self._logs) + weights[:, 1:2] * np.exp(self._soft)
        for row, found in enumerate(self._found):
            p[row] += np.bincount(found.tokens, weights[row, 2 + found.order] * found.shares, minlength=p.shape[1])
        return p


class Memory:
    """An n-gram model and the gate that weighs it against a network."""

    def __init__(self, ngrams: NGrams, gate: Gate) -> None:
        self.ngrams = ngrams
        self.gate = gate

    def mix(self, logits: Array, contexts: Sequence[Sequence[int]]) -> Array:
        """The network's logits (N, V) and the tokens before each place → the mixture's log-probabilities (N, V)."""
        experts = Experts(self.ngrams, logits, contexts)
        p = experts.mixture(self.gate.weights(experts.features, experts.there))
        return np.asarray(np.log(p * np.float32(1 - FLOOR) + np.float32(FLOOR / p.shape[1])), np.float32)

    def bits(self, logits: Array, contexts: Sequence[Sequence[int]], targets: npt.NDArray[np.int64]) -> float:
        """Σ −log₂ p(target): the same, without the rest of the vocabulary."""
        experts = Experts(self.ngrams, logits, contexts)
        p = (self.gate.weights(experts.features, experts.there) * experts.at(targets)).sum(axis=1)
        return float(-np.log2(p.astype(np.float64) * (1 - FLOOR) + FLOOR / logits.shape[1]).sum())


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # type: ignore[no-any-return]
