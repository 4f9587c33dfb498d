"""The numpy stepping form of each cell: state in, logits out. It knows token ids, nothing of text and nothing of torch.

The same recurrences as in `cells`, with the weights as they are stored, one position at a time for B streams.
A state is a tuple of arrays (B, H) a layer and is never changed in place: to keep one is to keep a reference.
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
# (W_xh x + b at one position (B, G·H), state before, W_hhᵀ (H, G·H), the layer's weights) -> state after, h first
Step = Callable[[Array, CellState, Array, Weights], CellState]


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x), written with tanh so that it cannot overflow."""
    half: Array = np.tanh(x * np.float32(0.5)) * np.float32(0.5)
    return half + np.float32(0.5)


def rnn_step(xs: Array, state: CellState, w_t: Array, weights: Weights) -> CellState:
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_h)."""
    return (np.tanh(xs + state[0] @ w_t),)


def lstm_step(xs: Array, state: CellState, w_t: Array, weights: Weights) -> CellState:
    """c_t = f c_{t−1} + i g, h_t = o tanh(c_t); the gates lie in the order i, f, o, g."""
    h, c = state
    H = h.shape[1]
    a = xs + h @ w_t
    s = _sigmoid(a[:, : 3 * H])
    c = s[:, H : 2 * H] * c + s[:, :H] * np.tanh(a[:, 3 * H :])
    return s[:, 2 * H :] * np.tanh(c), c


def gru_step(xs: Array, state: CellState, w_t: Array, weights: Weights) -> CellState:
    """n = tanh(W_xn x_t + b_n + r (W_hn h_{t−1} + b_hn)), h_t = (1 − z) n + z h_{t−1}; the order is r, z, n."""
    (h,) = state
    H = h.shape[1]
    a = h @ w_t
    s = _sigmoid(xs[:, : 2 * H] + a[:, : 2 * H])
    n = np.tanh(xs[:, 2 * H :] + s[:, :H] * (a[:, 2 * H :] + weights["b_hn"]))
    return (n + s[:, H:] * (h - n),)


def feedforward(x: Array, w_in_t: Array, w_out_t: Array) -> Array:
    """W_out (silu(a) ⊙ b) with (a, b) = W_in x / rms(x), at every position: x (…, D) → (…, D)."""
    normed = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(EPSILON))
    a, b = np.split(normed @ w_in_t, 2, axis=-1)
    return (a * _sigmoid(a) * b) @ w_out_t  # type: ignore[no-any-return]


class CellForm:
    """What the engine knows of a cell: how to step it and what it stores."""

    def __init__(self, step: Step, *, gates: int, state_parts: int = 1, biases: Sequence[str] = ()) -> None:
        self.step = step
        self.gates = gates
        self.state_parts = state_parts
        self.biases = tuple(biases)  # of length H, beside b

    def shapes(self, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a layer's weights."""
        rows = self.gates * hidden
        extra = dict.fromkeys(self.biases, (hidden,))
        return {"w_x": (rows, inputs), "w_h": (rows, hidden), "b": (rows,), **extra}


CELLS: dict[str, CellForm] = {
    "rnn": CellForm(rnn_step, gates=1),
    "lstm": CellForm(lstm_step, gates=4, state_parts=2),
    "gru": CellForm(gru_step, gates=3, biases=["b_hn"]),
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
    if F := config.feedforward:
        shapes |= {"feedforward.w_in.weight": (2 * F, D), "feedforward.w_out.weight": (D, F)}
    for layer in range(config.layers):
        for name, shape in CELLS[config.cell].shapes(D, D).items():
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
        self._head_bias = full["head.bias"]
        self._summary = {
            name.removeprefix("summary."): array for name, array in full.items() if name.startswith("summary.")
        }
        self._feedforward = [
            np.ascontiguousarray(full[f"feedforward.{name}.weight"].T)
            for name in ("w_in", "w_out")
            if config.feedforward
        ]
        self._layers = [
            {name: full[f"layers.{i}.{name}"] for name in self.form.shapes(1, 1)} for i in range(config.layers)
        ]
        # Transposed once, so that a step's products read their matrix row by row.
        self._w_x_t = [np.ascontiguousarray(layer["w_x"].T) for layer in self._layers]
        self._w_h_t = [np.ascontiguousarray(layer["w_h"].T) for layer in self._layers]

    def summary(self, bag: Bag) -> Array:
        """The question as a vector (S): Σ weight · rarity · row of the table, brought to a mean square of 1."""
        buckets = np.asarray(bag.buckets, np.int64)
        weights = np.asarray(bag.weights, np.float32) * self._summary["rarity"][buckets]
        total = weights @ self._summary["table.weight"][buckets]
        return np.asarray(total / math.sqrt(float(np.mean(total * total)) + EPSILON), np.float32)

    def initial_state(self, streams: int = 1) -> State:
        """Zeros: how every document begins."""
        zeros = np.zeros((streams, self.config.width), np.float32)
        return tuple((zeros,) * self.form.state_parts for _ in range(self.config.layers))

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
        after = []
        for layer, w_x_t, w_h_t, before in zip(self._layers, self._w_x_t, self._w_h_t, state, strict=True):
            xs = x @ w_x_t + layer["b"]
            x = np.empty(x.shape, np.float32)
            for t in range(len(ids)):
                before = self.form.step(xs[t], before, w_h_t, layer)
                x[t] = before[0]
            after.append(before)
        if summary is not None:
            x = x + self._summary["to_head.weight"] @ summary
        if self._feedforward:
            x = x + feedforward(x, *self._feedforward)
        return x, tuple(after)

    def logits(self, h: Array) -> Array:
        """y = W_hy h + b_y: (…, H) → (…, V)."""
        return h @ self._head_t + self._head_bias
