"""What the numpy forms of cells and the engine have in common: norms, the gated layer, room for steps in place."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
EPSILON = 1e-6
ONE = np.ones((), np.float32)  # an array, which numpy's calls take twice as fast as a number


def rms_normed(x: Array) -> Array:
    """x / √(mean of x² + ε) along the last axis."""
    return np.asarray(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(EPSILON)))


def room(streams: int, *shape: int) -> Array:
    """Zeros for every stream; of a single one without its axis, for numpy's calls are quicker on vectors."""
    return np.zeros(shape if streams == 1 else (*shape[:-1], streams, shape[-1]), np.float32)


def norm_into(x: Array, out: Array) -> None:
    """`rms_normed`, in place: (D) or (B, D)."""
    D = x.shape[-1]
    if x.ndim == 1:
        np.multiply(x, 1 / math.sqrt(float(x.dot(x)) / D + EPSILON), out)
    else:
        np.multiply(x, (np.einsum("bd,bd->b", x, x) / np.float32(D) + np.float32(EPSILON))[:, None] ** -0.5, out)


def product(x: Array, w: Array) -> Array:
    """x W at every position, (…, D) and (D, N) → (…, N), as one product: numpy's own takes position by position."""
    return np.asarray(x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], -1)


def gated_layer(normed: Array, w_in: Array, w_out: Array) -> Array:
    """W_out (silu(p) ⊙ q) with (p, q) = W_in normed, at every position, (…, D) → (…, D); the weights by `gated`."""
    minus_p, q = np.split(product(normed, w_in), 2, axis=-1)
    return product(minus_p * q / (np.exp(minus_p) + 1), w_out)


def gated(w_in: Array, w_out: Array, gain: Array | None = None) -> tuple[Array, Array]:
    """Weights of a gated layer (2F, D) and (D, F), and the gain of the norm before it, as `gated_layer` wants them."""
    F = w_out.shape[1]
    w = w_in if gain is None else w_in * gain
    return np.ascontiguousarray(np.concatenate([-w[:F], w[F:]]).T), np.ascontiguousarray(-w_out.T)


def centred(w: Array) -> Array:
    """Without the mean along the last axis."""
    return np.asarray(w - w.mean(axis=-1, keepdims=True))


class GatedLayerStep:
    """x ← x + gated layer (x normed), in place."""

    def __init__(self, w_in: Array, w_out: Array, streams: int) -> None:
        D, F = len(w_in), len(w_out)
        self._w_in, self._w_out = w_in, w_out
        self._normed, self._branch, self._u, self._e = (room(streams, n) for n in (D, D, 2 * F, F))
        self._minus_p, self._q = self._u[..., :F], self._u[..., F:]

    def add_to(self, x: Array) -> None:
        """x (D), or (B, D)."""
        p, e = self._minus_p, self._e
        norm_into(x, self._normed)
        np.dot(self._normed, self._w_in, self._u)
        np.exp(p, e)
        e += ONE
        p *= self._q
        p /= e
        np.dot(p, self._w_out, self._branch)
        x += self._branch
