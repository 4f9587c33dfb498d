"""One prompt at several temperatures, by the same random numbers.

Every column draws by the same stream of uniform numbers, each put through the inverse of the cumulative distribution
over candidates in order of falling probability (common random numbers; Glasserman and Yao 1992). So two temperatures
write the same text until one of them decides otherwise, and where they part is what temperature did.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from charrnn.config import SamplingConfig
from charrnn.generation import Piece, with_seed
from charrnn.model import LanguageModel


@dataclass(eq=False)
class Column:
    """What was written at one temperature."""

    sampling: SamplingConfig
    """With its seed."""
    length: int
    """Characters at most; of a token that goes beyond, the rest is left out."""
    known: Collection[str] | None = None
    """The runs of two characters of the training text, where it is at hand."""
    text: str = ""
    bits: float = 0.0
    """Of all its tokens, under the model that wrote it, at temperature 1 and unfiltered."""
    entropies: list[float] = field(default_factory=list)
    """Bits of what each token was drawn from."""

    def add(self, piece: Piece) -> None:
        """It grows by a piece."""
        self.write(piece.text, piece.surprise, piece.entropy)

    def write(self, text: str, bits: float, entropy: float) -> None:
        """It grows."""
        self.text += text[: self.length - len(self.text)]
        self.bits += bits
        self.entropies.append(entropy)

    @property
    def entropy(self) -> float:
        """Mean bits of what a token was drawn from."""
        return sum(self.entropies) / len(self.entropies) if self.entropies else math.nan

    @property
    def surprise(self) -> float:
        """Bits per character of the text under the model that wrote it."""
        return self.bits / len(self.text) if self.text else math.nan

    def distinct(self, n: int) -> float:
        """Different runs of n characters / runs of n characters (Li et al. 2016)."""
        return distinct(self.text, n)

    @property
    def repeated(self) -> int:
        """Characters of the longest run that stands in the text twice."""
        return longest_repeated(self.text)

    @property
    def seen(self) -> float | None:
        """Share of its runs of two characters that stand in the training text; None where that is not at hand."""
        runs = _runs(self.text, 2)
        if self.known is None or not runs:
            return None
        return sum(run in self.known for run in runs) / len(runs)


def _runs(text: str, n: int) -> list[str]:
    return [text[i : i + n] for i in range(len(text) - n + 1)]


def distinct(text: str, n: int) -> float:
    """Different runs of n characters / runs of n characters; NaN where there is none."""
    runs = _runs(text, n)
    return len(set(runs)) / len(runs) if runs else math.nan


def longest_repeated(text: str) -> int:
    """Characters of the longest run that begins at two places; they may overlap.

    A run of n that is repeated holds one of n − 1 that is, so the length is found by bisection.
    """
    low, high = 0, max(0, len(text) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        runs = _runs(text, middle)
        low, high = (middle, high) if len(set(runs)) < len(runs) else (low, middle - 1)
    return low


def divergence(text: str, other: str) -> int | None:
    """The first character in which two texts part; None where one begins with the other."""
    pairs = zip(text, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), None)


def sweep(
    model: LanguageModel,
    prompt: str,
    temperatures: Sequence[float],
    sampling: SamplingConfig,
    length: int,
    known: Collection[str] | None = None,
    *,
    ask: bool = False,
) -> list[Column]:
    """Continue the prompt, or answer it, by so many characters at each temperature, from the same place and the same
    seed: see `ChatSession.sweep`. `known` are the `training_pairs`, which take a second and are the same for every
    sweep of a model."""
    sampling, _ = with_seed(sampling)
    session = model.chat(sampling)
    session.mode = "chat" if ask else "continue"
    columns = [Column(replace(sampling, temperature=temperature), length, known) for temperature in temperatures]
    for number, piece in session.sweep(prompt, temperatures, length):
        columns[number].add(piece)
    return columns


def training_pairs(model: LanguageModel) -> Collection[str] | None:
    """Every run of two characters of the training text, if the model has it beside it as its memory."""
    if not model.has_memory or model.memory is None:
        return None
    tokens = model.memory.ngrams.tokens
    found: set[str] = set()
    before = ""
    for start in range(0, len(tokens), 1 << 16):
        text = before + model.tokenizer.decode(tokens[start : start + (1 << 16)].tolist())
        found.update(map("".join, itertools.pairwise(text)))
        before = text[-1:]
    return found
