"""What follows from the text and the budget, where nothing else was asked for: the shape of the network, and dropout.

The figures behind the numbers are in tests/bench/README.md.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from charrnn.config import Architecture, ModelConfig, TrainingConfig


class Shape(NamedTuple):
    """Layers, width, and units of the gated layer."""

    layers: int
    width: int
    feedforward: int


SHAPES = {"mingru": Shape(2, 256, 512)}
OTHER_SHAPE = Shape(1, 256, 768)
SMALL, SMALL_TEXT = Shape(2, 128, 256), 30_000  # tokens
# Of a mingru that minutes would leave with few steps: a narrower one learns less from a step and makes more of them.
FEW_STEPS, NARROWER = 900, 192
BATCH, SMALL_BATCH = 32, 8
# A network that reads the same again and again learns it by heart, unless it is hindered.
PASSES = (1, 4, 8, 16, 64)
DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.5)
MOST_PASSES = {"mingru": 40.0}  # then it only unlearns; others need more, and keep their best
DIALOGUE_DROPOUT = 0.05  # answers are to be learned by heart
DECAY = {"mingru": 0.5}
OTHER_DECAY = 0.01


def shaped(config: TrainingConfig, tokens: int, steps: float = math.inf) -> TrainingConfig:
    """The settings with a shape, its decay and a batch, for so many tokens of text to train on, and as many steps as
    the minutes have for the shape that is chosen where they are many."""
    small = tokens < SMALL_TEXT and config.cell == "mingru"
    shape = SMALL if small else SHAPES.get(config.cell, OTHER_SHAPE)
    hurried = steps < FEW_STEPS and config.cell == "mingru"
    width = config.width or (min(NARROWER, shape.width) if hurried else shape.width)
    feedforward = shape.feedforward * width // shape.width if config.feedforward < 0 else config.feedforward
    decay = DECAY.get(config.cell, OTHER_DECAY) if config.weight_decay < 0 else config.weight_decay
    layers = config.layers or shape.layers
    batch = config.batch or (SMALL_BATCH if small else BATCH)
    return replace(config, layers=layers, width=width, feedforward=feedforward, weight_decay=decay, batch=batch)


def most_passes(config: TrainingConfig) -> float:
    """How often a budget of minutes reads the text at most; it may end early."""
    return MOST_PASSES.get(config.cell, math.inf)


def architecture(config: TrainingConfig, vocabulary: int, *, dialogue: bool) -> ModelConfig:
    """The network of settings that have a shape; without dialogue there are no questions to sum up."""
    shape = {field.name: getattr(config, field.name) for field in fields(Architecture)}
    return ModelConfig(**shape | {"vocabulary": vocabulary, "summary": config.summary if dialogue else 0})


def regularised(config: TrainingConfig, passes: float, *, dialogue: bool) -> TrainingConfig:
    """The settings with a dropout, for so many passes over the text."""
    if config.dropout >= 0:
        return config
    dropout = float(np.interp(np.log(max(1.0, passes)), np.log(PASSES), DROPOUT))
    return replace(config, dropout=DIALOGUE_DROPOUT if dialogue else round(dropout, 3))
