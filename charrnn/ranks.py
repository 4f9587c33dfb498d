"""Processes that train one network together, on one machine or several, as torchrun starts them.

Each has its own streams of the text; torch's DistributedDataParallel adds up their gradients. What is found by the
clock or from disk is found by the first and told to the others, so that all of them take the same steps.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from charrnn.config import RANKS, RESTARTS
from charrnn.errors import TrainingError

T = TypeVar("T")
MACHINES = "GROUP_WORLD_SIZE"  # as torchrun sets it
FOUND = "found"
PATIENCE = timedelta(hours=12)  # the others wait while the first scores the whole held-out text
LOOKING = 0.2  # seconds between two looks whether another has done its part


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is; alone, it does nothing."""

    rank: int = 0
    count: int = 1
    local: int = 0
    """Its number on this machine."""
    store: Any = None
    """What all of them can read, torch's: who waits for another there may wait for hours."""

    @classmethod
    def join(cls) -> Ranks:
        """As the environment says (torchrun sets it); alone without one. The first call meets the others."""
        count = int(os.environ.get(RANKS, "1"))
        if count == 1:
            return cls()
        own, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
        # torchrun's own store outlives a restart, and what stands in it would lead to processes that are gone.
        store, rank, world = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
        store = dist.PrefixStore(f"attempt {os.environ.get(RESTARTS, '0')}", store)  # type: ignore[attr-defined]
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
        return cls(own, count, local, store)

    @property
    def first(self) -> bool:
        """Whether this one speaks and writes for all."""
        return self.rank == 0

    def share(self, find: Callable[[], T]) -> T:
        """What the first finds, for all; what it raises, too."""
        if self.count == 1:
            return find()
        told: list[tuple[T | None, Exception | None]] = [(None, None)]
        if self.first:
            try:
                told = [(find(), None)]
            except Exception as error:
                told = [(None, error)]
        dist.broadcast_object_list(told)
        value, failure = told[0]
        if failure is not None:
            raise failure
        return value  # type: ignore[return-value]

    def tell(self, value: T) -> T:
        """The first one's, for all."""
        return self.share(lambda: value)

    def one_by_one(self, find: Callable[[], T]) -> T:
        """What each finds, the first of a machine before the others, which may find it in a cache then.

        That may take longer than torch lets processes wait for one another; so they look whether it is there.
        """
        if self.local == 0:
            found = find()
        if self.count > 1:
            firsts = self.store.add(FOUND, int(self.local == 0))
            while firsts < int(os.environ.get(MACHINES, "1")):
                time.sleep(LOOKING)
                firsts = self.store.add(FOUND, 0)
        if self.local:
            found = find()
        self.wait()
        return found

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def leave(self, code: int) -> None:
        """Together, once all is done: who goes first would be missed. Processes end here, where there are several:
        gloo keeps threads, and one that asks for the interpreter while that is taken down aborts the process."""
        self.wait()
        if self.count > 1:
            dist.destroy_process_group()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def mean(self, value: float, device: torch.device) -> float:
        """Of all."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device)
        dist.all_reduce(total)
        return float(total) / self.count

    def any(self, asked: bool, device: torch.device) -> bool:
        """Whether any of them says so."""
        return self.mean(float(asked), device) > 0

    def gather(self, tensor: Tensor, dim: int = 0) -> Tensor:
        """The tensors of all, in order, one after the other along a dimension."""
        if self.count == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim)

    def same(self, value: str, what: str) -> None:
        """TrainingError unless all have the same."""
        if self.count > 1:
            values: list[str | None] = [None] * self.count
            dist.all_gather_object(values, value)
            if len(set(values)) > 1:
                raise TrainingError(f"the {self.count} processes do not have the same {what}")

    def together(self, module: nn.Module, *, unused: bool) -> nn.Module:
        """The module, whose gradients are the mean over all from here on; everyone gets the first one's weights. With
        `unused`, some of its parameters may have no part in a step."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=unused)


ALONE = Ranks()
