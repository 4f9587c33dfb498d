"""A few of the cases of `tests/faults/fuzz.py`, which runs ten thousand: see there."""

from __future__ import annotations

import pytest

from tests.faults import fuzz_commands, fuzz_corpora
from tests.faults.fuzz import one, prepare
from tests.faults.fuzz_cases import World

COUNTS = {"corpora": 40, "folders": 15, "history": 6, "settings": 30, "prompts": 40, "commands": 20}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("part", COUNTS)
def test_what_nobody_would_feed_it_is_refused_or_works(part, world, monkeypatch):
    """Those that are quick: one small model stands for all, and nothing is trained."""
    for name in ("writer", "gated", "unfinished", "shipped"):
        monkeypatch.setattr(World, name, World.talker)
    monkeypatch.setattr(fuzz_corpora, "TRAINED", 0)
    weights = zip(fuzz_commands.COMMANDS, fuzz_commands.WEIGHTS, strict=True)
    monkeypatch.setattr(
        fuzz_commands, "WEIGHTS", [weight * (name not in ("train", "bench")) for name, weight in weights]
    )
    monkeypatch.setattr(fuzz_commands, "PROCESSES", 10**9)
    prepare(world, part)
    first = 100 if part == "corpora" else 0  # those before are large
    results = {one(world, part, number, "test") for number in range(first, first + COUNTS[part])}
    assert results <= {"accepted", "refused"}
