"""The n-gram memory beside the network: what followed in the text, wherever the last n tokens stood, for every n.

The positions of a text, sorted by the tokens before them, the nearest first (the suffix array of the text read
backwards; Manber and Myers 1993): the places where some n tokens stood lie side by side, and those of a longer context
lie within those of a shorter one. So, as in the ∞-gram of Liu et al. (2024), nothing is counted before it is asked for,
all orders share six bytes a token (eight of a vocabulary above 65,536), and a search is a few bisections.

The tokens of the conversation, or of the document so far, are a second such text, the cache, read as it grows (Grave et
al. 2017).

Experts are the network's distribution q, the same made softer, q^(1/SOFTER), and of each order, in the text and in the
cache, the share c_n(token) / c_n of what followed. A small network, the gate, weighs them token by token, p = Σ w p:
it sees how often and how unanimously each context was followed, how likely the network holds the favourite of each, and
how sure it is itself.
No torch here: `gate_training` trains it.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from charrnn.config import MOST_RECENT
from charrnn.numerics import Array

Positions = npt.NDArray[np.uint32]
Tokens = npt.NDArray[np.integer]
ORDERS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
DEPTH = 16  # tokens by which positions are sorted
SORTED_TOGETHER = 1 << 20  # positions
CACHE_ORDERS = (1, 2, 3, 4, 6)
CACHED = MOST_RECENT  # tokens
NOTHING = -1  # in place of a token, where the network began anew
MOST = 256  # occurrences of a context that are looked at
SOFTER = 1.5  # temperature of the network's second voice
FLOOR = 1e-4  # of the mixture is spread evenly
LEAST_LOG = -15.0


def sorted_by_context(tokens: npt.NDArray[np.integer], together: int = SORTED_TOGETHER) -> Positions:
    """The positions 0 … N − 1 in the order of the tokens before them, nearest first, to a depth of DEPTH.

    Those after some tokens are sorted `together`, about so many, so that a long text takes little more memory than the
    result; by numbers of several tokens each, the farthest first, and stably.
    """
    N = len(tokens)
    most = int(tokens.max(initial=0)) + 1
    before: Tokens = np.zeros(DEPTH + N, np.uint16 if most < 1 << 16 else np.uint32)  # 0 where there is nothing before
    np.add(tokens[:-1], 1, out=before[DEPTH + 1 :], dtype=before.dtype, casting="unsafe")
    nearest = before[DEPTH:]
    bits = most.bit_length()
    each = min(DEPTH, 64 // bits)  # tokens in a number
    groups = np.cumsum(np.bincount(nearest)) // together
    edges = np.unique(groups, return_index=True)[1].tolist()
    positions = np.empty(N, np.uint32)
    done = 0
    for low, high in itertools.pairwise([*edges, most + 1]):
        chosen = np.flatnonzero((nearest >= low) & (nearest < high))
        for first in reversed(range(0, DEPTH, each)):
            keys = np.zeros(len(chosen), np.uint64)
            for back in range(first, min(first + each, DEPTH)):
                keys <<= np.uint64(bits)
                keys |= before[chosen + (DEPTH - back)]
            chosen = chosen[np.argsort(keys, kind="stable")]
        positions[done : done + len(chosen)] = chosen
        done += len(chosen)
    return positions


COLUMNS = len(ORDERS) + len(CACHE_ORDERS)
EXPERTS = 2 + COLUMNS
FEATURES = 2 + 5 * COLUMNS


class Found(NamedTuple):
    """What followed N contexts, for each of ORDERS and then of CACHE_ORDERS. A cell is a context and an order of these:
    context · COLUMNS + order."""

    counts: npt.NDArray[np.int64]
    """How often the last n tokens of each context stood in the text, or in the cache, (N, COLUMNS)."""
    cells: npt.NDArray[np.int64]
    """The cell of each pair of a cell and a token that followed it, (pairs,), rising."""
    tokens: npt.NDArray[np.int64]
    """The follower of each pair, rising within a cell."""
    shares: Array
    """How much of its cell's occurrences are followed by it; those of a cell sum to 1."""


class NGrams:
    """A text that can be asked what followed."""

    def __init__(self, tokens: npt.NDArray[np.integer], positions: Positions, vocabulary: int) -> None:
        self.tokens = tokens
        self.positions = positions
        # Of a first token, where its contexts begin and end: one position has nothing before it and comes first.
        counts = np.bincount(tokens[:-1].astype(np.int64), minlength=vocabulary)
        self._bounds = np.concatenate([[1], 1 + np.cumsum(counts)])
        # They give numbers of Python's, some times as fast as arrays give numbers of numpy's.
        self._token_at = memoryview(cast(Any, tokens))
        self._position_at = memoryview(cast(Any, positions))

    def intervals(self, context: Sequence[int]) -> list[tuple[int, int]]:
        """Where in `positions` the last 1, 2, … tokens of the context stood; as long as they stood anywhere."""
        if not context or context[-1] < 0:
            return []
        low, high = int(self._bounds[context[-1]]), int(self._bounds[context[-1] + 1])
        found = []
        tokens, positions = self._token_at, self._position_at
        for n in range(1, DEPTH + 1):
            if low >= high:
                break
            found.append((low, high))
            if n == len(context) or n == DEPTH or context[-n - 1] < 0:
                break

            def before(position: int, n: int = n) -> int:
                return tokens[position - n - 1] if position > n else -1

            token = context[-n - 1]
            low = bisect_left(positions, token, low, high, key=before)
            high = bisect_right(positions, token, low, high, key=before)
        return found

    def followers(self, histories: Sequence[Tokens]) -> Found:
        """What followed the last tokens of each history, in the text and in the history itself, of which the last
        CACHED tokens count. Where they stood too often in the text, evenly chosen occurrences are looked at."""
        counts = np.zeros((len(histories), COLUMNS), np.int64)
        cells = [0]
        followed: list[Tokens] = [np.empty(0, np.int64)]
        for row, history in enumerate(histories):
            intervals = self.intervals(history[-DEPTH:].tolist())
            for column, n in enumerate(ORDERS):
                if n > len(intervals):
                    break
                low, high = intervals[n - 1]
                counts[row, column] = high - low
                looked = slice(low, high) if high - low <= MOST else low + np.arange(MOST) * (high - low) // MOST
                cells.append(row * COLUMNS + column)
                followed.append(self.tokens[self.positions[looked]])
            for column, tokens in enumerate(_cached_followers(history[-CACHED:]), len(ORDERS)):
                counts[row, column] = len(tokens)
                cells.append(row * COLUMNS + column)
                followed.append(tokens)
        sizes = np.zeros(counts.size, np.int64)
        lengths = [len(tokens) for tokens in followed]
        sizes[cells] = lengths
        pairs = np.repeat(cells, lengths) << 32 | np.concatenate(followed)
        pairs.sort()
        first, repeats = _runs(pairs)
        pairs = pairs[first]
        of = pairs >> 32
        return Found(counts, of, pairs & 0xFFFFFFFF, (repeats / sizes[of]).astype(np.float32))


def _runs(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where runs of equal values begin, and how long they are."""
    new = np.ones(len(values) + 1, np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:-1])
    edges = np.flatnonzero(new)
    return edges[:-1], edges[1:] - edges[:-1]


def _cached_followers(history: Tokens) -> Iterator[Tokens]:
    """For each of CACHE_ORDERS, what followed the last n tokens earlier in the history, as long as they stood there."""
    if len(history) < 2 or history[-1] < 0:
        return
    ends = np.flatnonzero(history[:-1] == history[-1])
    ends = ends[history[ends + 1] >= 0]
    known = 1
    for n in CACHE_ORDERS:
        while known < n:
            if known == len(history) or history[-known - 1] < 0:
                return
            ends = ends[ends >= known]
            ends = ends[history[ends - known] == history[-known - 1]]
            known += 1
        if not len(ends):
            return
        yield history[ends + 1]


class History:
    """The last tokens read, with NOTHING wherever the network began anew."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._room = np.empty(2 * CACHED, np.int32)
        self._end = 0
        self.extend([] if tokens is None else tokens)

    def extend(self, tokens: Sequence[int] | Tokens) -> None:
        """Read on."""
        new = np.asarray(tokens[-CACHED:], np.int32)
        if self._end + len(new) > len(self._room):
            kept = self.tokens()[len(new) :] if len(new) < CACHED else new[:0]
            self._room[: len(kept)], self._end = kept.copy(), len(kept)
        self._room[self._end : self._end + len(new)] = new
        self._end += len(new)

    def tokens(self) -> Tokens:
        """The last of them, up to CACHED; not to be kept while it goes on."""
        return self._room[max(0, self._end - CACHED) : self._end]

    def read(self) -> list[int]:
        """The same without NOTHING, as numbers."""
        tokens = self.tokens()
        return [int(token) for token in tokens[tokens >= 0]]


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


class Experts:
    """What each expert expects at N places, and what the gate sees of them."""

    def __init__(self, ngrams: NGrams, logits: Array, histories: Sequence[Tokens]) -> None:
        """The network's logits (N, V), and at each place the tokens before it; the last CACHED are enough."""
        self._logits = logits - logits.max(axis=1, keepdims=True)
        self._p = np.exp(self._logits)
        self._soft = self._logits * np.float32(1 / SOFTER)
        np.exp(self._soft, self._soft)
        self._sum, self._soft_sum = self._p.sum(axis=1), self._soft.sum(axis=1)
        self._log_sum = np.log(self._sum)
        self._found = found = ngrams.followers(histories)
        N = len(logits)
        self.there = np.concatenate([np.ones((N, 2), np.bool_), found.counts > 0], axis=1)
        self.features = np.zeros((N, FEATURES), np.float32)
        # The entropy of the network's distribution, and the logarithm of its highest probability.
        self.features[:, 0] = self._log_sum - np.einsum("nv,nv->n", self._p, self._logits) / self._sum
        self.features[:, 1] = -self._log_sum
        # For each order: logarithms of the occurrences and of the different followers, the share of the favourite,
        # whether it is there, and the logarithm of what the network gives the favourite.
        seen = _by_column(self.features)
        seen[:, 0], seen[:, 3] = np.log1p(found.counts), found.counts > 0
        if len(found.cells):
            starts, followers = _runs(found.cells)
            rows, orders = np.divmod(found.cells[starts], COLUMNS)
            highest = np.maximum.reduceat(found.shares, starts)
            favourites = np.flatnonzero(found.shares == np.repeat(highest, followers))
            tokens = found.tokens[favourites[np.searchsorted(favourites, starts)]]
            seen[rows, 1, orders], seen[rows, 2, orders] = np.log1p(followers), highest
            seen[rows, 4, orders] = np.maximum(self._logs(rows, tokens), LEAST_LOG)

    def without_cache(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Features, and which experts are there, if there were no cache."""
        features, there = self.features.copy(), self.there.copy()
        _by_column(features)[:, :, len(ORDERS) :] = 0
        there[:, 2 + len(ORDERS) :] = False
        return features, there

    def _logs(self, rows: npt.NDArray[np.int64], tokens: Tokens) -> Array:
        """The logarithms of what the network gives some tokens at some places."""
        return np.asarray(self._logits[rows, tokens] - self._log_sum[rows])

    def at(self, targets: Tokens) -> Array:
        """The probability that each expert gives the target of each place, (N, EXPERTS)."""
        rows, found = np.arange(len(targets)), self._found
        given = np.zeros(self.there.shape, np.float32)
        given[:, 0] = self._p[rows, targets] / self._sum
        given[:, 1] = self._soft[rows, targets] / self._soft_sum
        of, orders = np.divmod(found.cells, COLUMNS)
        hit = found.tokens == targets[of]
        given[of[hit], 2 + orders[hit]] = found.shares[hit]
        return given

    def network_bits(self, targets: Tokens) -> float:
        """Σ −log₂ of what the network gives the targets."""
        return float(-self._logs(np.arange(len(targets)), targets).sum(dtype=np.float64) / math.log(2))

    def network(self, weights: Array) -> Array:
        """The network's part of Σ w_i p_i, (N, V); asked for once, and last, for it takes the room of what it adds."""
        p: Array = self._p
        soft = self._soft
        p *= (weights[:, 0] / self._sum)[:, None]
        soft *= (weights[:, 1] / self._soft_sum)[:, None]
        p += soft
        return p

    def mixture(self, weights: Array) -> Array:
        """Σ w_i p_i over the vocabulary, (N, V); once, and last, as before."""
        p, found = self.network(weights), self._found
        rows, orders = np.divmod(found.cells, COLUMNS)
        np.add.at(p, (rows, found.tokens), weights[rows, 2 + orders] * found.shares)
        return p


def _by_column(features: Array) -> Array:
    """Features (N, FEATURES) → the view of those that each column has, (N, 5, COLUMNS)."""
    return features[:, 2:].reshape(len(features), 5, COLUMNS)


class Memory:
    """An n-gram model and the gate that weighs it against a network."""

    def __init__(self, ngrams: NGrams, gate: Gate) -> None:
        self.ngrams = ngrams
        self.gate = gate

    def mix(self, logits: Array, histories: Sequence[Tokens]) -> Array:
        """The network's logits (N, V) and the tokens before each place → the mixture's log-probabilities (N, V)."""
        experts = Experts(self.ngrams, logits, histories)
        p = experts.mixture(self.gate.weights(experts.features, experts.there) * np.float32(1 - FLOOR))
        p += np.float32(FLOOR / p.shape[1])
        return np.log(p, out=p)

    def network_share(self, logits: Array, history: Tokens, mixed: Array) -> Array:
        """The network's logits (V) at one place, the tokens before it, and what `mix` makes of them → the network's
        share of each probability of the mixture, (V), between 0 and 1; the others come from the n-grams."""
        experts = Experts(self.ngrams, logits[None], [history])
        network = experts.network(self.gate.weights(experts.features, experts.there) * np.float32(1 - FLOOR))[0]
        return np.asarray((network + np.float32(FLOOR / len(network))) / np.exp(mixed))

    def bits(self, logits: Array, histories: Sequence[Tokens], targets: Tokens) -> npt.NDArray[np.float64]:
        """Σ −log₂ p(target) by the network alone, with the text, and with the cache, too: (3,)."""
        experts = Experts(self.ngrams, logits, histories)
        given, V = experts.at(targets), logits.shape[1]
        mixed = [
            (self.gate.weights(*seen) * given).sum(axis=1, dtype=np.float64)
            for seen in (experts.without_cache(), (experts.features, experts.there))
        ]
        return np.array([experts.network_bits(targets), *(-np.log2(p * (1 - FLOOR) + FLOOR / V).sum() for p in mixed)])
