"""Every setting of charrnn, each written once: the command line, the TOML file and the model folder derive from here.

Frozen dataclasses of the standard library. Impossible combinations are refused where they are made.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from charrnn.errors import UsageError

TOKEN, LEAST_TOKEN = "CHARRNN_TOKEN", 16  # where it may stand, and its characters
MOST_RECENT = 2048  # tokens that are kept of a text


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


@cache
def _kinds(settings: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """Of each setting the words that it may be, or the types."""
    hints = get_type_hints(settings)
    found = [(field.name, get_args(hints[field.name]) or (hints[field.name],)) for field in fields(settings)]
    return [(name, (*kinds, int) if float in kinds else kinds) for name, kinds in found]


def require_kinds(settings: Any) -> None:
    """Settings are also read from files that others made, where anything may stand."""
    kind: Any = type(settings)
    for name, kinds in _kinds(kind):
        value = getattr(settings, name)
        if type(value) not in kinds and value not in kinds:  # the second is for words
            numbers = {int: Integral, float: Real}.get(kinds[0])  # numpy's, too
            fits = numbers is not None and isinstance(value, numbers) and not isinstance(value, bool)
            _require(fits, f"{name.replace('_', '-')} cannot be {str(value)[:40]!r}")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of the network, whatever its vocabulary."""

    cell: str = "mingru"
    """The recurrence: mingru, whose positions are computed together, or gru, lstm, rnn."""
    layers: int = 1
    """Recurrent layers, one above the other."""
    width: int = 256
    """Length of a token's embedding and of a layer's hidden state."""
    feedforward: int = 768
    """Units of the gated layer of every block, or between recurrence and head; 0 is none."""
    tied: bool = True
    """Use the embedding matrix as the head's weights, too."""
    summary: int = 128
    """Length of the vector in which a question reaches its answer, where there is dialogue; 0 is none."""

    @property
    def blocks(self) -> bool:
        """Whether the cell is a block that adds to what it reads, its gated layer within it."""
        return self.cell == "mingru"

    @property
    def description(self) -> str:
        """For people: "gru, 1 layer of 384"."""
        return f"{self.cell}, {self.layers} layer{'s' if self.layers > 1 else ''} of {self.width}"

    least: ClassVar[int] = 1
    """The least of layers and width."""

    def __post_init__(self) -> None:
        require_kinds(self)
        least = self.least
        _require(least <= self.layers <= 64, f"layers must be between {least} and 64, not {self.layers}")
        _require(least <= self.width <= 16384, f"width must be between {least} and 16384, not {self.width}")
        _require(
            least - 1 <= self.feedforward <= 65536,
            f"feedforward must be between {least - 1} and 65536, not {self.feedforward}",
        )
        _require(0 <= self.summary <= 4096, f"summary must be between 0 and 4096, not {self.summary}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Architecture):
    """A network whole: its shape and its vocabulary."""

    vocabulary: int
    """Number of tokens V, special ones included."""
    feedforward: int = 0
    """Units of the gated layer between recurrence and head; 0: it has none."""
    summary: int = 0
    """Length of the vector in which a question reaches its answer; 0: it has none."""
    sharpness: float = 1.0
    """What logits are multiplied by: below 1 where a network is surer of itself than text it never read warrants."""
    dialogue_sharpness: float = 0.0
    """The same where dialogue is scored, of which a network that has its answers by heart is surer yet, and which it
    has not read; 0: the same."""

    def sharpness_of(self, *, dialogue: bool) -> float:
        """What logits are multiplied by where text is scored, in questions and answers or elsewhere."""
        return self.dialogue_sharpness if dialogue and self.dialogue_sharpness else self.sharpness

    @property
    def hidden(self) -> int:
        """Hidden units of a layer: half as many again in a block, which costs no more than the width of its stream."""
        return self.width * 3 // 2 if self.blocks else self.width

    @property
    def input_scale(self) -> float:
        """What an embedding is multiplied by: √D where its matrix is the head's too, whose rows have a length near 1/2
        (Vaswani et al. 2017, section 3.4), so that inputs begin alike either way."""
        return math.sqrt(self.width) if self.tied else 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 < self.sharpness < 100, f"sharpness must be above 0, not {self.sharpness}")
        other = self.dialogue_sharpness
        _require(0 <= other < 100, f"dialogue-sharpness must be 0 or more, not {other}")
        _require(2 <= self.vocabulary <= 2**20, f"vocabulary must be between 2 and {2**20}, not {self.vocabulary}")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How the next token is chosen from the network's distribution.

    The filters come first and the temperature last, as in llama.cpp, so that the candidates do not depend on it.
    """

    temperature: float = 0.8
    """0 is greedy: always the likeliest token."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the fewest likeliest tokens whose probabilities sum to at least p (Holtzman et al. 2020); 1 keeps all."""
    min_p: float = 0.0
    """Keep tokens at least p times as likely as the likeliest (Nguyen et al. 2024); 0 keeps all."""
    repetition_penalty: float = 1.0
    """Divide (or, below zero, multiply) the logits of recent tokens by it (Keskar et al. 2019); 1 is off."""
    repetition_window: int = 64
    """How many of the last tokens count as recent."""
    seed: int | None = None
    """Same seed, same text, on the same machine and version; none draws a new one."""

    def __post_init__(self) -> None:
        require_kinds(self)
        _require(0 <= self.temperature <= 100, f"temperature must be between 0 and 100, not {self.temperature}")
        _require(self.top_k >= 0, f"top-k must be 0 (off) or more, not {self.top_k}")
        _require(0 < self.top_p <= 1, f"top-p must be above 0 and at most 1, not {self.top_p}")
        _require(0 <= self.min_p <= 1, f"min-p must be between 0 and 1, not {self.min_p}")
        _require(
            0.001 <= self.repetition_penalty <= 1000,
            f"repetition-penalty must be between 0.001 and 1000, not {self.repetition_penalty}",
        )
        _require(
            0 <= self.repetition_window <= MOST_RECENT,
            f"repetition-window must be between 0 and {MOST_RECENT}, not {self.repetition_window}",
        )
        _require(self.seed is None or 0 <= self.seed < 2**63, f"seed must be between 0 and 2^63 - 1, not {self.seed}")


@dataclass(frozen=True, kw_only=True)
class WebConfig:
    """The app in browsers: where it listens, and for whom."""

    host: str = "127.0.0.1"
    """The address to listen on; anything but this machine's own needs a token."""
    port: int = 8000
    """0 takes any that is free."""
    token: str = field(default_factory=lambda: os.environ.get(TOKEN, ""))
    """What a visitor must know; better in the environment variable CHARRNN_TOKEN, as others see a command line."""
    visitors: int = 8
    """How many at once, each in a process of 90 MB."""
    idle: float = 15.0
    """Minutes without a key after which a visit ends."""

    def __post_init__(self) -> None:
        require_kinds(self)
        _require(bool(self.host), "host must be an address or a name")
        _require(0 <= self.port <= 65535, f"port must be between 0 and 65535, not {self.port}")
        _require(1 <= self.visitors <= 1000, f"visitors must be between 1 and 1000, not {self.visitors}")
        _require(0 < self.idle <= 100_000, f"idle must be above 0 minutes, not {self.idle}")
        long = len(self.token) >= LEAST_TOKEN and self.token.isascii() and self.token.isalnum()
        _require(not self.token or long, f"token must be {LEAST_TOKEN} letters and digits or more")
        _require(
            bool(self.token) or self.loopback,
            f"whoever reaches {self.host} could come in: give a token of {LEAST_TOKEN} letters and digits or more in "
            f"{TOKEN} (python -c 'import secrets; print(secrets.token_hex())' makes one)",
        )

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches what listens there."""
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Architecture):
    """A training run: what is learned, for how long and how. What is to be chosen, `recipe` chooses."""

    least: ClassVar[int] = 0
    layers: int = 0
    """Recurrent layers, one above the other; 0 chooses."""
    width: int = 0
    """Length of a token's embedding and of a layer's output; 0 chooses it from the length of the text."""
    feedforward: int = -1
    """Units of the gated layer of every block, or between recurrence and head; 0 is none, -1 chooses."""
    tokenizer: Literal["auto", "char", "subword"] = "auto"
    """Read characters, or SentencePiece's unigram subwords; auto is subwords where there is text enough for them
    and they are long enough to pay."""
    vocabulary: int = 0
    """Size of the vocabulary; 0 chooses it from the corpus."""
    errors: Literal["strict", "replace"] = "strict"
    """What to do with bytes that are no text: stop and say where, or put U+FFFD in their place."""

    minutes: float = 5.0
    """The whole run, from reading to the last evaluation; ignored when steps or epochs are given."""
    steps: int = 0
    """Stop after this many steps; 0 leaves it to epochs or minutes."""
    epochs: float = 0.0
    """Stop after this many passes over the training text; 0 leaves it to steps or minutes."""

    batch: int = 0
    """Streams B: rows of the batch, each carrying its state from window to window; 0 chooses."""
    window: int = 64
    """Positions T of a window: the length of truncated back-propagation."""
    prose: float = 0.2
    """Share of the text outside dialogue that an epoch reads, another in every epoch, where there is dialogue."""
    split: float = 0.1
    """Share of the subwords that are read as two shorter ones after the first pass over a text without dialogue."""
    dropout: float = -1
    """Share of a layer's outputs dropped in training; -1 chooses it by how often the text is read."""
    forget: float = 0.65
    """Share of a question's runs of characters that its summary goes without in training."""
    contrast: int = 800
    """Steps in which the summary first learns which questions are alike; 0: never apart from the answers."""
    candidates: int = 2048
    """Tokens of the vocabulary that a target is weighed against in a step of training; 0: all, always."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW (Loshchilov and Hutter 2019), or plain gradient descent, θ ← θ − α∇L."""
    learning_rate: float = 0.0
    """The highest rate α; 0 takes the optimiser's own default."""
    weight_decay: float = -1
    """AdamW's decay of the matrices between layers; -1 chooses it by the cell."""
    warmup: float = 0.02
    """Share of the steps in which the rate rises from zero."""
    decay: float = 0.6
    """Share of the steps, at the end, in which the rate falls in a line to zero."""
    clip: float = 1.0
    """Longest gradient: a longer one is shortened to it (Pascanu et al. 2013); 0 is off."""
    initialisation: Literal["charrnn", "torch"] = "charrnn"
    """How weights begin: ours, or as torch's own layers do, for comparison."""

    aside: int = 20_000
    """Tokens of the training text, at most, that are set aside to learn how sure the finished network may be, and how
    much its memory is to be trusted; 0 is none, and then there is no memory."""
    memory: bool = True
    """Keep the training text beside the network, as an n-gram model."""
    keep: Literal["auto", "best", "last"] = "auto"
    """The finished model's weights: those of the best held-out score, or the last, which have learned most by heart.

    auto is the last where there is dialogue, for answers are learned by heart, and the best elsewhere."""
    patience: int = 0
    """Stop after this many evaluations without a better held-out score; 0 only says so."""
    seed: int = 0
    """Of the weights, the dropout and the order of documents."""
    threads: int = 0
    """Processor threads; 0 takes what torch takes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is cuda where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the matrix products; auto is bf16 where the processor is fast at it."""
    store: Literal["float16", "float32", "int8"] = "float16"
    """Number format of the finished model's weights; int8 is that of matrices, each row with a scale of its own."""

    def kept(self, *, dialogue: bool) -> Literal["best", "last"]:
        """Which weights the finished model has."""
        if self.keep == "auto":
            return "last" if dialogue else "best"
        return self.keep

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            0 <= self.vocabulary <= 2**20,
            f"vocabulary must be between 0 (chosen from the corpus) and {2**20}, not {self.vocabulary}",
        )
        _require(0 < self.minutes <= 1e6, f"minutes must be above 0, not {self.minutes}")
        _require(0 <= self.steps <= 10**12, f"steps must be 0 (off) or more, not {self.steps}")
        _require(0 <= self.epochs <= 1e9, f"epochs must be 0 (off) or more, not {self.epochs}")
        _require(not (self.steps and self.epochs), "give steps or epochs, not both")
        _require(0 <= self.batch <= 65536, f"batch must be between 0 (chosen) and 65536, not {self.batch}")
        _require(1 <= self.window <= 65536, f"window must be between 1 and 65536, not {self.window}")
        _require(0.001 <= self.prose <= 1, f"prose must be between 0.001 and 1, not {self.prose}")
        _require(
            self.dropout == -1 or 0 <= self.dropout < 1,
            f"dropout must be -1 (chosen), or at least 0 and below 1, not {self.dropout}",
        )
        _require(0 <= self.split <= 1, f"split must be between 0 and 1, not {self.split}")
        _require(0 <= self.forget < 1, f"forget must be at least 0 and below 1, not {self.forget}")
        _require(0 <= self.contrast < 10**6, f"contrast must be 0 (off) or more, not {self.contrast}")
        _require(0 <= self.candidates <= 2**20, f"candidates must be 0 (all) or more, not {self.candidates}")
        _require(
            self.learning_rate >= 0 and math.isfinite(self.learning_rate),
            f"learning-rate must be 0 (default) or more, not {self.learning_rate}",
        )
        _require(
            self.weight_decay == -1 or 0 <= self.weight_decay < 10,
            f"weight-decay must be -1 (chosen), or between 0 and 10, not {self.weight_decay}",
        )
        _require(0 <= self.warmup < 1, f"warmup must be at least 0 and below 1, not {self.warmup}")
        _require(0 <= self.decay <= 1, f"decay must be between 0 and 1, not {self.decay}")
        _require(self.clip >= 0, f"clip must be 0 (off) or more, not {self.clip}")
        _require(0 <= self.aside <= 10**12, f"aside must be 0 (none) or more, not {self.aside}")
        _require(0 <= self.patience <= 10**12, f"patience must be 0 (off) or more, not {self.patience}")
        _require(0 <= self.seed < 2**63, f"seed must be between 0 and 2^63 - 1, not {self.seed}")
        _require(0 <= self.threads <= 1024, f"threads must be between 0 (automatic) and 1024, not {self.threads}")


RANKS, RESTARTS = "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"
"""What torchrun puts into the environment of a process: how many there are, and how often they were started again."""

TEMPERATURES = "0,0.3,0.6,0.8,1,1.4,2"


def read_temperatures(words: str) -> list[float]:
    """Numbers with commas between, also wide ones. UsageError if they are none, or out of range."""
    try:
        numbers = [float(word) for word in words.replace("，", ",").split(",")]
    except ValueError:
        raise UsageError(
            f"temperatures are numbers with commas between, such as {TEMPERATURES}, not {words!r}"
        ) from None
    for number in numbers:
        SamplingConfig(temperature=number)  # refuses what is none
    return numbers
