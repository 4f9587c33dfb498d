"""The network without torch: token ids in, logits out, a window at once or one position after another.

A state is one array, (B, S) for B streams, and a value: nothing changes it in place, to keep one is to keep a
reference, a row of it is the state of that stream, and its bytes are all there is to save. Steps are taken in place by
a `Stepper`, which gives and takes states as copies. A summary, where one is given, is the vector of the question that
is being answered: see `question`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.config import ModelConfig
from charrnn.errors import ModelError
from charrnn.forms import CELLS, CellState, GatedStep, Weights
from charrnn.numerics import EPSILON, Array, GatedLayerStep, centred, gated, gated_layer, norm_into, rms_normed, room
from charrnn.question import Bag

State = Array
Ids = npt.NDArray[np.int64]
BUCKETS = 1 << 14  # of runs of characters, for summaries of questions
# Exponentials of gates that are shut go beyond all numbers. So may all that a network made to harm computes: that is
# found where it comes out, by `require_numbers`.
QUIET: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}
LARGEST_TABLE = 1 << 21  # numbers, of what the first layer reads of every token, had beforehand


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


def require_numbers(logits: Array) -> None:
    """ModelError where they are none, as those of a network that is damaged or made to harm may be."""
    if not math.isfinite(float(logits.max())):
        raise ModelError("this model computes what are no numbers: it is damaged; get it anew or train it again")


class Engine:
    """The network for generation, its weights laid out for reading."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self.form = CELLS[config.cell]
        full = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in weights.items()}
        self.embedding = full["embedding.weight"]
        self.head = full.get("head.weight", self.embedding)
        self.head_bias: Array = full["head.bias"]
        self.norm = full.get("norm")
        self._summary = {
            name.removeprefix("summary."): array for name, array in full.items() if name.startswith("summary.")
        }
        self.feedforward = (
            gated(*(full[f"feedforward.{name}.weight"] for name in ("w_in", "w_out")))
            if config.feedforward and not config.blocks
            else None
        )
        self.layers = [
            self.form.prepared({name: full[f"layers.{i}.{name}"] for name in self.form.shapes(config)})
            for i in range(config.layers)
        ]
        self._shapes = self.form.state_shapes(config) * config.layers

    def summary(self, bag: Bag) -> Array:
        """The question as a vector (S): Σ weight · rarity · row of the table, brought to a mean square of 1."""
        buckets = np.asarray(bag.buckets, np.int64)
        weights = np.asarray(bag.weights, np.float32) * self._summary["rarity"][buckets]
        with np.errstate(**QUIET):
            total = weights @ self._summary["table.weight"][buckets]
            return np.asarray(total / math.sqrt(float(np.mean(total * total)) + EPSILON), np.float32)

    def summed(self, summary: Array | None) -> tuple[Array, Array] | None:
        """What a summary adds to every input, and to what the head reads, (D) each."""
        if summary is None:
            return None
        with np.errstate(**QUIET):
            return self._summary["to_input.weight"] @ summary, self._summary["to_head.weight"] @ summary

    def initial_state(self, streams: int = 1) -> State:
        """Zeros: how every document begins."""
        return np.zeros((streams, sum(math.prod(shape) for shape in self._shapes)), np.float32)

    def parts(self, state: State) -> list[CellState]:
        """What each layer holds of a state, (B, …) each: views."""
        found, at = [], 0
        for shape in self._shapes:
            found.append(state[:, at : at + math.prod(shape)].reshape(len(state), *shape))
            at += math.prod(shape)
        each = len(found) // self.config.layers
        return [tuple(found[i : i + each]) for i in range(0, len(found), each)]

    @staticmethod
    def joined(parts: list[CellState]) -> State:
        """The state that layers hold together: a copy."""
        return np.concatenate([part.reshape(len(part), -1) for layer in parts for part in layer], axis=1)

    def advance(self, ids: Ids, state: State, summary: Array | None = None) -> tuple[Array, State]:
        """Given tokens (T, B) and the state before them → what the head reads, (T, B, D), and the state after them.

        A layer's input products are one matrix product for the window, as in training.
        """
        with np.errstate(**QUIET):
            x = self.embedding[ids] * np.float32(self.config.input_scale)  # (T, B, D)
            summed = self.summed(summary)
            if summed is not None:
                x = x + summed[0]
            if self.norm is not None:
                x = rms_normed(centred(x))
            after = []
            for layer, before in zip(self.layers, self.parts(state), strict=True):
                x, last = self.form.advance(x, before, layer)
                after.append(last)
            if self.norm is not None:
                x = rms_normed(x) * self.norm
            if summed is not None:
                x = x + summed[1]
            if self.feedforward is not None:
                x = x + gated_layer(rms_normed(x), *self.feedforward)
        return x, self.joined(after)

    def logits(self, h: Array, *, dialogue: bool = False) -> Array:
        """y = W_hy h + b_y, times the sharpness: (…, D) → (…, V)."""
        sharpness = np.float32(self.config.sharpness_of(dialogue=dialogue))
        with np.errstate(**QUIET):
            return np.asarray((h * sharpness) @ self.head.T + self.head_bias * sharpness)

    def stepper(self, streams: int = 1) -> Stepper:
        """Streams at the beginning of a document, to go on in place."""
        return Stepper(self, streams)

    @cached_property
    def first_inputs(self) -> Array | None:
        """What the first layer reads of every token where there is no question: the embedding, normed, (V, D), or of a
        layer whose gates see the state W_xh e + b, (V, G·H). None where that would be large."""
        layer = self.form.stepper(self.layers[0], 1)
        sees_state = isinstance(layer, GatedStep)
        if len(self.embedding) * (len(self.layers[0]["b"]) if sees_state else self.config.width) > LARGEST_TABLE:
            return None
        x = self.embedding * np.float32(self.config.input_scale)
        if self.norm is not None:
            x = rms_normed(centred(x))
        return layer.project(x) if isinstance(layer, GatedStep) else x


class Stepper:
    """B streams in place, one token each at a time. No step allocates anything of the size of a layer."""

    def __init__(self, engine: Engine, streams: int = 1) -> None:
        D, V = engine.config.width, engine.config.vocabulary
        self._engine, self._streams = engine, streams
        self._layers = [engine.form.stepper(weights, streams) for weights in engine.layers]
        self._feedforward = GatedLayerStep(*engine.feedforward, streams) if engine.feedforward else None
        self._x, self._scaled, self._h, self._logits = (room(streams, n) for n in (D, D, D, V))
        self._scale = np.float32(engine.config.input_scale)
        self._average = np.full(D, 1 / D, np.float32)
        self._summed: tuple[Array, Array] | None = None
        # Not that of dialogue: what it is asked is mostly what it has read.
        self._sharpness = np.float32(engine.config.sharpness)
        self._bias: Array = engine.head_bias * self._sharpness
        self.load(engine.initial_state(streams))

    def load(self, state: State) -> None:
        """Stand where a state says."""
        for layer, parts in zip(self._layers, self._engine.parts(state), strict=True):
            layer.load(parts)

    def state(self) -> State:
        """Where the streams stand."""
        return self._engine.joined([layer.state() for layer in self._layers])

    def summarise(self, summary: Array | None) -> None:
        """From the next token on, answer the question of this summary, or none."""
        self._summed = self._engine.summed(summary)

    def step(self, ids: Ids) -> Array:
        """One token for each stream, (B,) → what the head reads, (B, D), valid until the next step."""
        engine, h = self._engine, self._h
        with np.errstate(**QUIET):
            x = self._first(ids)
            for layer in self._layers[1:]:
                x = layer.step(x)
            if engine.norm is not None:
                norm_into(x, h)
                h *= engine.norm
            else:
                h[...] = x
            if self._summed is not None:
                h += self._summed[1]
            if self._feedforward is not None:
                self._feedforward.add_to(h)
        return h.reshape(self._streams, -1)

    def _first(self, ids: Ids) -> Array:
        """What the first layer makes of the tokens."""
        engine, first, x = self._engine, self._layers[0], self._x
        which = ids[0] if self._streams == 1 else ids
        if self._summed is None and engine.first_inputs is not None:
            read = engine.first_inputs[which]
            if isinstance(first, GatedStep):
                return first.recur(read)
            x[...] = read
            return first.step(x)
        np.multiply(engine.embedding[which], self._scale, x)
        if self._summed is not None:
            x += self._summed[0]
        if engine.norm is not None:
            x -= x.dot(self._average)[..., None]
            norm_into(x, x)
        return first.step(x)

    def logits(self, h: Array) -> Array:
        """What the head makes of (B, D), (B, V), valid until it is asked again."""
        with np.errstate(**QUIET):
            np.multiply(h.reshape(self._scaled.shape), self._sharpness, self._scaled)
            if self._streams == 1:
                np.dot(self._engine.head, self._scaled, self._logits)
            else:
                np.dot(self._scaled, self._engine.head.T, self._logits)
            self._logits += self._bias
        return self._logits.reshape(self._streams, -1)
