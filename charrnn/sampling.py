"""From logits to a choice: pure functions of arrays.

The order is llama.cpp's with the temperature last: repetition penalty, top-k, top-p, min-p, temperature, draw. So the
candidates do not depend on the temperature, and one uniform number picks from candidates that stand in order of
falling probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charrnn.config import SamplingConfig

Array = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

HEAD = 64  # candidates sorted first; the rest only if the draw falls among them


class Candidates(NamedTuple):
    """What may be drawn: token ids by falling logit, and their logits."""

    ids: Ids
    logits: Wide


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


def top_p_count(probabilities: Wide, p: float) -> int:
    """How many of the falling probabilities it takes to reach p (Holtzman et al. 2020); at least one."""
    return min(len(probabilities), int(np.searchsorted(np.cumsum(probabilities), p * (1 - 1e-12))) + 1)


def min_p_count(probabilities: Wide, p: float) -> int:
    """How many of the falling probabilities are at least p times the first (Nguyen et al. 2024)."""
    return int(np.count_nonzero(probabilities >= p * probabilities[0]))


def candidates(logits: Array, config: SamplingConfig) -> Candidates:
    """The tokens that the filters leave, by falling logit. Logits (V,); −∞ bars a token.

    top-p and min-p look at the probabilities of what the filters before them left, at temperature 1.
    """
    ids = falling(logits, config.top_k or len(logits))
    kept = logits[ids].astype(np.float64)
    if config.top_p < 1:
        kept = kept[: top_p_count(softmax(kept), config.top_p)]
    if config.min_p > 0:
        kept = kept[: min_p_count(softmax(kept), config.min_p)]
    return Candidates(ids[: len(kept)], kept)


def falling(logits: Array, most: int) -> Ids:
    """The ids of the `most` largest finite logits, largest first, equal ones by id."""
    count = int(np.count_nonzero(logits > -np.inf))
    most = min(most, count)
    if most < len(logits):
        # Everything above the threshold, and of what equals it the smallest ids.
        threshold = np.partition(logits, len(logits) - most)[len(logits) - most]
        above = np.flatnonzero(logits > threshold)
        chosen = np.concatenate([above, np.flatnonzero(logits == threshold)[: most - len(above)]])
    else:
        chosen = np.arange(len(logits))
    return np.asarray(chosen[np.argsort(-logits[chosen], kind="stable")], np.int64)


def draw(options: Candidates, temperature: float, uniform: float) -> int:
    """The place, among the candidates, of the one that the uniform number in [0, 1) picks; temperature 0: the first."""
    if temperature <= 0 or len(options.ids) == 1:
        return 0
    # Shifted before the division, so that a small temperature underflows to 0 and never overflows.
    weights = np.exp((options.logits - options.logits[0]) / temperature)
    cumulative = np.cumsum(weights)
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), len(cumulative) - 1)


def sample(logits: Array, recent: Sequence[int], config: SamplingConfig, uniform: float) -> int:
    """The next token: logits (V,), the recent tokens, and one uniform number in [0, 1)."""
    logits = penalise(
        logits, recent[-config.repetition_window :] if config.repetition_window else (), config.repetition_penalty
    )
    if config.temperature == 0:
        return int(np.argmax(logits))
    filtered = config.top_k or config.top_p < 1 or config.min_p > 0
    if not filtered and len(logits) > 4 * HEAD:
        early = _draw_from_head(logits, config.temperature, uniform)
        if early is not None:
            return early
    options = candidates(logits, config)
    return int(options.ids[draw(options, config.temperature, uniform)])


def _draw_from_head(logits: Array, temperature: float, uniform: float) -> int | None:
    """The draw from all tokens, without sorting all: nearly always it falls among the few likeliest."""
    head = falling(logits, HEAD)
    top = float(logits[head[0]])
    total = float(np.exp((logits - top).astype(np.float64) / temperature).sum())
    cumulative = np.cumsum(np.exp((logits[head].astype(np.float64) - top) / temperature))
    place = int(np.searchsorted(cumulative, uniform * total, side="right"))
    return int(head[place]) if place < len(head) else None
