"""Learning, on text that neither the network nor the memory has read, how sure the network may be and how much the
memory is to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from charrnn.memory import EXPERTS, FEATURES, FLOOR, Gate
from charrnn.numerics import Array

HIDDEN = 24
STEPS, TOGETHER, RATE, DECAY = 800, 2048, 3e-3, 0.05
SHARPNESS = np.arange(0.2, 1.3, 0.05)


def best_sharpness(windows: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float | None:
    """By what to multiply logits (N, V) so that targets (N) cost least: the temperature scaling of Guo et al. (2017).

    The lowest point of a parabola through the best of a grid and its neighbours; None where there are no targets.
    """
    bits = np.zeros(len(SHARPNESS))
    for logits, targets in windows:
        for i, sharpness in enumerate(SHARPNESS):
            bits[i] += float(functional.cross_entropy(logits * float(sharpness), targets, reduction="sum"))
    if not bits.any():
        return None
    best = int(np.clip(np.argmin(bits), 1, len(bits) - 2))
    before, at, after = bits[best - 1 : best + 2]
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return round(float(SHARPNESS[best] + float(np.clip(shift, -1, 1)) * (SHARPNESS[1] - SHARPNESS[0])), 4)


def train_gate(features: Array, there: npt.NDArray[np.bool_], given: Array, vocabulary: int, seed: int) -> Gate:
    """The gate that makes targets cost least: features (N, FEATURES), which experts are there (N, EXPERTS), and what
    each gives the target (N, EXPERTS)."""
    random = torch.Generator().manual_seed(seed)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    x = torch.from_numpy((features - mean) / deviation)
    bars = torch.from_numpy(np.where(there, 0.0, -np.inf).astype(np.float32))
    p = torch.from_numpy(given)
    first, second = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, EXPERTS)
    with torch.no_grad():
        first.weight.normal_(std=FEATURES**-0.5, generator=random)
        first.bias.zero_()
        second.weight.zero_()
        second.bias.zero_()
        second.bias[0] = 1.0  # before it has learned anything, it holds with the network
    optimizer = torch.optim.AdamW([*first.parameters(), *second.parameters()], lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        rows = torch.randint(len(x), (TOGETHER,), generator=random)
        weights = torch.softmax(second(torch.tanh(first(x[rows]))) + bars[rows], dim=1)
        loss = -((weights * p[rows]).sum(1) * (1 - FLOOR) + FLOOR / vocabulary).log().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    w_1, b_1, w_2, b_2 = (t.detach().numpy() for t in (first.weight, first.bias, second.weight, second.bias))
    w_1 = (w_1 / deviation).T
    return Gate(np.ascontiguousarray(w_1), b_1 - mean @ w_1, np.ascontiguousarray(w_2.T), b_2)
