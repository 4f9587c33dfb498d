"""All that an exact resume needs, as two files without pickle: tensors, and everything else in JSON.

Loaded tensors are copied into memory that torch itself allocated: kernels may round differently on memory of another
alignment, and a resumed run must not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from torch import Tensor

from charrnn.cells import State
from charrnn.checkpoint import STATE_TENSORS
from charrnn.config import TrainingConfig, require_kinds
from charrnn.errors import CharRNNError, TrainingError
from charrnn.forms import Weights
from charrnn.network import Network
from charrnn.paths import METRICS, STATE, readable
from charrnn.plain import one_line
from charrnn.planning import Plan
from charrnn.ranks import Ranks

MOST = sys.maxsize  # of any number
KEPT = ("step", "exp_avg", "exp_avg_sq")  # by AdamW, of each parameter
DAMAGED = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What is raised by a state that is none, beside what readers raise who know it."""


@dataclass
class Progress:
    """Where a run stands: everything that changes and is not a tensor."""

    step: int = 0
    epoch: int = 0
    index: int = 0
    """The next window of the epoch."""
    rate_scale: float = 1.0
    """Halved each time the run had to go back."""
    setbacks: int = 0
    loss: float | None = None
    """Running mean of the training loss, bits a token."""
    best: float | None = None
    """The best quick score so far, bits a character."""
    best_step: int = 0
    worse: int = 0
    """Evaluations since the best."""
    seconds: float = 0.0
    """Time spent, over all sittings."""


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A copy on the CPU."""
    return tensor.detach().cpu().contiguous().numpy().copy()


def weights_of(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    """The network's weights by the names of a model folder; a tied head is stored once."""
    return {n: to_numpy(p) for n, p in network.named_parameters()}


@torch.no_grad()
def put_weights(network: Network, weights: Weights) -> None:
    """Copy stored weights into the network's own tensors; a summary begins anew where the stored model has none."""
    for name, parameter in network.named_parameters():
        if name in weights or not name.startswith("summary."):
            parameter.copy_(torch.from_numpy(weights[name]))


def capture(network: Network, optimizer: torch.optim.Optimizer, state: list[State], ranks: Ranks) -> bytes:
    """Weights, optimiser, the carried state and random generators of all ranks as one safetensors file."""
    tensors = {f"weights.{name}": array for name, array in weights_of(network).items()}
    for i, entry in optimizer.state_dict()["state"].items():
        for key, value in entry.items():
            if value is not None:
                tensors[f"optimizer.{i}.{key}"] = to_numpy(torch.as_tensor(value))
    for layer, parts in enumerate(state):
        for part, value in enumerate(parts):
            tensors[f"state.{layer}.{part}"] = to_numpy(ranks.gather(value))
    for name, generator in _generators().items():
        tensors[f"random.{name}"] = to_numpy(ranks.gather(generator[None].to(network.head.bias.device)))
    return save_tensors(tensors)


def _generators() -> dict[str, Tensor]:
    """The states of torch's random generators, by device."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore(
    data: bytes, network: Network, optimizer: torch.optim.Optimizer, own: range, ranks: Ranks, seed: int
) -> list[State]:
    """Put everything back where `capture` took it; the carried state of the rank's own streams. Of another number of
    ranks than before, each one's random numbers begin anew, by the seed."""
    tensors = load_tensors(data)
    _check_tensors(tensors, network, optimizer)
    put_weights(network, {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")})
    record = optimizer.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for name in tensors:
        if name.startswith("optimizer."):
            _, i, key = name.split(".")
            entries.setdefault(int(i), {})[key] = torch.from_numpy(tensors[name]).clone()
    record["state"] = entries
    optimizer.load_state_dict(record)
    if len(tensors["random.cpu"]) == ranks.count:
        torch.set_rng_state(torch.from_numpy(tensors["random.cpu"][ranks.rank]).clone())
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.from_numpy(tensors["random.cuda"][ranks.rank]).clone())
    else:
        torch.manual_seed(seed)
    device = network.head.bias.device
    state: list[State] = []
    for layer, zeros in enumerate(network.initial_state(len(own))):
        parts = [tensors[f"state.{layer}.{part}"][own.start : own.stop] for part in range(len(zeros))]
        if any(part.shape != zero.shape for part, zero in zip(parts, zeros, strict=True)):
            raise ValueError("its state is not that of its network")
        state.append(tuple(torch.from_numpy(part).to(device, copy=True) for part in parts))
    return state


def state_json(progress: Progress, plan: Plan, settings: dict[str, Any]) -> bytes:
    """`training_state.json`. Python writes a float so that it reads back the same."""
    record = {"progress": asdict(progress), "plan": asdict(plan), **settings}
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


def read_state(folder: Path) -> tuple[Progress, Plan, dict[str, Any], bytes]:
    """The two files of a folder in training. TrainingError if there are none, or they are damaged."""
    place = readable(folder) or folder
    if not (place / STATE).exists():
        raise TrainingError(
            f"{folder}: nothing to resume: its training ended, or never began; "
            "use --init-from to train a finished model further"
        )
    try:
        if not all((place / name).is_file() for name in (STATE, STATE_TENSORS, METRICS)):
            raise ValueError("a part of it is missing")
        record = json.loads((place / STATE).read_text(encoding="utf-8"))
        progress, plan = Progress(**record.pop("progress")), Plan(**record.pop("plan"))
        _check(progress, plan, record["dataset"])
        for name in ("training", "asked"):
            TrainingConfig(**record[name])  # refuses what is none
        data = (place / STATE_TENSORS).read_bytes()
        load_tensors(data)
    except (*DAMAGED, CharRNNError, SafetensorError) as error:
        why = one_line(str(error) or type(error).__name__)[:200]
        raise TrainingError(f"{folder}: the saved training state is damaged ({why}); train again") from None
    return progress, plan, record, data


def _check(progress: Progress, plan: Plan, dataset: Any) -> None:
    """That numbers are where they should be, and none that no run comes to; that a key of the cache is no path."""
    for part in (progress, plan):
        require_kinds(part)
        for name, value in asdict(part).items():
            least = 1 if part is plan and name != "last_seconds" else 0
            if value is not None and not least <= value <= MOST:
                raise ValueError(f"{name} is {value}")
    if not isinstance(dataset, str) or not dataset.isalnum():
        raise ValueError("its text has no name")


def _check_tensors(tensors: Mapping[str, Any], network: Network, optimizer: torch.optim.Optimizer) -> None:
    """That they are the network's and its optimiser's: a kernel that is given others writes beyond their ends."""
    own = {f"weights.{name}": weight.shape for name, weight in weights_of(network).items()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = KEPT if isinstance(optimizer, torch.optim.AdamW) else ()
    for i in {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}:
        shape = tuple(parameters[int(i)].shape)
        own |= {f"optimizer.{i}.{key}": () if key == "step" else shape for key in kept}
    given = {name: tensor for name, tensor in tensors.items() if name.startswith(("weights.", "optimizer."))}
    if {name: tensor.shape for name, tensor in given.items()} != own:
        raise ValueError("its tensors are not those of its network")
    floats = [tensor for name, tensor in tensors.items() if not name.startswith("random.")]
    if any(tensor.dtype != np.float32 for tensor in floats):
        raise ValueError("its tensors are of another type")
