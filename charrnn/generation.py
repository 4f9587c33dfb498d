"""A prompt to a stream of pieces of text, with what was chosen.

Works on one stream of one model. It knows tokens, states and sampling, and nothing of conversations or screens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from charrnn.config import SamplingConfig
from charrnn.engine import BUCKETS, Engine, Ids, State, require_numbers
from charrnn.memory import NOTHING, History, Memory, Tokens
from charrnn.numerics import Array
from charrnn.prospects import Prospects
from charrnn.question import MOST_CHARACTERS, Asked
from charrnn.sampling import sample
from charrnn.tokenizer import IncrementalDecoder, Tokenizer

READ_POSITIONS = 512  # of a prompt at once
BEGINNING = 18  # tokens of a draft: what an answer is about is said by then
LARGEST = 1e9  # of a number of a state, of one that was saved
NEW_DOCUMENT = "\n\n"  # how the document mark shows in a continuation


@dataclass(frozen=True, slots=True)
class Piece:
    """What one drawn token brought."""

    text: str
    """The characters that became whole with it; empty in the middle of a character."""
    token: int
    surprise: float
    """Bits: −log₂ of its probability at temperature 1, before any filter."""
    uniform: float
    """The random number that drew it."""
    entropy: float = math.nan
    """Bits of what it was drawn from, where that was asked for."""


class Choice(NamedTuple):
    """A token, its surprise in bits, its random number, and the entropy of what it was drawn from, where asked for."""

    token: int
    surprise: float
    uniform: float
    entropy: float


class _Step(NamedTuple):
    """A token of a draft, and where it leads."""

    choice: Choice
    state: State
    h: Array


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text, as a value of some kilobytes."""

    state: State
    """After the last token, (1, S)."""
    h: Array
    """What the head reads there, (1, D)."""
    history: Tokens
    asked: Asked
    summary: Array | None
    answered: str

    def to_bytes(self) -> bytes:
        """What `Stream.place_of` reads: of a text that is read on from here, not of a question under answer."""
        return save({"state": self.state, "h": self.h, "history": self.history.astype(np.int32)})


class Stream:
    """A place in a text: the engine's state after it, what comes next, and the recent tokens.

    `memory` may be taken away, or given back, at any moment: it has its say, or has not, from then on.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, memory: Memory | None = None) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self.memory = memory
        self._stepper = engine.stepper()
        self._history = History()
        self._asked = Asked(BUCKETS)
        self._summary: Array | None = None  # of the question that is being answered
        self._answered = ""
        self._expected: tuple[Array, Memory | None] | None = None  # logits, once asked for, and whose say they have
        self.read([tokenizer.document])

    def mark(self) -> Place:
        """This place, to come back to."""
        history = self._history.tokens().copy()
        return Place(self._stepper.state(), self._h.copy(), history, self._asked, self._summary, self._answered)

    def go_to(self, place: Place) -> None:
        """Back to a place that `mark` gave."""
        self._stand(place.state, place.h)
        self._history = History(place.history)
        self._asked, self._answered = place.asked, place.answered
        self._answer_for(place.summary)

    def place_of(self, data: bytes) -> Place | None:
        """A place that was saved; None where it is not one of this model."""
        try:
            parts = load(data)
            state, h, history = (parts[name] for name in ("state", "h", "history"))
        except (SafetensorError, KeyError):
            return None
        ours = self._stepper.state(), self._h
        for own, given in zip(ours, (state, h), strict=True):
            if given.shape != own.shape or given.dtype != own.dtype or not (np.abs(given) < LARGEST).all():
                return None
        if history.ndim != 1 or history.dtype != np.int32 or len(history) == 0:
            return None
        if history.min() < NOTHING or history.max() >= self._engine.config.vocabulary:
            return None
        return Place(state, h, history, Asked(BUCKETS), None, "")

    def _stand(self, state: State, h: Array) -> None:
        self._stepper.load(state)
        self._h, self._expected = h, None

    def _answer_for(self, summary: Array | None) -> None:
        self._summary = summary
        self._stepper.summarise(summary)

    def read(self, ids: Sequence[int]) -> None:
        """Go on past given tokens: one in place, more window by window."""
        if len(ids) == 1:
            self._h = self._stepper.step(np.asarray(ids, np.int64))
        elif len(ids):
            state = self._stepper.state()
            for start in range(0, len(ids), READ_POSITIONS):
                window = np.asarray(ids[start : start + READ_POSITIONS], np.int64)[:, None]
                h, state = self._engine.advance(window, state, self._summary)
            self._stand(state, h[-1])
        self._expected = None
        self._history.extend(ids)

    @property
    def logits(self) -> Array:
        """Of what comes next, (V), with the memory's say if there is one. Until it is asked for it costs nothing."""
        if self._expected is None or self._expected[1] is not self.memory:
            logits = self._with_memory(self._stepper.logits(self._h), [[]])
            self._expected = logits[0], self.memory
        return self._expected[0]

    def prospects(self, barred: Collection[int]) -> Prospects:
        """What may come next but what is barred; with a memory, the network's share in it, too."""
        share = None
        if self.memory is not None:
            logits = self._stepper.logits(self._h)[0]
            share = self.memory.network_share(logits, self._history.tokens(), self.logits)
        logits = _without(self.logits, np.array(sorted(barred), np.int64))
        return Prospects(logits, self._history.read(), share)

    def _with_memory(self, logits: Array, drafted: Sequence[Sequence[int]]) -> Array:
        """The network's logits (B, V), and the tokens drafted past this place → logits with the memory's say."""
        require_numbers(logits)
        if self.memory is None:
            return logits
        before = self._history.tokens()
        return self.memory.mix(logits, [np.concatenate([before, np.asarray(ids, before.dtype)]) for ids in drafted])

    def read_text(self, text: str) -> None:
        """Go on past a text."""
        self.read(self._tokenizer.encode(text))

    def recall(self, ids: Sequence[int], text: str) -> None:
        """Go on past an answer, or a continuation, that was given before: its tokens, and its text."""
        self.read(ids)
        if self._summary is not None:
            self._answered = text[:MOST_CHARACTERS]

    def ask(self, question: str) -> None:
        """Go on past a question, to where its answer begins."""
        tokenizer = self._tokenizer
        if self._answered:
            self._asked, self._answered = self._asked.answer(self._answered), ""
        self._asked = self._asked.ask(question)
        if self._engine.config.summary:  # all that the answer knows of the dialogue; a state would only lead it astray
            self._answer_for(self._engine.summary(self._asked.bag()))
            self._stepper.load(self._engine.initial_state())
            self._history.extend([*tokenizer.encode(question), NOTHING])
        else:
            self.read([tokenizer.ask, *tokenizer.encode(question)])
        self.read([tokenizer.answer])

    def generate(
        self,
        sampling: Callable[[], SamplingConfig],
        rng: np.random.Generator,
        *,
        barred: Collection[int],
        stops: Collection[int] = (),
        at_least: int = 0,
        drafts: int = 1,
        before: Sequence[int] = (),
        entropies: bool = False,
    ) -> Iterator[Piece]:
        """Draw tokens without end, or until one of `stops`, which is neither read nor shown. `barred` are never drawn,
        `stops` not among the first `at_least`. An answer begins with the best of so many `drafts`, unless some tokens
        of it were read `before`. With `entropies`, which cost a sort a token, pieces have theirs; those of a draft have
        none, as of eight draws one was kept.

        The settings are asked for before each token, so they may change in between, but not among the drafts. The
        stream stands after the last piece given, so a consumer may stop at any moment and go on from there.
        """
        decoder = self._tokenizer.decoder()
        for token in before:
            decoder.push(token)  # the last may be in the middle of a character
        bars = np.array(sorted(barred), np.int64)
        early_bars = np.union1d(bars, np.array(sorted(stops), np.int64))

        def choose(
            logits: Array, drafted: Sequence[int], drawn: int, config: SamplingConfig, *, seen: bool = False
        ) -> Choice:
            """A token, after what was read and what is only drafted."""
            logits = _without(logits, early_bars if drawn < at_least else bars)
            recent = [*self._history.read(), *drafted] if config.repetition_penalty != 1 else []
            uniform = rng.random()
            token, bits = sample(logits, recent, config, uniform)
            entropy = Prospects(logits, recent).under(config).entropy if seen else math.nan
            return Choice(token, bits, uniform, entropy)

        beginning: Sequence[_Step] = []
        if drafts > 1 and not before and self._summary is not None and (config := sampling()).temperature > 0:
            beginning = self._best_beginning(self._summary, drafts, partial(choose, config=config), stops)
        for drawn in itertools.count(len(before)):
            given = beginning[drawn] if drawn < len(beginning) else None
            choice = given.choice if given else choose(self.logits, [], drawn, sampling(), seen=entropies)
            token = choice.token
            if token in stops:
                return
            if given:
                self._stand(given.state, given.h)
                self._history.extend([token])
            else:
                self.read([token])
            text = text_of(token, self._tokenizer, decoder)
            if self._summary is not None:
                self._answered = (self._answered + text)[:MOST_CHARACTERS]
            yield Piece(text, token, choice.surprise, choice.uniform, choice.entropy)

    def _best_beginning(
        self,
        summary: Array,
        drafts: int,
        choose: Callable[[Array, Sequence[int], int], Choice],
        stops: Collection[int],
    ) -> list[_Step]:
        """Of beginnings drawn side by side, the one whose own summary is nearest to what was asked.

        What is likely after a question is not always likely only after this one: Li et al. (2016) rank answers by how
        well they tell their question. Here the summary tells it, for it has learned to draw the two together.
        """
        stepper = self._engine.stepper(drafts)
        stepper.load(np.repeat(self._stepper.state(), drafts, axis=0))
        stepper.summarise(summary)
        logits = np.repeat(self.logits[None], drafts, axis=0)
        found: list[list[_Step]] = [[] for _ in range(drafts)]
        going_on = list(range(drafts))
        for drawn in range(BEGINNING):
            chosen = {b: choose(logits[b], _tokens(found[b]), drawn) for b in going_on}
            ids = np.zeros(drafts, np.int64)
            for b, choice in chosen.items():
                ids[b] = choice.token
            h, state = stepper.step(ids).copy(), stepper.state()
            for b, choice in chosen.items():
                found[b].append(_Step(choice, state[b : b + 1], h[b : b + 1]))
            going_on = [b for b in going_on if chosen[b].token not in stops]
            if not going_on:
                break
            logits = self._with_memory(stepper.logits(h), [_tokens(steps) for steps in found])
        texts = [self._tokenizer.decode([id for id in _tokens(steps) if id not in stops]) for steps in found]
        told = [self._engine.summary(Asked(BUCKETS).ask(text).bag()) for text in texts]
        return found[int(np.argmax([vector @ summary for vector in told]))]


def _without(logits: Array, barred: Ids) -> Array:
    """A copy with −∞ for what is barred."""
    logits = logits.copy()
    logits[barred] = -np.inf
    return logits


def text_of(token: int, tokenizer: Tokenizer, decoder: IncrementalDecoder) -> str:
    """The characters that become whole with a token."""
    return NEW_DOCUMENT if token == tokenizer.document else decoder.push(token)


def _tokens(steps: Sequence[_Step]) -> list[int]:
    return [step.choice.token for step in steps]


def with_seed(config: SamplingConfig) -> tuple[SamplingConfig, int]:
    """The settings with their seed, or with a new one of at most nine digits, which a person can type again."""
    seed = config.seed if config.seed is not None else int(np.random.SeedSequence().generate_state(1)[0]) % 10**9
    return replace(config, seed=seed), seed


def text_until(texts: Iterable[str], stop: str) -> Iterator[str]:
    """The texts up to, and without, the first occurrence of `stop`; what might begin it is held back."""
    if not stop:
        yield from texts
        return
    held = ""
    for text in texts:
        held += text
        end = held.find(stop)
        if end >= 0:
            yield held[:end]
            return
        keep = next((n for n in range(min(len(stop) - 1, len(held)), 0, -1) if stop.startswith(held[-n:])), 0)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    yield held
