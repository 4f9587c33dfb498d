"""Bits per character: what a text costs under a model.

Total bits of the text / number of Unicode characters in it, whatever the tokenizer: each document opened by the
document mark from a zero state, the state carried to its end, every character paid for, rare ones through their
bytes. The end of a document is not a character and is not counted; a speaker's mark is counted as bits, but where
the network has a summary: there each turn is scored from a zero state and its mark, as it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charrnn.corpus import Document
from charrnn.engine import BUCKETS, Engine, Ids, require_numbers
from charrnn.errors import CorpusError
from charrnn.memory import CACHED, History, Memory
from charrnn.numerics import Array
from charrnn.question import Asked
from charrnn.tokenizer import Tokenizer

POSITIONS = 128  # scored at once


@dataclass(frozen=True)
class TextScore:
    """Bits, and what they are divided by. Scores add."""

    bits: float = 0.0
    tokens: int = 0
    characters: int = 0
    utf8_bytes: int = 0

    def __add__(self, other: TextScore) -> TextScore:
        return TextScore(
            self.bits + other.bits,
            self.tokens + other.tokens,
            self.characters + other.characters,
            self.utf8_bytes + other.utf8_bytes,
        )

    @property
    def bits_per_character(self) -> float:
        """The one figure in which a character model, a subword model and a compressor compare."""
        return self.bits / self.characters if self.characters else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Bits / bytes of the text in UTF-8."""
        return self.bits / self.utf8_bytes if self.utf8_bytes else math.nan

    @property
    def perplexity(self) -> float:
        """2^(bits / tokens); infinity, where a broken model gives a figure beyond all numbers."""
        bits = self.bits / self.tokens if self.tokens else math.nan
        return float(2**bits) if bits < 1000 else bits * math.inf


@dataclass(frozen=True)
class Scores:
    """A text's score by the network alone, and with the memory beside it where there is one."""

    alone: TextScore
    with_memory: TextScore | None = None
    with_cache: TextScore | None = None
    """With the memory of the text that is being scored, too, which grows while it is read."""

    @classmethod
    def of(cls, bits: Iterable[float], *counts: int) -> Scores:
        """The bits of each kind, and the tokens, characters and bytes of them all."""
        return cls(*(TextScore(float(some), *counts) for some in bits))

    def __add__(self, other: Scores) -> Scores:
        sums = [a + b for a, b in zip(self.all, other.all, strict=True)]
        return Scores(*sums)

    @property
    def all(self) -> list[TextScore]:
        """Those that there are, one for a model without a memory, three for one with it."""
        return [score for score in (self.alone, self.with_memory, self.with_cache) if score is not None]

    @property
    def whole(self) -> TextScore:
        """That of the finished model as it stands, which does not learn from what it is scored on."""
        return self.with_memory or self.alone


def token_bits(logits: Array, targets: Ids) -> float:
    """Σ −log₂ softmax(logits)[target]: logits (N, V), targets (N,)."""
    top = logits.max(axis=1, keepdims=True)
    total = np.exp(logits - top).sum(axis=1, dtype=np.float64)
    chosen = np.take_along_axis(logits, targets[:, None], axis=1)[:, 0].astype(np.float64)
    return float((np.log(total) + top[:, 0] - chosen).sum() / math.log(2))


def no_bits(memory: Memory | None) -> npt.NDArray[np.float64]:
    """Zeros to add bits to: of the network alone; with a memory also with it, and with the cache."""
    return np.zeros(3 if memory else 1)


class _Scorer:
    """A document, or a turn, as it is read from its mark on: the state after what was scored."""

    def __init__(
        self,
        engine: Engine,
        memory: Memory | None,
        mark: int,
        summary: Array | None = None,
        scored: Callable[[int], None] = lambda more: None,
        *,
        dialogue: bool = False,
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._history = History()
        self._state = engine.initial_state(1)
        self._last = mark
        self._summary = summary
        self._dialogue = dialogue
        self._scored = scored

    def add(self, ids: list[int]) -> npt.NDArray[np.float64]:
        """The bits of the next tokens, as `no_bits` has them."""
        targets = np.asarray(ids, np.int64)
        inputs = np.concatenate([[self._last], targets[:-1]]).astype(np.int64) if ids else targets
        bits = no_bits(self._memory)
        before = len(self._history.tokens())
        read = np.concatenate([self._history.tokens(), inputs])
        for start in range(0, len(targets), POSITIONS):
            window = slice(start, start + POSITIONS)
            h, self._state = self._engine.advance(inputs[window, None], self._state, self._summary)
            logits = self._engine.logits(h[:, 0], dialogue=self._dialogue)
            require_numbers(logits)
            if self._memory is None:
                bits += token_bits(logits, targets[window])
            else:
                first = before + start + 1
                histories = [read[max(0, end - CACHED) : end] for end in range(first, first + len(logits))]
                bits += self._memory.bits(logits, histories, targets[window])
            self._scored(len(logits))
        self._history.extend(inputs)
        if ids:
            self._last = ids[-1]
        return bits


def score_text(engine: Engine, tokenizer: Tokenizer, text: str, memory: Memory | None = None) -> Scores:
    """What one text costs as a document of its own."""
    ids = tokenizer.encode(text)
    bits = _Scorer(engine, memory, tokenizer.document).add(ids)
    return Scores.of(bits, len(ids), len(text), len(text.encode("utf-8", "replace")))


def score_documents(
    engine: Engine,
    tokenizer: Tokenizer,
    documents: Iterable[Document],
    memory: Memory | None = None,
    scored: Callable[[int], None] = lambda more: None,
) -> Scores:
    """What documents cost, each from a zero state, read piece by piece; `scored` is told of more tokens that are.

    CorpusError if there is no text.
    """
    total = Scores.of(no_bits(memory))
    marks = {"ask": tokenizer.ask, "answer": tokenizer.answer}
    for document in documents:
        asked = Asked(BUCKETS)
        for number, part in enumerate(document.parts):
            ids = tokenizer.encode(part.text)
            speaks = part.role in marks
            if number == 0:
                scorer = _Scorer(engine, memory, tokenizer.document, scored=scored, dialogue=speaks)
            if speaks:
                answers = part.role == "answer"
                if number and engine.config.summary:
                    summary = engine.summary(asked.bag()) if answers else None
                    scorer = _Scorer(engine, memory, marks[part.role], summary, scored, dialogue=True)
                else:
                    ids = [marks[part.role], *ids]
                asked = asked.answer(part.text) if answers else asked.ask(part.text)
            total += Scores.of(scorer.add(ids), len(ids), len(part.text), len(part.text.encode()))
    if not total.alone.characters:
        raise CorpusError("there is no text to score")
    return total
