"""The torch network: embedding, cells, head. It knows token ids and nothing of text.

Time first everywhere: T positions, B streams, V vocabulary, D width, L layers.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from charrnn.cells import CELLS, Cell, State
from charrnn.config import ModelConfig
from charrnn.errors import UsageError


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


class Network(nn.Module):
    """Embedding (V, D), L cells of width D, head: y_t = W_hy h_t + b_y, with W_hy the embedding again if tied."""

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
        self.layers = nn.ModuleList(CELLS[config.cell](config.width, config.width) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.vocabulary)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.dropout = SharedDropout(dropout)
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

    def hidden(self, ids: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Token ids (T, B) and the state before them → the last layer's h (T, B, D) and the state after them."""
        x = self.dropout(self.embedding(ids) * self.config.input_scale)
        after: list[State] = []
        for layer, before in zip(self.cells(), state, strict=True):
            x, last = layer(x, before)
            x = self.dropout(x)
            after.append(last)
        return x, after

    def forward(self, ids: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Token ids (T, B) and the state before them → logits (T, B, V) and the state after them."""
        h, after = self.hidden(ids, state)
        return self.head(h), after
