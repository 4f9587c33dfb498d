"""One torch layer a recurrence, a whole window at once; the parallel one is in `mingru`.

A layer knows nothing of tokens. It takes x (T, B, D) and a state, one (B, H) tensor for each of its parts, and gives
h (T, B, H) and the state after the last position: T positions, B streams, D inputs, H hidden units.

What depends on the input alone is one matrix product for the window. What depends on the state runs position by
position, and back again by hand: in the backward pass everything that does not wait for the gradient of the next
position is computed for the whole window first, so that a position costs one matrix product and a few element-wise
operations. The `engine` module has the same recurrences in numpy.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from charrnn.config import ModelConfig

State = tuple[Tensor, ...]

CELLS: dict[str, type[Cell]] = {}
"""By the names that their classes are given."""


class Cell(nn.Module):
    """A layer. x (T, B, D) and the state before it → the layer's output (T, B, H) and the state after it."""

    block: ClassVar[bool] = False
    """Whether it adds to what it reads, which then is a stream that the network norms before the head."""

    def __init_subclass__(cls, name: str | None = None) -> None:
        if name is not None:
            CELLS[name] = cls

    @classmethod
    def of(cls, config: ModelConfig, dropout: nn.Module) -> Self:
        """The layer of a network; a block drops within, of the others the network drops the output."""
        raise NotImplementedError

    def reset_like_torch(self) -> None:
        """As torch's own layers begin."""
        raise NotImplementedError

    def initial_state(self, streams: int) -> State:
        """Zeros: how every document begins."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See the class."""
        raise NotImplementedError


class GatedCell(Cell):
    """W_xh (G·H, D), W_hh (G·H, H) and b_h (G·H), where the G gates lie one after the other."""

    gates: ClassVar[int]
    state_parts: ClassVar[int] = 1
    input_gain: ClassVar[float] = 1.0

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.w_x = nn.Parameter(torch.empty(self.gates * hidden, inputs))
        self.w_h = nn.Parameter(torch.empty(self.gates * hidden, hidden))
        self.b = nn.Parameter(torch.empty(self.gates * hidden))
        self.reset_parameters()

    @classmethod
    def of(cls, config: ModelConfig, dropout: nn.Module) -> Self:
        """See `Cell.of`."""
        return cls(config.width, config.width)

    def reset_parameters(self) -> None:
        """Inputs that keep their variance (LeCun et al. 1998), half an orthogonal recurrence (Saxe et al. 2014), zeros.

        The halves, here and in the embedding, and the gain of an LSTM, whose two squashings make its outputs small, are
        what did best after 600 to 800 steps on Chinese prose: see tests/bench/compare_initialisation.py.
        """
        nn.init.normal_(self.w_x, std=self.input_gain * self.w_x.shape[1] ** -0.5)
        for gate in self.w_h.chunk(self.gates):
            nn.init.orthogonal_(gate, gain=0.5)
        nn.init.zeros_(self.b)

    def reset_like_torch(self) -> None:
        """As torch's own layers begin: uniform within 1/√H; their two biases are summed here."""
        bound = self.hidden**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        with torch.no_grad():
            self.b.add_(torch.empty_like(self.b).uniform_(-bound, bound))

    def initial_state(self, streams: int) -> State:
        """Zeros: how every document begins."""
        return tuple(self.b.new_zeros(streams, self.hidden) for _ in range(self.state_parts))

    def project(self, x: Tensor) -> Tensor:
        """W_xh x_t + b_h for the whole window, (T, B, G·H)."""
        return nn.functional.linear(x, self.w_x, self.b).float()


class RNN(GatedCell, name="rnn"):
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_h) (Elman 1990)."""

    gates = 1

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell.forward`."""
        h = apply(_TanhRecurrence, self.project(x), self.w_h, state[0])
        return h, (h[-1].detach(),)


class LSTM(GatedCell, name="lstm"):
    """i, f, o = σ(…), g = tanh(…), c_t = f c_{t−1} + i g, h_t = o tanh(c_t); each … is W_hh h_{t−1} + W_xh x_t + b_h.

    Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000). The gates lie in the order i, f, o, g
    (torch's is i, f, g, o), so that the three sigmoids are one call.
    """

    gates = 4
    state_parts = 2
    input_gain = 2.0

    def reset_parameters(self) -> None:
        """The forget gate begins open: its bias is 1 (Jozefowicz et al. 2015)."""
        super().reset_parameters()
        nn.init.ones_(self.b.data[self.hidden : 2 * self.hidden])

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell.forward`; the state is h and c."""
        h, c = apply(_LSTMRecurrence, self.project(x), self.w_h, *state)
        return h, (h[-1].detach(), c)


class GRU(GatedCell, name="gru"):
    """r, z = σ(…), n = tanh(W_xn x_t + b_n + r (W_hn h_{t−1} + b_hn)), h_t = (1 − z) n + z h_{t−1} (Cho et al. 2014).

    The reset gate multiplies after the matrix, as in cuDNN and torch. The gates lie in the order r, z, n.
    """

    gates = 3

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        self.b_hn = nn.Parameter(torch.zeros(hidden))

    def reset_like_torch(self) -> None:
        """As torch's layer: the biases of r and z are sums of two, those of n stay apart."""
        super().reset_like_torch()
        bound = self.hidden**-0.5
        nn.init.uniform_(self.b.data[2 * self.hidden :], -bound, bound)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell.forward`."""
        h = apply(_GRURecurrence, self.project(x), self.w_h, self.b_hn, state[0])
        return h, (h[-1].detach(),)


def apply(function: type[torch.autograd.Function], *tensors: Tensor) -> Any:
    """`function.apply`, which torch leaves untyped."""
    return function.apply(*tensors)  # type: ignore[no-untyped-call]


def _steps(first: Tensor, T: int) -> tuple[Tensor, Tensor]:
    """Room for a state part at positions 0 (before the window) to T, and the view of positions 1 to T."""
    room = first.new_empty(T + 1, *first.shape)
    room[0] = first
    return room, room[1:]


def _weight_gradient(d_gates: Tensor, h_before: Tensor) -> Tensor:
    """Σ_t d_gates_tᵀ h_{t−1}: (T, B, G·H) and (T, B, H) → (G·H, H)."""
    return d_gates.flatten(0, 1).t() @ h_before.flatten(0, 1)


class _TanhRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, xs: Tensor, w: Tensor, h0: Tensor) -> Tensor:
        w_t = w.t()
        room, h = _steps(h0, len(xs))
        for t in range(len(xs)):
            torch.addmm(xs[t], room[t], w_t, out=h[t]).tanh_()
        ctx.save_for_backward(w, room)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, room = ctx.saved_tensors
        slope = 1 - room[1:].square()  # of tanh, (T, B, H)
        d = torch.empty_like(slope)
        torch.mul(grads[0][-1], slope[-1], out=d[-1])
        for t in range(len(d) - 2, -1, -1):
            torch.addmm(grads[0][t], d[t + 1], w, out=d[t]).mul_(slope[t])
        return d, _weight_gradient(d, room[:-1]), None


class _LSTMRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, xs: Tensor, w: Tensor, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
        w_t, H = w.t(), h0.shape[1]
        gates = torch.empty_like(xs)  # (T, B, 4H), after their functions
        h_room, h = _steps(h0, len(xs))
        c_room, c = _steps(c0, len(xs))
        c_tanh = torch.empty_like(c)
        for t in range(len(xs)):
            a = torch.addmm(xs[t], h_room[t], w_t, out=gates[t])
            a[:, : 3 * H].sigmoid_()
            a[:, 3 * H :].tanh_()
            i, f, o, g = a.chunk(4, 1)
            torch.mul(c_room[t], f, out=c[t]).addcmul_(i, g)
            torch.tanh(c[t], out=c_tanh[t])
            torch.mul(o, c_tanh[t], out=h[t])
        ctx.save_for_backward(w, gates, h_room, c_room, c_tanh)
        last = c[-1].clone()
        ctx.mark_non_differentiable(last)
        return h, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, gates, h_room, c_room, c_tanh = ctx.saved_tensors
        T, B, H = c_tanh.shape
        i, f, o, g = gates.chunk(4, 2)
        d = torch.empty_like(gates)  # starts as the local slopes and becomes the gradient
        d_parts = d.view(T, B, 4, H)
        slope = gates * (1 - gates)  # of σ; g's quarter is overwritten
        torch.mul(slope[..., :H], g, out=d_parts[:, :, 0])
        torch.mul(slope[..., H : 2 * H], c_room[:-1], out=d_parts[:, :, 1])
        torch.mul(slope[..., 2 * H : 3 * H], c_tanh, out=d_parts[:, :, 2])
        torch.mul(i, 1 - g.square(), out=d_parts[:, :, 3])
        c_slope = o * (1 - c_tanh.square())  # ∂h/∂c
        dh, dc = grads[0][-1].clone(), torch.zeros_like(c_tanh[0])
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                torch.addmm(grads[0][t], d[t + 1], w, out=dh)
            dc.addcmul_(dh, c_slope[t])
            d_parts[t, :, 2].mul_(dh)
            d_parts[t, :, :2].mul_(dc[:, None])
            d_parts[t, :, 3].mul_(dc)
            dc.mul_(f[t])
        return d, _weight_gradient(d, h_room[:-1]), None, None


class _GRURecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, xs: Tensor, w: Tensor, b_hn: Tensor, h0: Tensor) -> Tensor:
        w_t, H = w.t(), h0.shape[1]
        gates = torch.empty_like(xs)  # (T, B, 3H): r, z, n
        room, h = _steps(h0, len(xs))
        q = torch.empty_like(h)  # W_hn h_{t−1} + b_hn
        bias = torch.cat([b_hn.new_zeros(2 * H), b_hn])
        a = torch.empty_like(xs[0])
        for t in range(len(xs)):
            torch.addmm(bias, room[t], w_t, out=a)
            q[t] = a[:, 2 * H :]
            rz = torch.add(xs[t, :, : 2 * H], a[:, : 2 * H], out=gates[t, :, : 2 * H]).sigmoid_()
            n = torch.addcmul(xs[t, :, 2 * H :], rz[:, :H], q[t], out=gates[t, :, 2 * H :]).tanh_()
            torch.lerp(n, room[t], rz[:, H:], out=h[t])
        ctx.save_for_backward(w, gates, room, q)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, gates, room, q = ctx.saved_tensors
        T, B, H = q.shape
        r, z, n = gates.chunk(3, 2)
        d = torch.empty_like(gates)  # by W_hh h: r, z, q; starts as the local slopes
        d_parts = d.view(T, B, 3, H)
        n_slope = (1 - z) * (1 - n.square())
        torch.mul(n_slope, r, out=d_parts[:, :, 2])
        torch.mul(d_parts[:, :, 2] * (1 - r), q, out=d_parts[:, :, 0])
        torch.mul(z * (1 - z), room[:-1] - n, out=d_parts[:, :, 1])
        dh = torch.empty_like(q)
        dh[-1] = grads[0][-1]
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                torch.addmm(grads[0][t], d[t + 1], w, out=dh[t]).addcmul_(dh[t + 1], z[t + 1])
            d_parts[t].mul_(dh[t, :, None])
        dx = d.clone()
        torch.mul(dh, n_slope, out=dx[..., 2 * H :])
        return dx, _weight_gradient(d, room[:-1]), d_parts[:, :, 2].sum((0, 1)), None
