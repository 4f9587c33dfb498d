"""The numpy forms of each cell: a window of positions at once, and one position in place. No torch, no token ids.

The same recurrences as in `cells` and `mingru`. What stands before an exponential is stored negated and every gate is
written 1 / (1 + e^−a), so that a gate costs one exponential, one sum and one division; where e^−a overflows, the gate
is zero, as it should be. What norms multiply by is multiplied into the matrices behind them.

To add a cell: a `Form` here, with `advance` alone (`stepper` follows from it), and its torch layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from charrnn.config import ModelConfig
from charrnn.numerics import (
    ONE,
    Array,
    GatedLayerStep,
    centred,
    gated,
    gated_layer,
    norm_into,
    product,
    rms_normed,
    room,
)

CellState = tuple[Array, ...]
Weights = Mapping[str, Array]
TAPS = 4  # of a mingru block's convolution
RUN = 64  # positions for whose inputs there is room


class LayerStep(Protocol):
    """A layer of B streams, one position at a time, its state in place."""

    def load(self, state: CellState) -> None:
        """Stand where the state says; it is copied."""

    def state(self) -> CellState:
        """Where it stands, for a reader who copies."""

    def step(self, x: Array) -> Array:
        """One position, (D) or (B, D), which may be written to → the layer's output, valid until the next."""


class Form:
    """What a cell is without torch."""

    def shapes(self, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a layer's weights, as they are stored."""
        raise NotImplementedError

    def state_shapes(self, config: ModelConfig) -> list[tuple[int, ...]]:
        """Of each part of a stream's state."""
        raise NotImplementedError

    def prepared(self, weights: Weights) -> dict[str, Array]:
        """Stored weights as the other methods want them."""
        raise NotImplementedError

    def advance(self, x: Array, state: CellState, weights: Weights) -> tuple[Array, CellState]:
        """x (T, B, D) and the state before it → the layer's output (T, B, D) and the state after it."""
        raise NotImplementedError

    def stepper(self, weights: Weights, streams: int) -> LayerStep:
        """The layer in place; a form that has no quicker way goes by windows of one."""
        return _WindowStep(self, weights)


class _WindowStep:
    def __init__(self, form: Form, weights: Weights) -> None:
        self._form, self._weights = form, weights
        self._state: CellState = ()

    def load(self, state: CellState) -> None:
        self._state = state

    def state(self) -> CellState:
        return self._state

    def step(self, x: Array) -> Array:
        D = x.shape[-1]
        y, self._state = self._form.advance(x.reshape(1, -1, D), self._state, self._weights)
        return y.reshape(x.shape)


# --- gates that see the state ---


class GatedStep:
    """A recurrence whose gates see the state: W_xh x + b may be had for all inputs beforehand, by `project`."""

    def __init__(self, recur: Recurrence, parts: int, weights: Weights, streams: int) -> None:
        H, rows = weights["w_h"].shape
        self._recur, self._weights, self._streams = recur, weights, streams
        self._gates, self._e, self._xs = (room(streams, rows) for _ in range(3))
        self._parts = tuple(room(streams, H) for _ in range(parts))

    def load(self, state: CellState) -> None:
        """See `LayerStep.load`."""
        for part, given in zip(self._parts, state, strict=True):
            part[...] = given.reshape(part.shape)

    def state(self) -> CellState:
        """See `LayerStep.state`."""
        return tuple(part.reshape(self._streams, -1) for part in self._parts)

    def project(self, x: Array, out: Array | None = None) -> Array:
        """W_xh x + b: (D) or (N, D) → (G·H) or (N, G·H)."""
        xs = np.dot(x, self._weights["w_x"], out)
        xs += self._weights["b"]
        return xs

    def recur(self, xs: Array) -> Array:
        """One position from W_xh x + b → h."""
        np.dot(self._parts[0], self._weights["w_h"], self._gates)
        self._recur(xs, self._parts, self._gates, self._e, self._weights)
        return self._parts[0]

    def step(self, x: Array) -> Array:
        """See `LayerStep.step`."""
        return self.recur(self.project(x, self._xs))


# W_xh x + b, the state (h first), W_hh h, room, the layer's weights; it writes to all but the first and the last.
Recurrence = Callable[[Array, CellState, Array, Array, Weights], None]


def rnn(xs: Array, state: CellState, a: Array, e: Array, weights: Weights) -> None:
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_h)."""
    a += xs
    np.tanh(a, state[0])


def lstm(xs: Array, state: CellState, a: Array, e: Array, weights: Weights) -> None:
    """c_t = f c_{t−1} + i g, h_t = o tanh(c_t); the gates lie in the order i, f, o, g."""
    h, c = state
    H = h.shape[-1]
    a += xs
    e, g = e[..., : 3 * H], a[..., 3 * H :]
    np.exp(a[..., : 3 * H], e)
    e += ONE
    np.tanh(g, g)
    g /= e[..., :H]
    c /= e[..., H : 2 * H]
    c += g
    np.tanh(c, h)
    h /= e[..., 2 * H :]


def gru(xs: Array, state: CellState, a: Array, e: Array, weights: Weights) -> None:
    """n = tanh(W_xn x_t + b_n + r (W_hn h_{t−1} + b_hn)), h_t = (1 − z) n + z h_{t−1}; the order is r, z, n."""
    (h,) = state
    H = h.shape[-1]
    e, n = e[..., : 2 * H], a[..., 2 * H :]
    np.add(a[..., : 2 * H], xs[..., : 2 * H], e)
    np.exp(e, e)
    e += ONE
    n += weights["b_hn"]
    n /= e[..., :H]
    n += xs[..., 2 * H :]
    np.tanh(n, n)
    h -= n
    h /= e[..., H:]
    h += n


class GatedForm(Form):
    """W_xh (G·H, D), W_hh (G·H, H), b (G·H), and more biases (H); the first gates are logistic."""

    def __init__(
        self, recur: Recurrence, *, gates: int, logistic: int, parts: int = 1, biases: tuple[str, ...] = ()
    ) -> None:
        self._recur, self._gates, self._logistic, self._parts, self._biases = recur, gates, logistic, parts, biases

    def shapes(self, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """See `Form.shapes`."""
        D, rows = config.width, self._gates * config.width
        return {"w_x": (rows, D), "w_h": (rows, D), "b": (rows,), **dict.fromkeys(self._biases, (D,))}

    def state_shapes(self, config: ModelConfig) -> list[tuple[int, ...]]:
        """See `Form.state_shapes`."""
        return [(config.width,)] * self._parts

    def prepared(self, weights: Weights) -> dict[str, Array]:
        """See `Form.prepared`."""
        sign = np.ones(len(weights["b"]), np.float32)
        sign[: self._logistic * len(sign) // self._gates] = -1
        matrices = {name: np.ascontiguousarray(weights[name].T * sign) for name in ("w_x", "w_h")}
        return {**weights, **matrices, "b": weights["b"] * sign}

    def stepper(self, weights: Weights, streams: int) -> GatedStep:
        """See `Form.stepper`."""
        return GatedStep(self._recur, self._parts, weights, streams)

    def advance(self, x: Array, state: CellState, weights: Weights) -> tuple[Array, CellState]:
        """See `Form.advance`."""
        T, B, _ = x.shape
        layer = self.stepper(weights, B)
        layer.load(state)
        xs = layer.project(x.reshape(T * B, -1)).reshape(T, B, -1)
        h = np.empty(x.shape, np.float32)
        for t in range(T):
            h[t] = layer.recur(xs[t, 0] if B == 1 else xs[t])
        return h, layer.state()


# --- mingru ---


class MinGRUForm(Form):
    """The block of `mingru.MinGRU`, whose gates see the input alone.

    Matrices that write to the stream have its mean taken out: what reads the stream takes it out anyway.
    """

    def shapes(self, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """See `Form.shapes`."""
        D, H, F = config.width, config.hidden, config.feedforward
        shapes = {"norm": (D,), "taps": (TAPS, D), "w_in": (3 * H, D), "b_z": (H,), "w_out": (D, H)}
        return shapes | ({"feedforward_norm": (D,), "v_in": (2 * F, D), "v_out": (D, F)} if F else {})

    def state_shapes(self, config: ModelConfig) -> list[tuple[int, ...]]:
        """See `Form.state_shapes`."""
        return [(config.hidden,), (TAPS - 1, config.width)]

    def prepared(self, weights: Weights) -> dict[str, Array]:
        """`w_in` (D + 1, 3H) gives −a − b_z, −g and c; its last row is what a constant 1 is multiplied by."""
        H = len(weights["b_z"])
        a, c, g = np.split(weights["w_in"], 3)
        w_in = np.concatenate([-a, -g, c]).T
        bias = np.concatenate([-weights["b_z"], np.zeros(2 * H, np.float32)])
        found = {
            "taps": weights["taps"] * weights["norm"],
            "w_in": np.ascontiguousarray(np.concatenate([w_in, bias[None]])),
            "w_out": np.ascontiguousarray(-centred(weights["w_out"].T)),
        }
        if "v_in" in weights:
            v_in, v_out = gated(weights["v_in"], weights["v_out"], weights["feedforward_norm"])
            found |= {"v_in": v_in, "v_out": centred(v_out)}
        return found

    def advance(self, x: Array, state: CellState, weights: Weights) -> tuple[Array, CellState]:
        """See `Form.advance`."""
        h, tail = state
        y = np.concatenate([tail.transpose(1, 0, 2), rms_normed(x)])
        mixed = sum(weights["taps"][k] * y[k : k + len(x)] for k in range(TAPS))
        keep, minus_g, c = np.split(product(mixed, weights["w_in"][:-1]) + weights["w_in"][-1], 3, axis=-1)
        keep = np.exp(keep) + 1
        blend = np.empty(c.shape, np.float32)
        for t in range(len(x)):
            blend[t] = h = h + (c[t] - h) / keep[t]
        x = x + product(minus_g * blend / (np.exp(minus_g) + 1), weights["w_out"])
        if "v_in" in weights:
            x = x + gated_layer(rms_normed(x), weights["v_in"], weights["v_out"])
        return x, (h, y[len(x) :].transpose(1, 0, 2))

    def stepper(self, weights: Weights, streams: int) -> LayerStep:
        """See `Form.stepper`."""
        return MinGRUStep(weights, streams)


class MinGRUStep:
    """A block in place. Inputs of its convolution stand one after the other, in room for RUN positions before the last
    are copied to the front: whatever was read before, they are added up in the same order, to the same last bit."""

    def __init__(self, weights: Weights, streams: int) -> None:
        H, D = weights["w_out"].shape
        self._streams = streams
        self._w_in, self._w_out = weights["w_in"], weights["w_out"]
        self._feedforward = GatedLayerStep(weights["v_in"], weights["v_out"], streams) if "v_in" in weights else None
        self._inputs = room(streams, TAPS - 1 + RUN, D)
        self._windows = [self._inputs[at : at + TAPS] for at in range(RUN)]
        self._at = 0
        self._taps = weights["taps"].reshape(TAPS, *([1] * (self._inputs.ndim - 2)), D)
        self._terms = room(streams, TAPS, D)
        self._mixed = room(streams, D + 1)
        self._mixed[..., D] = 1
        self._branch = room(streams, D)
        self._a, self._e = room(streams, 3 * H), room(streams, 2 * H)
        self._h = room(streams, H)
        self._parts = (
            self._mixed[..., :D], self._a[..., : 2 * H], self._a[..., H : 2 * H], self._a[..., 2 * H :],
            self._e[..., :H], self._e[..., H:],
        )  # fmt: skip

    def load(self, state: CellState) -> None:
        """See `LayerStep.load`."""
        h, tail = state
        self._h[...] = h.reshape(self._h.shape)
        self._inputs[: TAPS - 1] = tail.transpose(1, 0, 2).reshape(self._inputs[: TAPS - 1].shape)
        self._at = 0

    def state(self) -> CellState:
        """See `LayerStep.state`."""
        tail = self._inputs[self._at : self._at + TAPS - 1].reshape(TAPS - 1, self._streams, -1)
        return self._h.reshape(self._streams, -1), tail.transpose(1, 0, 2)

    def step(self, x: Array) -> Array:
        """See `LayerStep.step`; x is changed in place."""
        mixed, gates, minus_g, c, keep, e_g = self._parts
        window, h, e = self._windows[self._at], self._h, self._e
        norm_into(x, window[-1])
        np.multiply(window, self._taps, self._terms)
        np.add.reduce(self._terms, 0, out=mixed)
        np.dot(self._mixed, self._w_in, self._a)
        np.exp(gates, e)
        e += ONE
        c -= h
        c /= keep
        h += c
        minus_g *= h
        minus_g /= e_g
        np.dot(minus_g, self._w_out, self._branch)
        x += self._branch
        if self._feedforward is not None:
            self._feedforward.add_to(x)
        self._at += 1
        if self._at == RUN:
            self._inputs[: TAPS - 1] = self._inputs[RUN:]
            self._at = 0
        return x


CELLS: dict[str, Form] = {
    "rnn": GatedForm(rnn, gates=1, logistic=0),
    "lstm": GatedForm(lstm, gates=4, logistic=3, parts=2),
    "gru": GatedForm(gru, gates=3, logistic=2, biases=("b_hn",)),
    "mingru": MinGRUForm(),
}
