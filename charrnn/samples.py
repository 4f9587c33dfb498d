"""What a network in training writes, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charrnn.config import ModelConfig, SamplingConfig
from charrnn.engine import Engine
from charrnn.forms import Weights
from charrnn.generation import Stream
from charrnn.tokenizer import Tokenizer

SHOWN = 0.5
TEMPERATURES = (SHOWN, 1.0)
TOKENS = 60


def draw_samples(config: ModelConfig, weights: Weights, tokenizer: Tokenizer, seed: Sequence[int]) -> dict[float, str]:
    """Texts from an empty start by their temperatures; the generator is their own, so training does not notice."""
    stream = Stream(Engine(config, weights), tokenizer)
    start = stream.mark()
    barred = tokenizer.unwritten | {tokenizer.document}
    texts = {}
    for temperature in TEMPERATURES:
        stream.go_to(start)
        sampling = SamplingConfig(temperature=temperature)
        pieces = stream.generate(lambda chosen=sampling: chosen, np.random.default_rng(seed), barred=barred)  # type: ignore[misc]
        texts[temperature] = "".join(piece.text for _, piece in zip(range(TOKENS), pieces, strict=False))
    return texts
