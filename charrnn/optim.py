"""The optimisers and the schedule of their rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from charrnn.config import TrainingConfig

DEFAULT_RATES = {"adamw": 3e-3, "sgd": 2.0}
TABLE_DECAY = 0.2


def make_optimizer(config: TrainingConfig, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW with decay on the matrices alone, or plain gradient descent, θ ← θ − α∇L."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), lr=peak_rate(config))
    groups = [
        {"params": [parameter], "weight_decay": config.weight_decay * _decayed(name, parameter)}
        for name, parameter in network.named_parameters()
    ]
    return adamw(groups, peak_rate(config))


def _decayed(name: str, parameter: nn.Parameter) -> float:
    """How much of the decay a parameter gets: rows of rare tokens would only wither."""
    if parameter.ndim < 2 or name.endswith("taps"):
        return 0.0
    return TABLE_DECAY if name.startswith(("embedding.", "head.", "summary.")) else 1.0


def adamw(parameters: Iterable[Any], rate: float) -> torch.optim.Optimizer:
    """AdamW as network and summary use it, of tensors or of groups of them."""
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def peak_rate(config: TrainingConfig) -> float:
    """The highest rate α of the schedule."""
    return config.learning_rate or DEFAULT_RATES[config.optimizer]


def scheduled_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The rate of step 0 … steps − 1: rises over `warmup`, stays, and falls in a line to zero over `decay`."""
    rising = min(1.0, (step + 1) / max(1.0, config.warmup * steps))
    falling = min(1.0, (steps - step) / max(1.0, config.decay * steps))
    return peak_rate(config) * min(rising, falling)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Put the rate into every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Iterable[nn.Parameter], longest: float) -> float:
    """Shorten the whole gradient to the length `longest` if it is longer (0: leave it); its length before."""
    limit = longest if longest > 0 else float("inf")
    return float(nn.utils.clip_grad_norm_(parameters, limit))
