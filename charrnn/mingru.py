"""The parallel recurrence in torch: its gates see the input alone, so a window's products are done all at once.

A block is two branches beside the stream x (T, B, D), each of which reads it normed and adds to it:

    y_t = Σ_k w_k ⊙ norm(x_{t−k})                           a short causal convolution
    a_t, c_t, g_t = W_in y_t,  z_t = σ(a_t + b_z)
    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ c_t                   minGRU (Feng et al. 2024, "Were RNNs All We Needed?")
    x_t ← x_t + W_out (silu(g_t) ⊙ h_t)
    x_t ← x_t + V_out (silu(p_t) ⊙ q_t),  p_t, q_t = V_in norm(x_t)      a gated layer (Shazeer 2020)

The gate g and the convolution are those of gated linear recurrences (De et al. 2024, "Griffin"). Only the blend h_t
runs position by position, and it is element-wise: one call a position, forward and back. `engine` has the same in
numpy.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from charrnn.cells import Cell, State, apply
from charrnn.config import ModelConfig
from charrnn.forms import TAPS
from charrnn.numerics import EPSILON


class MinGRU(Cell, name="mingru"):
    """A block of width D with H = 3 D / 2 hidden units and F units in its gated layer; the state is h and the last
    inputs of the convolution, (B, H) and (B, TAPS − 1, D).
    """

    block = True

    @classmethod
    def of(cls, config: ModelConfig, dropout: nn.Module) -> Self:
        """See `Cell.of`."""
        return cls(config, dropout)

    def __init__(self, config: ModelConfig, dropout: nn.Module) -> None:
        super().__init__()
        D, H, F = config.width, config.hidden, config.feedforward
        self.hidden, self.width = H, D
        self.dropout = dropout
        self.norm = nn.Parameter(torch.ones(D))
        self.taps = nn.Parameter(torch.empty(TAPS, D))
        self.w_in = nn.Parameter(torch.empty(3 * H, D))
        self.b_z = nn.Parameter(torch.empty(H))
        self.w_out = nn.Parameter(torch.empty(D, H))
        self.feedforward = bool(F)
        if F:
            self.feedforward_norm = nn.Parameter(torch.ones(D))
            self.v_in = nn.Parameter(torch.empty(2 * F, D))
            self.v_out = nn.Parameter(torch.empty(D, F))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Branches add nothing at first; hidden units forget at rates from 1/20 to 19/20 a position."""
        for name, parameter in self.named_parameters():
            if name in ("w_in", "v_in"):
                nn.init.uniform_(parameter, -(self.width**-0.5), self.width**-0.5)
            elif name in ("w_out", "v_out", "taps"):
                nn.init.zeros_(parameter)
        nn.init.ones_(self.taps.data[-1])
        self.b_z.data.copy_(torch.linspace(-3, 3, self.hidden))

    def reset_like_torch(self) -> None:
        """As torch's own linear layers begin: uniform within 1/√inputs."""
        for name in ("w_in", "w_out", *(("v_in", "v_out") if self.feedforward else ())):
            weights = getattr(self, name)
            nn.init.uniform_(weights, -(weights.shape[1] ** -0.5), weights.shape[1] ** -0.5)

    def initial_state(self, streams: int) -> State:
        """Zeros: how every document begins."""
        return self.b_z.new_zeros(streams, self.hidden), self.b_z.new_zeros(streams, TAPS - 1, self.width)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (T, B, D) and the state before it → x with what the branches add, and the state after it."""
        h, tail = state
        y = torch.cat([tail.transpose(0, 1).to(x.dtype), norm(x, self.norm)])
        mixed = apply(_Convolution, y, self.taps)
        gated, h = apply(_GatedBlend, functional.linear(mixed, self.w_in), self.b_z, h)
        x = x + self.dropout(functional.linear(gated, self.w_out))
        if self.feedforward:
            gated = apply(_GatedProduct, functional.linear(norm(x, self.feedforward_norm), self.v_in))
            x = x + self.dropout(functional.linear(gated, self.v_out))
        return x, (h, y[len(y) - TAPS + 1 :].detach().transpose(0, 1).to(self.b_z.dtype))


def norm(x: Tensor, gain: Tensor | None = None) -> Tensor:
    """(x − mean) / deviation, times a gain (D): x (…, D). Torch has it as one call, which RMSNorm is not."""
    return functional.layer_norm(x, x.shape[-1:], None if gain is None else gain.to(x.dtype), None, EPSILON)


class _Convolution(torch.autograd.Function):
    """x (T + K − 1, B, D), taps (K, D) → Σ_k taps_k ⊙ x_{t+k}, (T, B, D)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor) -> Tensor:
        K, T, low = len(taps), len(x) - len(taps) + 1, taps.to(x.dtype)
        y = x[:T] * low[0]
        for k in range(1, K):
            y.addcmul_(x[k : k + T], low[k])
        ctx.save_for_backward(x, taps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (d,) = grads
        x, taps = ctx.saved_tensors
        T, low = len(d), taps.to(x.dtype)
        dx, d_taps = torch.zeros_like(x), torch.empty_like(taps)
        for k in range(len(taps)):
            dx[k : k + T].addcmul_(d, low[k])
            d_taps[k] = (d * x[k : k + T]).sum((0, 1))
        return dx, d_taps


class _GatedBlend(torch.autograd.Function):
    """y (T, B, 3H) = a, c, g; b_z (H); h_{−1} (B, H) → silu(g_t) ⊙ h_t, (T, B, H), and the last h."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, b_z: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
        a, c, g = y.chunk(3, -1)
        z, c = torch.sigmoid(a.to(b_z.dtype) + b_z), c.to(b_z.dtype)
        room = torch.empty(len(y) + 1, *h0.shape, dtype=h0.dtype, device=h0.device)
        room[0] = h0
        for t in range(len(y)):
            torch.lerp(room[t], c[t], z[t], out=room[t + 1])
        gate = functional.silu(g)
        ctx.save_for_backward(y, z, room, gate)
        last = room[-1].clone()
        ctx.mark_non_differentiable(last)
        return room[1:].to(y.dtype) * gate, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d = grads[0]
        y, z, room, gate = ctx.saved_tensors
        _, c, g = y.chunk(3, -1)
        dy = torch.empty_like(y)
        da, dc, dg = dy.chunk(3, -1)
        dg.copy_(torch.ops.aten.silu_backward(d * room[1:].to(d.dtype), g))
        keep = 1 - z
        dh = (d * gate).to(z.dtype)
        for t in range(len(d) - 2, -1, -1):
            dh[t].addcmul_(dh[t + 1], keep[t + 1])
        dh.mul_(z)
        dc.copy_(dh)
        slope = (c - room[:-1]).mul_(dh).mul_(keep)
        da.copy_(slope)
        return dy, slope.sum((0, 1)), None


class _GatedProduct(torch.autograd.Function):
    """y (T, B, 2F) = p, q → silu(p) ⊙ q."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        p, q = y.chunk(2, -1)
        gate = functional.silu(p)
        ctx.save_for_backward(y, gate)
        return gate * q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (d,) = grads
        y, gate = ctx.saved_tensors
        p, q = y.chunk(2, -1)
        dy = torch.empty_like(y)
        dp, dq = dy.chunk(2, -1)
        torch.mul(d, gate, out=dq)
        dp.copy_(torch.ops.aten.silu_backward(d * q, p))
        return (dy,)
