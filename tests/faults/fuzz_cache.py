"""Prepared text that was damaged in the cache: read again, or refused in one line."""

from __future__ import annotations

import json
import os
from unittest import mock

from charrnn import cache
from tests.faults.fuzz_cases import SMALL, Case, Failure, altered, as_json, spoiled


def prepare(case: Case) -> None:
    """A text to put there."""
    _ = case.world.poems


def run(case: Case) -> None:
    """Prepared text that was damaged."""
    rng = case.rng
    with mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(case.folder / "cache")}):
        words = ("train", str(case.world.poems), "--steps", "1", *SMALL, "--dry-run")
        if case.command(*words).code:
            raise Failure("a text could not be prepared")
        files = sorted(file for file in cache.folder().rglob("*") if file.is_file())
        for _ in range(rng.choice([1, 2])):
            file = rng.choice(files)
            if file.name == cache.FACTS and rng.random() < 0.7 and file.is_file():
                file.write_bytes(as_json(rng, altered(rng, json.loads(file.read_bytes() or b"{}"))))
            elif rng.random() < 0.2:
                file.unlink(missing_ok=True)
            elif file.is_file():
                file.write_bytes(rng.choice([spoiled(rng, file.read_bytes()), b"", case.world.pickle]))
        case.command("cache", *rng.choice([(), ("--json",)]))
        case.command(*words)
        case.command("cache", "--clear")
