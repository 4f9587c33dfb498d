"""charrnn: a Chinese text-generating chatbot in the terminal, on a recurrent network that anyone can train.

    import charrnn
    model = charrnn.load()
    for piece in model.generate("循环神经网络", length=100, temperature=0.7, seed=1):
        print(piece, end="")

Importing the package imports nothing heavy; the names below load what they need when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrnn.config import ModelConfig, SamplingConfig, TrainingConfig
    from charrnn.errors import CharRNNError, CorpusError, ModelError, TrainingError, UsageError
    from charrnn.model import LanguageModel, load

__version__ = "0.1.0"

__all__ = [
    "CharRNNError",
    "CorpusError",
    "LanguageModel",
    "ModelConfig",
    "ModelError",
    "SamplingConfig",
    "TrainingConfig",
    "TrainingError",
    "UsageError",
    "load",
]


_MODULES = {"LanguageModel": "model", "load": "model"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = _MODULES.get(name) or ("config" if name.endswith("Config") else "errors")
    return getattr(importlib.import_module(f"charrnn.{module}"), name)
