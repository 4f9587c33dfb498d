"""The torch network: embedding, cells, head, and the summary of a question. It knows token ids and nothing of text.

Time first everywhere: T positions, B streams, V vocabulary, D width, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from charrnn.cells import CELLS, Cell, State
from charrnn.config import ModelConfig
from charrnn.engine import BUCKETS
from charrnn.errors import UsageError
from charrnn.mingru import norm
from charrnn.numerics import EPSILON
from charrnn.question import Bag


class SharedDropout(nn.Module):
    """Dropout with one mask a window, the same at every position (Gal and Ghahramani 2016). Cheaper and better."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, D) → the same, with a share p of its units zero and the others scaled up."""
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        return x * torch.empty_like(x[:1]).bernoulli_(keep).div_(keep)


class Summary(nn.Module):
    """Questions as vectors, and their way to the input and the head of every step of their answers; see `question`."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(BUCKETS, size, mode="sum")
        self.rarity = nn.Parameter(torch.ones(BUCKETS), requires_grad=False)
        self.to_input = nn.Linear(size, width, bias=False)
        self.to_head = nn.Linear(size, width, bias=False)
        nn.init.normal_(self.table.weight, std=0.05)
        nn.init.zeros_(self.to_head.weight)

    def forward(self, bags: Sequence[Bag], drop: float = 0.0) -> Tensor:
        """N bags → (N, S), each of mean square 1; a share `drop` of their runs is left out while training."""
        device = self.rarity.device
        buckets = torch.from_numpy(np.concatenate([bag.buckets for bag in bags])).to(device)
        weights = torch.from_numpy(np.concatenate([bag.weights for bag in bags])).float().to(device)
        offsets = torch.tensor([0, *(len(bag.buckets) for bag in bags[:-1])], device=device).cumsum(0)
        if self.training and drop:
            kept = torch.rand(len(weights), device=device) >= drop
            buckets, weights = buckets[kept], weights[kept]
            offsets = nn.functional.pad(kept.cumsum(0), (1, 0))[offsets]
        total: Tensor = self.table(buckets, offsets, per_sample_weights=weights * self.rarity[buckets])
        return nn.functional.rms_norm(total, total.shape[-1:], eps=EPSILON)


class Feedforward(nn.Module):
    """W_out (silu(a) ⊙ b) with (a, b) = W_in x / rms(x): the gated layer of Shazeer (2020), at every position.

    It adds nothing at first. What the recurrence would need width for, and time, is cheap here: no position waits.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w_in = nn.Linear(width, 2 * hidden, bias=False)
        self.w_out = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.w_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, D) → (T, B, D)."""
        a, b = self.w_in(nn.functional.rms_norm(x, x.shape[-1:], eps=EPSILON)).chunk(2, -1)
        y: Tensor = self.w_out(nn.functional.silu(a) * b)
        return y


class Network(nn.Module):
    """Embedding (V, D), L cells of width D, and the head: y_t = W_hy h_t + b_y. W_hy is the embedding again if tied.

    Blocks read the embedding normed, and the head reads what they leave normed; other cells have a gated layer beside
    their output.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        dropout: float = 0.0,
        initialisation: Literal["charrnn", "torch"] = "charrnn",
    ) -> None:
        super().__init__()
        if config.cell not in CELLS:
            raise UsageError(f"there is no cell {config.cell!r}; there are {', '.join(CELLS)}")
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.dropout = SharedDropout(dropout)
        self.layers = nn.ModuleList(CELLS[config.cell].of(config, self.dropout) for _ in range(config.layers))
        self.norm = nn.Parameter(torch.ones(config.width)) if config.blocks else None
        beside = config.feedforward and not config.blocks
        self.feedforward = Feedforward(config.width, config.feedforward) if beside else None
        self.head = nn.Linear(config.width, config.vocabulary)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.summary = Summary(config.summary, config.width) if config.summary else None
        self._initialise(initialisation)

    @torch.no_grad()
    def _initialise(self, how: Literal["charrnn", "torch"]) -> None:
        """Inputs of deviation 1/2 and logits of about 1; or all as torch's own layers begin, inputs of deviation 1."""
        like_torch = how == "torch"
        nn.init.normal_(self.embedding.weight, std=(1.0 if like_torch else 0.5) / self.config.input_scale)
        if like_torch:
            for layer in self.cells():
                layer.reset_like_torch()
            return
        if not self.config.tied:
            nn.init.normal_(self.head.weight, std=self.config.width**-0.5)
        nn.init.zeros_(self.head.bias)

    def cells(self) -> list[Cell]:
        """The layers, lowest first."""
        return [layer for layer in self.layers if isinstance(layer, Cell)]

    def initial_state(self, streams: int) -> list[State]:
        """Zeros for B streams, a tuple a layer: how every document begins."""
        return [layer.initial_state(streams) for layer in self.cells()]

    def hidden(self, ids: Tensor, state: list[State], summary: Tensor | None = None) -> tuple[Tensor, list[State]]:
        """Token ids (T, B) and the state before them → what the head reads, (T, B, D), and the state after them.

        `summary` (T, B, S) holds the vector of the question where there is one, and zeros elsewhere.
        """
        x = self.embedding(ids) * self.config.input_scale
        if summary is not None and self.summary is not None:
            x = x + self.summary.to_input(summary)
        if self.norm is not None:
            x = norm(x)
            if torch.is_autocast_enabled(x.device.type):  # the stream as its products are: half the memory to pass
                x = x.to(torch.get_autocast_dtype(x.device.type))
        x = self.dropout(x)
        after: list[State] = []
        for layer, before in zip(self.cells(), state, strict=True):
            x, last = layer(x, before)
            x = x if layer.block else self.dropout(x)
            after.append(last)
        if self.norm is not None:
            x = self.dropout(norm(x, self.norm))
        if summary is not None and self.summary is not None:
            x = x + self.summary.to_head(summary)
        if self.feedforward is not None:
            x = x + self.dropout(self.feedforward(x))
        return x, after

    def summaries(self, where: Tensor, bags: Sequence[Bag], drop: float = 0.0) -> Tensor | None:
        """Numbers of bags (T, B), 0 for none, and the bags → the vector at each position (T, B, S); None for none."""
        if self.summary is None or not bags:
            return None
        vectors = self.summary(bags, drop)
        # Not by indexing: its backward adds up in any order when there are several threads, and a resume is exact.
        return nn.functional.embedding(where, torch.cat([vectors.new_zeros(1, vectors.shape[1]), vectors]))

    def forward(self, ids: Tensor, state: list[State], summary: Tensor | None = None) -> tuple[Tensor, list[State]]:
        """Token ids (T, B), the state before them and summaries → logits (T, B, V) and the state after them."""
        h, after = self.hidden(ids, state, summary)
        return self.logits(h), after

    def logits(self, h: Tensor, dialogue: Tensor | None = None) -> Tensor:
        """What the head makes of (…, D): (…, V); `dialogue` (…) tells where somebody asks or answers."""
        logits: Tensor = self.head(h)
        sharpness, other = (self.config.sharpness_of(dialogue=kind) for kind in (False, True))
        if dialogue is None or other == sharpness:
            return logits * sharpness
        return logits * torch.where(dialogue, other, sharpness).unsqueeze(-1)
