"""What a model says of itself: the record in `config.json` and the model card for people."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from charrnn.config import ModelConfig, TrainingConfig

if TYPE_CHECKING:
    from charrnn.dataset import Dataset
    from charrnn.evaluation import Scores, TextScore
    from charrnn.planning import Plan
    from charrnn.training_state import Progress


MEMORY_NOTE = """
`memory.safetensors` holds the text it was trained on, as tokens that anyone can read: take the file out before you pass
on a model of a private text. Without it the model is the network alone."""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("charrnn", "torch", "numpy", "sentencepiece"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def model_info(
    config: TrainingConfig,
    asked: TrainingConfig,
    dataset: Dataset,
    progress: Progress,
    plan: Plan,
    name: str,
    parent: str | None,
    scores: Scores | None,
) -> dict[str, Any]:
    """The part of `config.json` that is not architecture."""
    return {
        "name": name,
        "status": "finished" if scores else "training",
        "tokenizer": dataset.tokenizer.kind,
        "has_dialogue": dataset.has_dialogue,
        "training": asdict(config),
        "asked": asdict(asked),
        "init_from": parent,
        "corpus": asdict(dataset.facts),
        "steps": plan.steps,
        "best_step": progress.best_step,
        "held_out": _figures(scores.alone if scores else None),
        "held_out_with_memory": _figures(scores.with_memory if scores else None),
        "held_out_with_cache": _figures(scores.with_cache if scores else None),
        "held_out_quick": progress.best,
        "versions": _versions(),
    }


def _figures(score: TextScore | None) -> dict[str, float] | None:
    if score is None:
        return None
    return {
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
        "characters": score.characters,
    }


def _said(figures: Mapping[str, float] | None) -> str:
    if not figures:
        return ""
    return (
        f"{figures['bits_per_character']:.4f} bits per character ({figures['bits_per_byte']:.4f} per byte) "
        f"on {figures['characters']:,} characters"
    )


def _command(info: Mapping[str, Any]) -> str:
    """The command that trained it: what was asked for and differs from the defaults."""
    settings, defaults = info.get("asked", info["training"]), asdict(TrainingConfig())
    words = ["charrnn train", *map(shlex.quote, info["corpus"]["sources"])]
    words += [f"--valid {shlex.quote(source)}" for source in info["corpus"]["valid_sources"]]
    if parent := info.get("init_from"):
        words.append(f"--init-from {shlex.quote(parent)}")
    for key, value in settings.items():
        if value != defaults[key]:
            option = key.replace("_", "-")
            words.append(("--" if value else "--no-") + option if isinstance(value, bool) else f"--{option} {value}")
    return " ".join(words)


def card_rows(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What there is to know of a model, as names and values. `info` is its `config.json`."""
    model, corpus = info["model"], info["corpus"]
    kept = TrainingConfig(**info["training"]).kept(dialogue=info["has_dialogue"])
    memory = _said(info.get("held_out_with_memory"))
    return [
        ("network", ModelConfig(**model).description),
        ("vocabulary", f"{model['vocabulary']} ({info['tokenizer']})"),
        ("trained on", f"{corpus['train_characters']:,} characters of {', '.join(corpus['sources'])}"),
        ("corpus sha256", corpus["sha256"]),
        ("held out", f"{corpus['valid_characters']:,} characters: {corpus['split']}"),
        ("held-out figure", _said(info["held_out"]) or "in training"),
        ("with its memory", memory or ("it has none" if info["held_out"] else "in training")),
        *([("and its cache", _said(info.get("held_out_with_cache")))] if memory else []),
        ("dialogue", "yes" if info["has_dialogue"] else "no: it continues text and cannot be asked"),
        ("steps", f"{info['steps']:,}, best at {info['best_step']:,}; the {kept} are kept"),
        ("command", f"`{_command(info)}`"),
        ("made with", ", ".join(f"{k} {v}" for k, v in info["versions"].items())),
    ]


def model_card(info: Mapping[str, Any]) -> str:
    """README.md of a model folder."""
    note = MEMORY_NOTE if info.get("held_out_with_memory") else ""
    table = "\n".join(f"| {name} | {value} |" for name, value in card_rows(info))
    return f"""# {info["name"]}

A recurrent language model made with charrnn. It writes what resembles the text it read; it knows nothing else, and what
it says is often wrong.

| | |
|---|---|
{table}

The figures are total bits / Unicode characters, each document from a zero state, every character paid for.{note}
Talk to it with `charrnn chat -m {info["name"]}`.
"""
