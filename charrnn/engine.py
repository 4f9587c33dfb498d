"""The numpy stepping form of each cell: state in, logits out. It knows token ids, nothing of text and nothing of torch.

The same recurrences as in `cells`, with the weights as they are stored, one position at a time for B streams.
A state is a tuple of arrays (B, …) a layer and is never changed in place: to keep one is to keep a reference.
A summary, where one is given, is the vector (S) of the question that is being answered: see `question`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from charrnn.config import ModelConfig
from charrnn.errors import ModelError
from charrnn.question import Bag

Array = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
CellState = tuple[Array, ...]
State = tuple[CellState, ...]
Weights = Mapping[str, Array]
EPSILON = 1e-6
BUCKETS = 1 << 14  # of runs of characters, for summaries of questions
TAPS = 4  # of a mingru block's convolution


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), written with tanh so that it cannot overflow."""
    half: Array = np.tanh(x * np.float32(0.5)) * np.float32(0.5)
    return half + np.float32(0.5)


def rnn_step(xs: Array, state: CellState, weights: Weights) -> CellState:
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_h)."""
    return (np.tanh(xs + state[0] @ weights["w_h"]),)


def lstm_step(xs: Array, state: CellState, weights: Weights) -> CellState:
    """c_t = f c_{t−1} + i g, h_t = o tanh(c_t); the gates lie in the order i, f, o, g."""
    h, c = state
    H = h.shape[1]
    a = xs + h @ weights["w_h"]
    s = _sigmoid(a[:, : 3 * H])
    c = s[:, H : 2 * H] * c + s[:, :H] * np.tanh(a[:, 3 * H :])
    return s[:, 2 * H :] * np.tanh(c), c


def gru_step(xs: Array, state: CellState, weights: Weights) -> CellState:
    """n = tanh(W_xn x_t + b_n + r (W_hn h_{t−1} + b_hn)), h_t = (1 − z) n + z h_{t−1}; the order is r, z, n."""
    (h,) = state
    H = h.shape[1]
    a = h @ weights["w_h"]
    s = _sigmoid(xs[:, : 2 * H] + a[:, : 2 * H])
    n = np.tanh(xs[:, 2 * H :] + s[:, :H] * (a[:, 2 * H :] + weights["b_hn"]))
    return (n + s[:, H:] * (h - n),)


def gated_layer(normed: Array, w_in: Array, w_out: Array) -> Array:
    """W_out (silu(p) ⊙ q) with (p, q) = W_in normed, at every position: (…, D) → (…, D)."""
    p, q = np.split(normed @ w_in, 2, axis=-1)
    return (p * _sigmoid(p) * q) @ w_out  # type: ignore[no-any-return]


def _rms_normed(x: Array) -> Array:
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(EPSILON)))


def _normed(x: Array) -> Array:
    """(x − mean) / deviation: (…, D)."""
    return _rms_normed(x - np.mean(x, axis=-1, keepdims=True))


class GatedForm:
    """A recurrence whose gates see the state: W_xh (G·H, D), W_hh (G·H, H), b (G·H), and `biases` (H)."""

    # (W_xh x + b at one position (B, G·H), state before, the layer's weights) -> state after, h first
    Step = Callable[[Array, CellState, Weights], CellState]

    def __init__(self, step: Step, *, gates: int, state_parts: int = 1, biases: Sequence[str] = ()) -> None:
        self._step = step
        self._gates = gates
        self._state_parts = state_parts
        self._biases = tuple(biases)

    def shapes(self, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a layer's weights."""
        D, rows = config.width, self._gates * config.width
        return {"w_x": (rows, D), "w_h": (rows, D), "b": (rows,), **dict.fromkeys(self._biases, (D,))}

    def state_shapes(self, config: ModelConfig) -> list[tuple[int, ...]]:
        """Of each part of a stream's state."""
        return [(config.width,)] * self._state_parts

    def advance(self, x: Array, state: CellState, weights: Weights) -> tuple[Array, CellState]:
        """x (T, B, D) and the state before it → h (T, B, H) and the state after it."""
        xs = x @ weights["w_x"] + weights["b"]
        h = np.empty(x.shape, np.float32)
        for t in range(len(xs)):
            state = self._step(xs[t], state, weights)
            h[t] = state[0]
        return h, state


class MinGRUForm:
    """The block of `mingru.MinGRU`, whose gates see the input alone."""

    def shapes(self, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a layer's weights."""
        D, H, F = config.width, config.hidden, config.feedforward
        shapes = {"norm": (D,), "taps": (TAPS, D), "w_in": (3 * H, D), "b_z": (H,), "w_out": (D, H)}
        return shapes | ({"feedforward_norm": (D,), "v_in": (2 * F, D), "v_out": (D, F)} if F else {})

    def state_shapes(self, config: ModelConfig) -> list[tuple[int, ...]]:
        """Of each part of a stream's state."""
        return [(config.hidden,), (TAPS - 1, config.width)]

    def advance(self, x: Array, state: CellState, weights: Weights) -> tuple[Array, CellState]:
        """x (T, B, D) and the state before it → x with what the branches add, and the state after it."""
        h, tail = state
        y = np.concatenate([tail.transpose(1, 0, 2), _normed(x) * weights["norm"]])
        mixed = np.sum([weights["taps"][k] * y[k : k + len(x)] for k in range(TAPS)], axis=0)
        a, c, g = np.split(mixed @ weights["w_in"], 3, axis=-1)
        z = _sigmoid(a + weights["b_z"])
        blend = np.empty(c.shape, np.float32)
        for t in range(len(x)):
            blend[t] = h = h + z[t] * (c[t] - h)
        x = np.asarray(x + (g * _sigmoid(g) * blend) @ weights["w_out"])
        if "v_in" in weights:
            x = x + gated_layer(_normed(x) * weights["feedforward_norm"], weights["v_in"], weights["v_out"])
        return x, (h, y[len(x) :].transpose(1, 0, 2))


CELLS: dict[str, GatedForm | MinGRUForm] = {
    "rnn": GatedForm(rnn_step, gates=1),
    "lstm": GatedForm(lstm_step, gates=4, state_parts=2),
    "gru": GatedForm(gru_step, gates=3, biases=["b_hn"]),
    "mingru": MinGRUForm(),
}


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model by its name in `model.safetensors`, with its shape."""
    if config.cell not in CELLS:
        raise ModelError(f"the model's cell {config.cell!r} is unknown here; this version knows {', '.join(CELLS)}")
    V, D = config.vocabulary, config.width
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (V, D), "head.bias": (V,)}
    if not config.tied:
        shapes["head.weight"] = (V, D)
    if S := config.summary:
        shapes |= {"summary.table.weight": (BUCKETS, S), "summary.rarity": (BUCKETS,)}
        shapes |= {"summary.to_input.weight": (D, S), "summary.to_head.weight": (D, S)}
    if config.blocks:
        shapes["norm"] = (D,)
    elif F := config.feedforward:
        shapes |= {"feedforward.w_in.weight": (2 * F, D), "feedforward.w_out.weight": (D, F)}
    for layer in range(config.layers):
        for name, shape in CELLS[config.cell].shapes(config).items():
            shapes[f"layers.{layer}.{name}"] = shape
    return shapes


class Engine:
    """The network for generation: B streams, one position at a time; a window of given tokens layer by layer."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self.form = CELLS[config.cell]
        full = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in weights.items()}
        self._embedding = full["embedding.weight"]
        self._head_t = full.get("head.weight", self._embedding).T
        self._head_bias: Array = full["head.bias"] * np.float32(config.sharpness)
        self._summary = {
            name.removeprefix("summary."): array for name, array in full.items() if name.startswith("summary.")
        }
        self._norm = full.get("norm")
        # Matrices transposed once, so that a step's products read them row by row.
        self._feedforward = [
            np.ascontiguousarray(full[f"feedforward.{name}.weight"].T)
            for name in ("w_in", "w_out")
            if config.feedforward and not config.blocks
        ]
        self._layers = [
            {name: self._prepared(name, full[f"layers.{i}.{name}"]) for name in self.form.shapes(config)}
            for i in range(config.layers)
        ]

    @staticmethod
    def _prepared(name: str, weights: Array) -> Array:
        return np.ascontiguousarray(weights.T) if name.startswith(("w_", "v_")) else weights

    def summary(self, bag: Bag) -> Array:
        """The question as a vector (S): Σ weight · rarity · row of the table, brought to a mean square of 1."""
        buckets = np.asarray(bag.buckets, np.int64)
        weights = np.asarray(bag.weights, np.float32) * self._summary["rarity"][buckets]
        total = weights @ self._summary["table.weight"][buckets]
        return np.asarray(total / math.sqrt(float(np.mean(total * total)) + EPSILON), np.float32)

    def initial_state(self, streams: int = 1) -> State:
        """Zeros: how every document begins."""
        shapes = self.form.state_shapes(self.config)
        layer = tuple(np.zeros((streams, *shape), np.float32) for shape in shapes)
        return (layer,) * self.config.layers

    def step(self, ids: Ids, state: State, summary: Array | None = None) -> tuple[Array, State]:
        """One token for each stream, (B,), and the state before it → logits (B, V) and the state after it."""
        h, state = self.advance(ids[None], state, summary)
        return self.logits(h[0]), state

    def advance(self, ids: Ids, state: State, summary: Array | None = None) -> tuple[Array, State]:
        """Given tokens (T, B) and the state before them → what the head reads, (T, B, H), and the state after them.

        A layer's input products are one matrix product for the window, as in training.
        """
        x = self._embedding[ids] * np.float32(self.config.input_scale)  # (T, B, D)
        if summary is not None:
            x = x + self._summary["to_input.weight"] @ summary
        if self._norm is not None:
            x = _normed(x)
        after = []
        for layer, before in zip(self._layers, state, strict=True):
            x, last = self.form.advance(x, before, layer)
            after.append(last)
        if self._norm is not None:
            x = _normed(x) * self._norm
        if summary is not None:
            x = x + self._summary["to_head.weight"] @ summary
        if self._feedforward:
            x = x + gated_layer(_rms_normed(x), *self._feedforward)
        return x, tuple(after)

    def logits(self, h: Array) -> Array:
        """y = W_hy h + b_y, times the sharpness: (…, H) → (…, V)."""
        return np.asarray((h * np.float32(self.config.sharpness)) @ self._head_t + self._head_bias)
