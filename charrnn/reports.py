"""What a training run reports. Imports nothing heavy, so that whoever shows it need not either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charrnn.evaluation import Scores


@dataclass(frozen=True)
class Said:
    """A line for the person who watches."""

    text: str


@dataclass(frozen=True)
class Stepped:
    """One step was made."""

    step: int
    steps: int
    epochs: float
    loss: float
    """Running mean, bits a token."""
    rate: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluated:
    """The held-out text was scored, and the run saved."""

    step: int
    bits_per_character: float
    best: float
    samples: dict[float, str]
    """What the network now writes, by temperature."""


@dataclass(frozen=True)
class Finished:
    """The run ended, and the model folder holds the weights that were kept."""

    path: Path
    scores: Scores
    best_step: int
    kept: str
    """Which weights those are: best or last."""
    seconds: float


@dataclass(frozen=True)
class Interrupted:
    """The run was stopped from outside, and saved."""

    path: Path
    step: int


Report = Said | Stepped | Evaluated | Finished | Interrupted
