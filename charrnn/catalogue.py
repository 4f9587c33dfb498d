"""What model folders say of themselves, without opening them: for lists. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.errors import ModelError
from charrnn.paths import CONFIG, METRICS, MODELS, named, pretrained, readable, user_models

FORMAT = 1
LARGEST_CONFIG, LARGEST_METRICS = 4 << 20, 64 << 20


@dataclass(frozen=True)
class Measured:
    """An evaluation of a run."""

    step: int
    bits: float
    """Bits per character of the held-out text, by the quick score."""
    sample: str
    """What the network wrote then."""


@dataclass(frozen=True)
class ModelEntry:
    """A model in a list."""

    path: Path
    name: str
    ships: bool
    """Whether it is the one that ships."""
    network: str
    corpus: str
    characters: int
    """Of its training text."""
    can_chat: bool
    bits: float | None
    """Of the held-out text, once it is finished."""
    bits_with_memory: float | None
    size: int
    """Bytes of its folder."""
    steps: int
    """Of its training, in all."""
    training: bool
    """Whether it is still in training, or was interrupted."""
    curve: tuple[Measured, ...]
    """Of its training."""


def read_info(path: Path) -> dict[str, Any]:
    """`config.json` of a model folder as a dictionary, its format checked. ModelError if it is not one."""
    file = (readable(path) or path) / CONFIG
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for, a device read for ever
            raise ModelError(f"{file}: no regular file")
        if file.stat().st_size > LARGEST_CONFIG:
            raise ModelError(f"{file}: too large to be a model's config")
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: not a model folder, it has no {CONFIG}; charrnn train makes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: damaged ({first_line(error)}); get the model anew or train it again") from None
    if not isinstance(record, dict) or not isinstance(record.get("model"), dict):
        raise ModelError(f"{file}: not a charrnn model's config")
    if record.get("format") != FORMAT:
        raise ModelError(
            f"{path}: the model has format {record.get('format')!r} and this version of charrnn reads {FORMAT}; "
            "use the version that made it, or train it again"
        )
    return record


def first_line(error: BaseException) -> str:
    """Of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def find_models() -> list[ModelEntry]:
    """The one that ships, then those under ./models and the user's data folder, the newest first."""
    found = [pretrained()]
    for folder in (MODELS, user_models()):
        changed: dict[Path, float] = {}
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                with contextlib.suppress(OSError):  # of one that is being saved just now, or is not ours to read
                    if whose := named(path):
                        changed[whose] = (path / CONFIG).stat().st_mtime
        found += sorted(changed, key=lambda path: -changed[path])
    return [model for path in found if (model := describe(path)) is not None]


def describe(path: Path) -> ModelEntry | None:
    """A model folder, if it is one."""
    folder = readable(path) or path
    try:
        info = read_info(path)
        model, corpus, held_out = info["model"], info["corpus"], info["held_out"]
        memory = info.get("held_out_with_memory")
        return ModelEntry(
            path=path,
            name=str(info.get("name") or path.absolute().name),
            ships=path == pretrained(),
            network=f"{model['cell']} {model['layers']} × {model['width']}",
            corpus=", ".join(map(str, corpus["sources"])),
            characters=int(corpus["train_characters"]),
            can_chat=info.get("has_dialogue") is True,
            bits=None if held_out is None else float(held_out["bits_per_character"]),
            bits_with_memory=None if memory is None else float(memory["bits_per_character"]),
            size=sum(file.stat().st_size for file in folder.iterdir()),
            steps=int(info["steps"]),
            training=info.get("status") == "training",
            curve=tuple(_measured(folder / METRICS)),
        )
    except (ModelError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError, OSError):
        return None


def _measured(file: Path) -> Iterator[Measured]:
    if not file.is_file() or file.stat().st_size > LARGEST_METRICS:
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        bits = float(record["held_out_bits_per_character"])
        if math.isfinite(bits):
            yield Measured(int(record["step"]), bits, str(record.get("sample", "")))
