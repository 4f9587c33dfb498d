"""A trained model in memory: generation, its figure on a text, conversations. No torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.chat import DRAFTS, ChatSession
from charrnn.checkpoint import StoredModel, read_model
from charrnn.config import ModelConfig, SamplingConfig
from charrnn.engine import Engine
from charrnn.evaluation import Scores, TextScore, score_text
from charrnn.generation import Piece, Stream, with_seed
from charrnn.memory import Memory
from charrnn.paths import find_model
from charrnn.tokenizer import Tokenizer, first_characters


class LanguageModel:
    """A model folder, loaded: `generate`, `score`, `bits_per_character`, `chat`."""

    def __init__(self, stored: StoredModel, *, memory: bool = False) -> None:
        self.path: Path = stored.path
        self.config: ModelConfig = stored.config
        self.info: dict[str, Any] = stored.info
        self.tokenizer: Tokenizer = stored.tokenizer
        self.weights = stored.weights
        self.engine = Engine(stored.config, stored.weights)
        self._stored = stored
        self.remembers = memory and self.memory is not None
        """Whether the memory has its say where nothing else is asked for."""

    @property
    def has_memory(self) -> bool:
        """Whether an n-gram memory lies in its folder."""
        return self._stored.has_memory

    @cached_property
    def memory(self) -> Memory | None:
        """Its n-gram memory, if it has one, read when it is first asked for."""
        return self._stored.read_memory() if self.has_memory else None

    @property
    def remembered(self) -> Memory | None:
        """The memory, if it has its say."""
        return self.memory if self.remembers else None

    @property
    def name(self) -> str:
        """What to call it: its own name, or its folder's."""
        return str(self.info.get("name") or self.path.absolute().name)

    @cached_property
    def fingerprint(self) -> str:
        """Of its network and tokenizer: the same numbers and words, the same text."""
        known = {name: self.info.get(name) for name in ("model", "sha256")}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def has_dialogue(self) -> bool:
        """Whether it has read questions and answers, and so can be asked."""
        return self.info.get("has_dialogue") is True

    def stream(self) -> Stream:
        """The beginning of a document: zero state, document mark read."""
        return Stream(self.engine, self.tokenizer, self.remembered)

    def pieces(self, prompt: str = "", sampling: SamplingConfig | None = None) -> Iterator[Piece]:
        """Continue a prompt without end; each piece with what was drawn."""
        config, seed = with_seed(sampling or SamplingConfig())
        stream = self.stream()
        stream.read_text(prompt)
        yield from stream.generate(lambda: config, np.random.default_rng(seed), barred=self.tokenizer.unwritten)

    def generate(
        self, prompt: str = "", *, length: int | None = None, sampling: SamplingConfig | None = None, **settings: Any
    ) -> Iterator[str]:
        """Continue a prompt, text as it becomes whole characters: `length` characters, or without end.

        The settings are those of SamplingConfig, as an object or by name: `generate("你好", temperature=0.5, seed=1)`.
        """
        pieces = self.pieces(prompt, replace(sampling or SamplingConfig(), **settings))
        texts = (piece.text for piece in pieces if piece.text)
        return texts if length is None else first_characters(texts, length)

    def score(self, text: str) -> TextScore:
        """What the text costs under the model, from a zero state and the document mark, every character paid for."""
        return self.scores(text).whole

    def scores(self, text: str) -> Scores:
        """The same by the network alone and, if the memory has its say, with it and with the cache."""
        return score_text(self.engine, self.tokenizer, text, self.remembered)

    def bits_per_character(self, text: str) -> float:
        """Total bits of the text / its number of Unicode characters."""
        return self.score(text).bits_per_character

    def chat(self, sampling: SamplingConfig | None = None, drafts: int = DRAFTS) -> ChatSession:
        """A new conversation, whose answers begin with the best of so many drafts."""
        return ChatSession(self, sampling or SamplingConfig(), drafts)


def load(model: str | os.PathLike[str] | None = None, *, memory: bool = False) -> LanguageModel:
    """Load a model folder by path or name; with nothing, the one that ships. Raises ModelError.

    With its n-gram memory, if it has one and that is wanted.
    """
    return LanguageModel(read_model(find_model(model)), memory=memory)
