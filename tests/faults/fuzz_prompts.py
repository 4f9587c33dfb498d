"""Prompts of any characters under any settings, to small models and to the one that ships."""

from __future__ import annotations

import itertools
import math

from charrnn.config import SamplingConfig
from charrnn.model import LanguageModel
from charrnn.rereading import reason
from charrnn.sweep import sweep
from charrnn.tokenizer import first_characters
from tests.faults.fuzz_cases import Case, Failure, odd_text

MODELS = ("writer", "talker", "gated", "shipped")
WEIGHTS = (5, 6, 4, 1)


def prepare(case: Case) -> None:
    """The models, loaded once."""
    for name in MODELS:
        _ = case.world.model(name).memory


def run(case: Case) -> None:
    rng = case.rng
    name = rng.choices(MODELS, WEIGHTS)[0]
    model = case.world.model(name)
    long = 100_000 if rng.random() < 0.01 else 2000 if rng.random() < 0.1 else 60
    prompt = odd_text(rng, long)
    sampling = _sampling(case)
    if sampling is None:
        return
    what = rng.randrange(5)
    if what == 0:
        text = "".join(model.generate(prompt, length=6, sampling=sampling))
        if len(text) != 6:
            raise Failure(f"six characters were asked for: {text!r}")
        text.encode()
    elif what == 1:
        bits = model.bits_per_character(prompt)
        if prompt and not 0 <= bits < 1e4:
            raise Failure(f"{bits} bits per character")
    elif what == 2:
        for column in sweep(
            model, prompt, [0, 0.5, 2, rng.random() * 100], sampling, 5, ask=model.has_dialogue and case.chance(0.5)
        ):
            _ = column.entropy, column.distinct(2), column.repeated
            if not column.bits >= 0:
                raise Failure(f"{column.bits} bits")
    else:
        _talk(case, model, prompt, sampling)


def _sampling(case: Case) -> SamplingConfig | None:
    rng = case.rng

    def some(*values: float) -> float:
        return rng.choice(values)

    given = {
        "temperature": some(0, 5e-324, 1e-30, 0.3, 0.8, 1, 2, 100, 101, -1, math.nan, rng.random()),
        "top_k": int(some(0, 0, 1, 2, 50, 10**9, -1)) if rng.random() < 0.5 else 0,
        "top_p": some(1, 1, 0.5, 1e-300, 0.999999999, 0, 1.1, math.nan) if rng.random() < 0.5 else 1.0,
        "min_p": some(0, 0, 1, 0.5, 1e-300, -0.1, math.nan) if rng.random() < 0.5 else 0.0,
        "repetition_penalty": some(1, 1.2, 1e-300, 1e300, 0, math.inf, 0.5) if rng.random() < 0.5 else 1.0,
        "repetition_window": int(some(0, 1, 64, 10**9, -1)) if rng.random() < 0.5 else 64,
        "seed": int(some(0, 1, 2**63 - 1, 2**63, -1)),
    }
    config: SamplingConfig | None = case.call(SamplingConfig, **given)
    return config


def _talk(case: Case, model: LanguageModel, prompt: str, sampling: SamplingConfig) -> None:
    """A conversation with everything that the app can do in it."""
    rng = case.rng
    session = model.chat(sampling, rng.choice([1, 2, 8]))
    session.mode = rng.choice(["chat", "continue"])
    session.remembers = rng.random() < 0.3
    for _ in range(rng.randrange(1, 4)):
        what = rng.randrange(7)
        if what == 0:
            case.call(lambda: list(itertools.islice(session.say_again(), 4)))
        elif what == 1:
            case.call(session.take_back)
        elif what == 2:
            case.call(lambda: list(itertools.islice(session.sweep(prompt, [0, 1.5], 5), 9)))
        elif what == 3 and session.turns:
            number = rng.randrange(9)
            case.call(lambda n=number: list(itertools.islice(session.branch(n, rng.randrange(300)), 3)))
        else:
            pieces = case.call(lambda: list(itertools.islice(session.say(prompt), 6))) or []
            if any(not piece.surprise >= -1e-6 or not 0 <= piece.token < model.config.vocabulary for piece in pieces):
                raise Failure(f"a token that is none, or cost nothing: {pieces}")
            "".join(first_characters((piece.text for piece in pieces), 9)).encode()
        case.call(session.next)
        if session.turns and session.turns[-1].tokens:
            turn = session.turns[-1]
            seen = case.call(session.look_at, turn, rng.randrange(len(turn.tokens)))
            if seen is not None:
                why = reason(seen, turn.uniforms[seen.number])
                if not 0 <= why.probability <= 1 + 1e-9 or not why.entropy >= 0:
                    raise Failure(f"{why}")
        session.mode = rng.choice(["chat", "continue"])
