"""What may come next at a place in a text, and why one token and no other came: for looking, not for speed.

Candidates stand in order of falling probability, and the filters come before the temperature. So what is drawn by a
uniform number u is the first candidate whose cumulative probability F passes u, and as the temperature rises, mass
moves down the order: every F falls. That makes "above which temperature would another have been drawn" one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from charrnn.config import SamplingConfig
from charrnn.numerics import Array
from charrnn.sampling import (
    Candidates,
    Ids,
    Wide,
    draw,
    falling,
    min_p_count,
    penalise,
    recent_of,
    softmax,
    top_p_count,
)

Filter = Literal["top_k", "top_p", "min_p"]
HOTTEST = 100.0  # the highest temperature that can be set
COLDEST = 1e-6


@dataclass(frozen=True)
class Prospect:
    """All tokens that may come, by falling logit, as some settings see them."""

    ids: Ids
    """(N,), equal ones by id."""
    logits: Wide
    """(N,), after the repetition penalty, falling."""
    model: Wide
    """Probabilities as the model has them: at temperature 1, before penalty and filters, (N,)."""
    network: Array | None
    """Of each of these, the share that is the network's and not its memory's, (N,); None where no memory has a say."""
    left: dict[Filter, int]
    """How many of the first ones each filter leaves, in the order of the filters; each at least one."""
    temperature: float

    @property
    def kept(self) -> int:
        """How many may be drawn."""
        return min(self.left.values())

    @cached_property
    def drawn(self) -> Wide:
        """Probabilities of being drawn, (N,): 0 for what a filter cut, and at temperature 0 for all but the first."""
        drawn = np.zeros(len(self.ids))
        drawn[: self.kept] = self._shares(self.temperature)
        return drawn

    @cached_property
    def entropy(self) -> float:
        """Bits of what is drawn from: −Σ p log₂ p (Shannon 1948)."""
        return entropy_of(self.drawn)

    @cached_property
    def model_entropy(self) -> float:
        """Bits of what the model expects, at temperature 1 and unfiltered."""
        return entropy_of(self.model)

    def cut_by(self, rank: int) -> Filter | None:
        """The filter that cut the candidate of a rank, from 0; None if none did."""
        return next((name for name, left in self.left.items() if rank >= left), None)

    def rank(self, token: int) -> int:
        """The place of a token in the order, from 0. ValueError if it may not come."""
        found = np.flatnonzero(self.ids == token)
        if not len(found):
            raise ValueError(f"token {token} is barred here")
        return int(found[0])

    def choice(self, uniform: float) -> int:
        """The rank that a uniform number in [0, 1) draws."""
        return draw(Candidates(self.ids[: self.kept], self.logits[: self.kept]), self.temperature, uniform)

    def turns(self, uniform: float, rank: int) -> tuple[float | None, float | None]:
        """The temperatures below and above which a uniform number, which drew the candidate of a rank, draws another;
        None where no temperature does: where F of the candidates before that one, and F with it, equal the number (by
        bisection)."""
        return self._crossing(rank, uniform), self._crossing(rank + 1, uniform)

    def at(self, temperature: float) -> Prospect:
        """The same at another temperature."""
        return replace(self, temperature=temperature)

    def _shares(self, temperature: float) -> Wide:
        kept = self.logits[: self.kept]
        if temperature <= 0:
            return np.asarray(np.eye(1, self.kept)[0], np.float64)
        return softmax((kept - kept[0]) / max(temperature, 1e-30))

    def _crossing(self, count: int, uniform: float) -> float | None:
        """The temperature at which the first `count` candidates together have the probability `uniform`."""
        low, high = COLDEST, HOTTEST

        def above(temperature: float) -> bool:
            return float(self._shares(temperature)[:count].sum()) > uniform

        if count == 0 or count >= self.kept or not above(low) or above(high):
            return None
        while high - low > 1e-12 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if above(middle) else (low, middle)
        return high


def entropy_of(probabilities: Wide) -> float:
    """Bits: −Σ p log₂ p."""
    p = probabilities[probabilities > 0]
    return abs(float(-(p * np.log2(p)).sum()))


class Prospects:
    """One place's logits (V), −∞ for what is barred, looked at under any settings; sorted once. The network's share in
    the probabilities (V), where a memory has a say."""

    def __init__(self, logits: Array, history: Sequence[int] = (), network: Array | None = None) -> None:
        self._logits = logits
        self._history = history
        self._network = network
        self._sorted: tuple[tuple[float, int], Ids, Wide, Wide] | None = None

    def under(self, config: SamplingConfig) -> Prospect:
        """Under these settings."""
        ids, logits, model = self._in_order(config)
        left: dict[Filter, int] = {}
        kept = logits if not config.top_k else logits[: config.top_k]
        left["top_k"] = len(kept)
        if config.top_p < 1:
            kept = kept[: top_p_count(np.cumsum(softmax(kept)), 1, config.top_p)]
        left["top_p"] = len(kept)
        if config.min_p > 0:
            kept = kept[: min_p_count(softmax(kept), config.min_p)]
        left["min_p"] = len(kept)
        network = None if self._network is None else self._network[ids]
        return Prospect(ids, logits, model, network, left, config.temperature)

    def _in_order(self, config: SamplingConfig) -> tuple[Ids, Wide, Wide]:
        """Ids by falling logit, those logits, and the model's own probabilities; kept while the penalty is the same."""
        key = config.repetition_penalty, config.repetition_window
        if self._sorted is None or self._sorted[0] != key:
            penalised = penalise(self._logits, recent_of(self._history, config), config.repetition_penalty)
            ids = falling(penalised, len(penalised))
            own = self._logits[ids].astype(np.float64)
            self._sorted = key, ids, penalised[ids].astype(np.float64), softmax(own)
        return self._sorted[1:]
