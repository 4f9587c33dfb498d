"""From a budget to a fixed number of steps: minutes are turned into steps once, after a short calibration."""

from __future__ import annotations

import ctypes
import math
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

from charrnn.config import TrainingConfig
from charrnn.errors import TrainingError

FEWEST_EVALUATIONS, MOST_EVALUATIONS = 4, 40
LONGEST_UNSAVED = 180.0  # seconds of training at risk between two saves
EVALUATION_SHARE = 0.05  # of the time, for evaluating and saving on the way
TRAINING_SHARE = 0.9  # of the time, roughly, for steps and what is gone before them
EXACT_SHARE = 0.05  # of the time, for the last evaluation
CALIBRATION_SHARE, LONGEST_CALIBRATION = 0.02, 5.0
WARM_UP_STEPS = 2
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@dataclass(frozen=True)
class Plan:
    """What the budget came to; fixed for the run, so that a resumed run has the same schedule."""

    steps: int
    evaluate_every: int
    exact_limit: int | None
    """Held-out tokens of each document in the last evaluation; all if None."""
    last_seconds: float
    """What the last evaluation and save are expected to take."""
    most_steps: int = sys.maxsize
    """However many minutes are left."""


@dataclass(frozen=True)
class Costs:
    """Seconds of each phase, measured, and the time that is gone when training starts."""

    gone: float
    step: float
    evaluation: float
    """One quick score, its samples and a save."""
    finishing: float
    """From the last step to the last evaluation."""
    exact_position: float
    longest_documents: list[int]
    """Positions of the last evaluation: the longest document of each batch of them."""


def make_plan(config: TrainingConfig, costs: Costs, windows: int, most_passes: float = math.inf) -> Plan:
    """Steps and evaluations for a budget; `windows` are those of an epoch, and minutes may buy `most_passes` of them.

    Steps and epochs score the whole held-out text at the end. Minutes give the last evaluation at most a twentieth
    of their time, and training what is left.
    """
    everything = sum(costs.longest_documents)
    if config.steps or config.epochs:
        steps = config.steps or max(1, round(config.epochs * windows))
        # The spacing of evaluations must not depend on the machine's speed here.
        last = everything * costs.exact_position + costs.finishing + costs.evaluation
        return Plan(steps, max(1, -(-steps // 20)), None, last)
    budget = config.minutes * 60
    positions = int(EXACT_SHARE * budget / costs.exact_position)
    limit = None if everything <= positions else _limit(costs.longest_documents, positions)
    scored = sum(n if limit is None else min(n, limit) for n in costs.longest_documents)
    last = scored * costs.exact_position + costs.finishing + costs.evaluation
    left = max(costs.step, budget - costs.gone - last)
    most_steps = int(min(sys.maxsize, max(1.0, most_passes * windows)))
    evaluations = _evaluations(min(left, most_steps * costs.step), costs.evaluation)
    steps = min(most_steps, max(1, int((left - evaluations * costs.evaluation) / costs.step)))
    return Plan(steps, max(1, -(-steps // evaluations)), limit, last, most_steps)


def affordable_steps(config: TrainingConfig, seconds: float, gone: float) -> float:
    """About how many steps of so many seconds the minutes leave room for; without end for steps and epochs."""
    if config.steps or config.epochs:
        return math.inf
    return (TRAINING_SHARE * config.minutes * 60 - gone) / seconds


def replanned(plan: Plan, config: TrainingConfig, step: int, seconds: float, costs: tuple[float, float]) -> Plan:
    """The plan after so many steps and seconds, with the steps for which minutes still leave time.

    A machine that is shared does not keep the pace it had at the start. `costs` are seconds a step and an evaluation.
    """
    if config.steps or config.epochs:
        return plan
    each = costs[0] + costs[1] / plan.evaluate_every
    left = (config.minutes * 60 - seconds - plan.last_seconds) / max(each, 1e-9)
    return replace(plan, steps=max(step, min(plan.most_steps, step + int(left))))


def _limit(longest: list[int], positions: int) -> int:
    """The length to cut documents to, so that all of them together take so many positions."""
    low, high = 1, max(longest)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(n, middle) for n in longest) <= positions else (low, middle - 1)
    return low


def _evaluations(seconds: float, cost: float) -> int:
    """How many evaluations a run of so many seconds gets."""
    affordable = int(EVALUATION_SHARE * seconds / max(cost, 1e-6))
    needed = math.ceil(seconds / LONGEST_UNSAVED)
    return max(min(max(affordable, FEWEST_EVALUATIONS), MOST_EVALUATIONS), needed)


def time_steps(step: Callable[[], object], budget: float) -> float:
    """Seconds a step, after a few to warm up."""
    for _ in range(WARM_UP_STEPS):
        step()
    limit = min(LONGEST_CALIBRATION, CALIBRATION_SHARE * budget)
    start, count = time.monotonic(), 0
    while count < 3 or time.monotonic() - start < limit:
        step()
        count += 1
    return (time.monotonic() - start) / count


def prepare_process() -> None:
    """What makes torch faster on a processor, once a process.

    A state that decays to nothing would slow its products down. And memory that glibc has once taken stays with the
    process (mallopt(3)): fresh pages in every step cost a virtual machine a third of the time.
    """
    torch.set_flush_denormal(True)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)


def choose_threads(step: Callable[[], object]) -> float:
    """All of torch's threads, or one where that is faster: a small network, or a machine with its cores taken. The
    seconds of a step then."""
    most = torch.get_num_threads()
    seconds = {}
    for threads in {most, 1}:
        torch.set_num_threads(threads)
        seconds[threads] = fastest(step, 4)
    threads = 1 if seconds[1] < 0.9 * seconds[most] else most
    torch.set_num_threads(threads)
    return seconds[threads]


def choose_device(config: TrainingConfig) -> torch.device:
    """Where to train. Raises TrainingError for a CUDA that is not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: this machine, or this build of torch, has no CUDA; use --device cpu")
    name = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(config: TrainingConfig, device: torch.device) -> Literal["bf16", "fp32"]:
    """bf16 where the machine multiplies it clearly faster than fp32, measured; fp32 otherwise."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    a, b = torch.randn(512, config.width), torch.randn(config.width, 1024)
    a16, b16 = a.bfloat16(), b.bfloat16()
    return "bf16" if fastest(lambda: a16 @ b16, 12) * 1.3 < fastest(lambda: a @ b, 12) else "fp32"


def fastest(work: Callable[[], object], times: int) -> float:
    """The least seconds that some work took."""
    best = math.inf
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


class StepClock:
    """Seconds a step, over the steps since the last evaluation."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.seconds = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget what was measured; the last figure stands until there is a new one."""
        self._start, self._count = time.monotonic(), 0

    def seconds_a_step(self) -> float:
        """Called once a step."""
        self._count += 1
        if self._count >= 5 or not self.seconds:
            self.seconds = max(1e-9, (time.monotonic() - self._start) / self._count)
        return self.seconds
