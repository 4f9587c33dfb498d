"""What training minimises: the loss of a window, and a contrast by which the summary learns which questions are alike.

It joins windows, answers and network; the run, its plan and its files are `training`'s.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from charrnn.answers import Answers, Exchange
from charrnn.config import ModelConfig, TrainingConfig
from charrnn.network import Network, Summary
from charrnn.optim import adamw, set_rate
from charrnn.question import Bag
from charrnn.tokens import Windows

ROWS = 256  # of logits at once
LEAST_SAMPLED = 256  # tokens that stand for the rest of the vocabulary, however many the targets are
TOGETHER = 256  # exchanges of a step of contrast; half as many while the network learns
SCALE = 12.0  # of cosines, as logits
CONTRAST_RATE, CONTRAST_DECAY = 3e-3, 0.6
CONTRAST_EVERY, CONTRAST_WEIGHT = 4, 0.2  # while the network learns, too
CONTRAST_SHARE = 0.05  # of the minutes, at most


class _CrossEntropy(torch.autograd.Function):
    """Mean −log softmax(W h + b)[target]: h (N, D), W (C, D), b (C), targets (N).

    The gradient is made on the way, rows at a time, so that the (N, C) logits never leave the cache; the matrix
    products are in `dtype`.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, w: Tensor, b: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        N, h_low, w_low = len(h), h.to(dtype), w.to(dtype)
        dh, dw, db = torch.empty_like(h_low), torch.zeros_like(w), torch.zeros_like(b)
        total = b.new_zeros(())
        for start in range(0, N, ROWS):
            x, y = h_low[start : start + ROWS], targets[start : start + ROWS, None]
            p = torch.mm(x, w_low.t()).float().add_(b)
            p.sub_(p.amax(1, keepdim=True))
            chosen = p.gather(1, y)
            sums = p.exp_().sum(1, keepdim=True)
            total += (sums.log() - chosen).sum()
            p.div_(sums * N).scatter_add_(1, y, chosen.new_full((), -1 / N).expand_as(chosen))
            d = p.to(dtype)
            torch.mm(d, w_low, out=dh[start : start + ROWS])
            dw += torch.mm(d.t(), x)
            db += p.sum(0)
        ctx.save_for_backward(dh, dw, db)
        return total / N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        dh, dw, db = ctx.saved_tensors
        return dh * grads[0], dw * grads[0], db * grads[0], None, None


def sampled_cross_entropy(
    h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, candidates: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Mean −log softmax(W h + b)[target], nats, with about so many columns of the softmax: h (N, D), targets (N).

    The columns are the tokens that are a target anywhere in the window, as in Jean et al. (2015), and others drawn
    evenly, each of which counts for as many as were left out: so the softmax's denominator is estimated without bias.
    With as many candidates as tokens, or none, it is exact.
    """
    V = len(bias)
    own, columns = torch.unique(targets, return_inverse=True)
    others = max(candidates - len(own), LEAST_SAMPLED)
    if candidates and len(own) + others < V:
        left_out = torch.ones(V, dtype=torch.bool, device=h.device)
        left_out[own] = False
        rest = left_out.nonzero().flatten()
        drawn = rest[torch.randperm(len(rest), device=h.device)[:others]]
        chosen = torch.cat([own, drawn])
        counts = torch.ones(len(chosen), device=h.device)
        counts[len(own) :] = len(rest) / others
        # Not by indexing: its backward adds up in any order when there are several threads, and a resume is exact.
        weight, bias = functional.embedding(chosen, weight), bias.index_select(0, chosen) + counts.log()
        targets = columns
    loss: Tensor = _CrossEntropy.apply(h, weight, bias, targets, dtype)  # type: ignore[no-untyped-call]
    return loss


def contrastive_loss(x: Tensor, y: Tensor) -> Tensor:
    """How hard it is to find row i of y (N, S) by row i of x (N, S) among all of y, and the other way round.

    InfoNCE (van den Oord et al. 2018) on cosines, both ways as in Radford et al. (2021).
    """
    logits = SCALE * functional.normalize(x, dim=-1) @ functional.normalize(y, dim=-1).T
    right = torch.arange(len(x), device=x.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


class Contrast:
    """Exchanges, of which ways to ask and the answer are drawn together, and what belongs to others apart."""

    def __init__(self, exchanges: Sequence[Exchange], forget: float) -> None:
        self._exchanges = exchanges if len(exchanges) > 1 else []
        self._forget = forget

    def __bool__(self) -> bool:
        return bool(self._exchanges)

    def loss(self, summary: Summary, most: int) -> Tensor:
        """The contrastive loss of so many exchanges, drawn by torch's generator."""
        pairs = [self._pair(self._exchanges[i]) for i in torch.randperm(len(self._exchanges))[:most].tolist()]
        left, right = (summary(side, self._forget) for side in zip(*pairs, strict=True))
        return contrastive_loss(left, right)

    @staticmethod
    def _pair(exchange: Exchange) -> tuple[Bag, Bag]:
        """A question, and another way to ask it or, as often, an answer to it."""
        first, *others = torch.randperm(len(exchange.questions)).tolist()
        if others and torch.rand(()) < 0.5:
            return exchange.questions[first], exchange.questions[others[0]]
        return exchange.questions[first], exchange.answers[int(torch.randint(len(exchange.answers), ()))]


def learn_summary(contrast: Contrast, rarity: Tensor, model: ModelConfig, config: TrainingConfig) -> dict[str, Tensor]:
    """The summary's table and rarities, after it has learned which questions are alike.

    In `config.contrast` steps, fewer where they would take more than a twentieth of the minutes.
    """
    torch.manual_seed(config.seed)
    summary = Summary(model.summary, model.width)
    summary.rarity.data.copy_(rarity)
    optimizer = adamw([summary.table.weight], CONTRAST_RATE)
    for done in _shares(config.contrast if contrast else 0, config):
        set_rate(optimizer, CONTRAST_RATE * min(1.0, (1 - done) / CONTRAST_DECAY))
        optimizer.zero_grad(set_to_none=True)
        contrast.loss(summary, TOGETHER).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: summary.state_dict()[name] for name in ("table.weight", "rarity")}


def _shares(steps: int, config: TrainingConfig) -> Iterator[float]:
    """The share that is done before each step."""
    seconds = math.inf if config.steps or config.epochs else CONTRAST_SHARE * 60 * config.minutes
    begun = time.monotonic()
    for step in range(steps):
        done = max(step / steps, (time.monotonic() - begun) / seconds)
        if done >= 1:
            return
        yield done


class Objective:
    """The loss of the windows of a token file."""

    def __init__(
        self,
        config: TrainingConfig,
        windows: Windows,
        answers: Answers,
        device: torch.device,
        *,
        summarised: bool,
    ) -> None:
        self.contrast = Contrast(answers.exchanges() if summarised and config.contrast else [], config.forget)
        self._config = config
        self._windows = windows
        self._answers = answers
        self._device = device

    def loss(self, network: Network, state: Any, epoch: int, index: int) -> tuple[Tensor, Any]:
        """The loss of a window, nats a token, and the state after it."""
        x, y = (torch.from_numpy(ids).to(self._device) for ids in self._windows.cut(epoch, index))
        summary = self._summaries(network, epoch, index, (x.shape[0], x.shape[1]))
        with self._autocast():
            h, state = network.hidden(x, state, summary)
        head, dtype = network.head, torch.float32 if self._config.precision == "fp32" else torch.bfloat16
        loss = sampled_cross_entropy(
            h.flatten(0, 1).float(), head.weight, head.bias, y.flatten(), self._config.candidates, dtype
        )
        return loss, state

    def contrast_term(self, network: Network, index: int) -> Tensor | float:
        """What is added to the loss of every few windows, so that alike questions stay together."""
        if not self.contrast or network.summary is None or index % CONTRAST_EVERY:
            return 0.0
        return CONTRAST_WEIGHT * self.contrast.loss(network.summary, TOGETHER // 2)

    def _summaries(self, network: Network, epoch: int, index: int, shape: tuple[int, int]) -> Tensor | None:
        """What is being answered at each position of a window, (T, B, S)."""
        if network.summary is None:
            return None
        where, bags = self._answers.at(self._windows.pieces(epoch, index), shape)
        return network.summaries(torch.from_numpy(where).to(self._device), bags, self._config.forget)

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        if self._config.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16)
