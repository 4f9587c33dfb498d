"""From logits to a choice: pure functions of arrays.

The order is llama.cpp's with the temperature last: repetition penalty, top-k, top-p, min-p, temperature, draw. So the
candidates do not depend on the temperature, and one uniform number picks from candidates that stand in order of
falling probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.config import SamplingConfig
from charrnn.numerics import Array

Wide = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

DEPTHS = (5.0, 10.0, math.inf)  # below the largest logit: where to look for candidates, further if that was too few
BINS, BINS_A_NAT = 128, 4
ROUNDING = 1e-6  # of a sum in float32
LOWEST = float(np.finfo(np.float32).min)


class Candidates(NamedTuple):
    """What may be drawn: token ids by falling logit, and their logits."""

    ids: Ids
    logits: Wide


def recent_of(history: Sequence[int], config: SamplingConfig) -> Sequence[int]:
    """The tokens that count as recent."""
    return history[-config.repetition_window :] if config.repetition_window else ()


def penalise(logits: Array, recent: Sequence[int], penalty: float) -> Array:
    """Divide the positive logits of recent tokens by the penalty and multiply the negative (Keskar et al. 2019)."""
    if penalty == 1 or not recent:
        return logits
    ids = np.unique(np.asarray(recent))
    changed = logits.copy()
    values = changed[ids]
    changed[ids] = np.where(values > 0, values / penalty, values * penalty)
    return changed


def softmax(logits: npt.NDArray[np.floating]) -> Wide:
    """e^x / Σ e^x along the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def top_p_count(cumulative: Wide, total: float, p: float) -> int:
    """How many of the falling weights, by their sums, it takes to reach a share p of all (Holtzman et al. 2020)."""
    return min(len(cumulative), int(np.searchsorted(cumulative, total * p * (1 - ROUNDING))) + 1)


def min_p_count(probabilities: Wide, p: float) -> int:
    """How many of the falling probabilities are at least p times the first (Nguyen et al. 2024)."""
    return int(np.count_nonzero(probabilities >= p * probabilities[0]))


def candidates(logits: Array, config: SamplingConfig) -> Candidates:
    """The tokens that the filters leave, by falling logit. Logits (V,); −∞ bars a token.

    top-p and min-p look at the probabilities of what the filters before them left, at temperature 1.
    """
    if config.top_k:
        ids = falling(logits, config.top_k)
        kept = logits[ids].astype(np.float64)
        if config.top_p < 1:
            kept = kept[: top_p_count(np.cumsum(softmax(kept)), 1, config.top_p)]
    elif config.top_p < 1:
        ids = _likeliest(logits, config.top_p)
        kept = logits[ids].astype(np.float64)
    else:
        ids = near(logits, math.inf if config.min_p == 0 else 1e-3 - math.log(config.min_p))
        kept = logits[ids].astype(np.float64)
    if config.min_p > 0:
        kept = kept[: min_p_count(softmax(kept), config.min_p)]
    return Candidates(ids[: len(kept)], kept)


def falling(logits: Array, most: int) -> Ids:
    """The ids of the `most` largest finite logits, largest first, equal ones by id."""
    finite = int(np.count_nonzero(logits >= LOWEST))
    if most >= finite:
        return near(logits, math.inf)
    # Everything above the threshold, and of what equals it the smallest ids.
    threshold = np.partition(logits, len(logits) - most)[len(logits) - most]
    above = np.flatnonzero(logits > threshold)
    return _sorted(logits, np.concatenate([above, np.flatnonzero(logits == threshold)[: most - len(above)]]))


def near(logits: Array, depth: float) -> Ids:
    """The ids of the finite logits no more than `depth` below the largest, largest first, equal ones by id."""
    return _sorted(logits, np.flatnonzero(logits >= max(float(logits.max()) - depth, LOWEST)))


def _sorted(logits: Array, ids: npt.NDArray[np.intp]) -> Ids:
    return np.asarray(ids[np.argsort(-logits[ids], kind="stable")], np.int64)


def _likeliest(logits: Array, p: float) -> Ids:
    """The ids of the fewest likeliest tokens whose probabilities sum to at least p; few others are sorted."""
    top = logits.max()
    total = float(np.exp(logits - top).sum(dtype=np.float64))
    for depth in DEPTHS:
        ids = near(logits, depth)
        cumulative = np.cumsum(np.exp((logits[ids] - top).astype(np.float64)))
        if p * total <= cumulative[-1]:
            break
    return ids[: top_p_count(cumulative, total, p)]


def _place(cumulative: Wide, aim: float) -> int:
    """The first place whose sum passes the aim; the last, should rounding put the aim beyond it."""
    return min(len(cumulative) - 1, int(np.searchsorted(cumulative, aim, "right")))


def draw(options: Candidates, temperature: float, uniform: float) -> int:
    """The place, among the candidates, of the one that the uniform number in [0, 1) picks; temperature 0: the first."""
    if temperature <= 0 or len(options.ids) == 1:
        return 0
    # Shifted before the division, so that a small temperature underflows to 0 and never overflows.
    cumulative = np.cumsum(np.exp((options.logits - options.logits[0]) / temperature))
    return _place(cumulative, uniform * cumulative[-1])


class Distribution:
    """What may come next, from logits (V); −∞ bars a token."""

    def __init__(self, logits: Array) -> None:
        self.logits = logits
        self._below: Array = logits.max() - logits

    def surprise(self, token: int) -> float:
        """−log₂ of the token's probability at temperature 1."""
        total = float(np.exp(np.negative(self._below)).sum())
        return (math.log(total) + float(self._below[token])) / math.log(2)

    def draw(self, temperature: float, uniform: float) -> int:
        """The token that a uniform number in [0, 1) picks from all of them in order of falling logit, at a temperature
        above 0. Few of them are sorted: those near the likeliest or, if the draw falls further down, those of the bin
        that it falls into, when all are cast into bins by how far they are below."""
        temperature = max(temperature, 1e-30)
        with np.errstate(over="ignore"):  # what is far below, by a small temperature, is without end below
            weights = np.exp(self._below * np.float32(-1 / temperature))
        aim = uniform * float(weights.sum())
        if aim < 1:  # the likeliest's own weight
            return int(self.logits.argmax())
        ids, sums = self._falling(self._below < DEPTHS[0] * temperature, weights)
        if aim >= sums[-1]:
            with np.errstate(over="ignore"):
                depths = self._below * np.float32(BINS_A_NAT / temperature)
            bins = np.minimum(depths, np.float32(BINS - 1)).astype(np.intp)
            masses = np.cumsum(np.bincount(bins, weights, BINS).astype(np.float64))
            aim = min(uniform * masses[-1], np.nextafter(masses[-1], 0))
            bin = _place(masses, aim)
            ids, sums = self._falling((bins == bin) & (weights > 0), weights)
            aim -= masses[bin - 1] if bin else 0.0
        return int(ids[_place(sums, aim)])

    def _falling(self, chosen: npt.NDArray[np.bool_], weights: Array) -> tuple[Ids, Wide]:
        """The chosen ids by falling logit, and the sums of their weights so far."""
        ids = _sorted(self.logits, np.flatnonzero(chosen))
        return ids, weights[ids].cumsum(dtype=np.float64)


def sample(logits: Array, recent: Sequence[int], config: SamplingConfig, uniform: float) -> tuple[int, float]:
    """The next token, and its surprise in bits: from logits (V,), the recent tokens, and a uniform number in [0, 1)."""
    distribution = Distribution(logits)
    penalised = penalise(logits, recent_of(recent, config), config.repetition_penalty)
    if config.temperature == 0:
        token = int(penalised.argmax())
    elif config.top_k or config.top_p < 1 or config.min_p > 0:
        options = candidates(penalised, config)
        token = int(options.ids[draw(options, config.temperature, uniform)])
    else:
        drawn_from = distribution if penalised is logits else Distribution(penalised)
        token = drawn_from.draw(config.temperature, uniform)
    return token, distribution.surprise(token)
