"""A network that learns: a window of text forward and back at a time, and where in the text it stands.

Truncated back-propagation, with the state carried from window to window and reset where an epoch begins. When to score,
to save, to go back and to end is `training`'s.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from charrnn.answers import Answers
from charrnn.cells import State
from charrnn.config import ModelConfig, TrainingConfig
from charrnn.dataset import Dataset
from charrnn.engine import BUCKETS
from charrnn.forms import Weights
from charrnn.network import Network
from charrnn.objective import Objective, learn_summary
from charrnn.optim import clip_gradients, make_optimizer, set_rate
from charrnn.planning import choose_device
from charrnn.ranks import ALONE, Ranks
from charrnn.recipe import regularised
from charrnn.tokens import TokenFile, Windows
from charrnn.training_state import Progress, capture, put_weights, restore

TYPICAL_PASSES = 8.0  # over the text, while their number is not known yet
MOST_SPLIT = 5_000_000  # tokens that are spelled anew in every pass, in memory
LOSS_MEMORY = 0.98  # of the running mean


class Losses(nn.Module):
    """What a step computes, as one module, so that its gradients can be added up over ranks."""

    def __init__(self, network: Network, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self._objective = objective

    def forward(self, state: list[State], epoch: int, index: int) -> tuple[Tensor, Tensor, list[State]]:
        """The loss of a window in nats a token, the same with what else is minimised, and the state after it."""
        loss, state = self._objective.loss(self.network, state, epoch, index)
        return loss.detach(), loss + self._objective.contrast_term(self.network, index), state


def hash_of(*numbers: int) -> int:
    """A seed from some numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Learner:
    """Network, optimiser and carried state over the windows of a token file. `config` has a shape and a precision."""

    network: Network
    optimizer: torch.optim.Optimizer
    state: list[State]
    progress: Progress

    def __init__(
        self, config: TrainingConfig, model: ModelConfig, dataset: Dataset, tokens: TokenFile, ranks: Ranks
    ) -> None:
        self.ranks = ranks
        self.model = model
        self.device = choose_device(config)
        self.answers = Answers(tokens, dataset.tokenizer, BUCKETS)
        self.windows = Windows(
            tokens,
            batch=config.batch,
            window=config.window,
            seed=config.seed,
            seldom=self.answers.prose() if dataset.has_dialogue else None,
            parts=round(1 / config.prose),
            # An answer's places are counted in tokens, and it is to be learned by heart.
            halves=None if dataset.has_dialogue or tokens.total > MOST_SPLIT else dataset.tokenizer.halves(),
            split=config.split,
            rank=ranks.rank,
            ranks=ranks.count,
        )
        self.objective = Objective(config, self.windows, self.answers, self.device, summarised=bool(model.summary))
        self._frequencies = tokens.frequencies(dataset.tokenizer.size)
        self._learned: dict[str, torch.Tensor] = {}
        self.begin(config)

    def learn_summary(self) -> None:
        """Which questions are alike, before all else; every beginning after this has it."""
        rarity = torch.from_numpy(self.answers.rarity())
        self._learned = learn_summary(self.objective.contrast, rarity, self.model, self.config)

    def begin(self, config: TrainingConfig, weights: Weights | None = None) -> None:
        """Weights, optimiser, state and generators as at step 0; or the weights that are given."""
        self.config = config
        torch.manual_seed(config.seed)
        dropout = regularised(config, TYPICAL_PASSES, dialogue=False).dropout
        network = Network(self.model, dropout=dropout, initialisation=config.initialisation)
        self.network = network.to(self.device)
        if config.initialisation == "charrnn":  # what comes how often need not be learned step by step
            self.network.head.bias.data.copy_(torch.from_numpy(np.log(self._frequencies)))
        if self.network.summary is not None:
            self.network.summary.load_state_dict(self._learned, strict=False)
        if weights is not None:
            put_weights(self.network, weights)
        self.network.train()
        self._losses: nn.Module = Losses(self.network, self.objective)
        self.optimizer = make_optimizer(config, self.network)
        self.state = self._initial_state()
        self.progress = Progress()

    def join(self) -> None:
        """From here on every step is one that all ranks take together, from the first one's weights."""
        self._losses = self.ranks.together(self._losses, unused=self.network.summary is not None)
        if self.ranks.rank and not self.progress.step:  # what is dropped, and what stands for the vocabulary, is each
            torch.manual_seed(hash_of(self.config.seed, self.ranks.rank))  # one's own draw

    def capture(self, *, alone: bool = False) -> bytes:
        """What `go_on` takes, asked for by all ranks together; or this one's part, for its size."""
        return capture(self.network, self.optimizer, self.state, ALONE if alone else self.ranks)

    def _initial_state(self) -> list[State]:
        return self.network.initial_state(len(self.windows.own))

    def go_on(self, progress: Progress, tensors: bytes) -> None:
        """As it was when `training_state.capture` made these tensors."""
        if progress.index >= self.windows.windows:
            raise ValueError("it stands beyond the end of the text")
        seed = hash_of(self.config.seed, self.ranks.rank, progress.step)
        own = self.windows.own
        self.progress = progress
        self.state = restore(tensors, self.network, self.optimizer, own, self.ranks, seed)

    def step(self, rate: float) -> float | None:
        """One window forward and back; its loss in bits a token, or None if it, or its gradient, blew up."""
        p = self.progress
        set_rate(self.optimizer, rate)
        loss, whole, state = self._losses(self.state, p.epoch, p.index)
        self.optimizer.zero_grad(set_to_none=True)
        whole.backward()
        length = clip_gradients(self.network.parameters(), self.config.clip)
        bits = float(loss) / math.log(2)
        if isinstance(self._losses, DistributedDataParallel):
            bits = self.ranks.mean(bits, self.device)
        leaps = p.loss is not None and bits > 2 * p.loss + 2  # a step from here would only carry the damage on
        if leaps or not (math.isfinite(bits) and math.isfinite(length)):
            return None
        self.optimizer.step()
        p.loss = bits if p.loss is None else LOSS_MEMORY * p.loss + (1 - LOSS_MEMORY) * bits
        p.step += 1
        p.index += 1
        self.state = state
        if p.index == self.windows.windows:
            p.epoch, p.index = p.epoch + 1, 0
            self.state = self._initial_state()
        return bits

    def rehearse(self) -> float | None:
        """A step that moves nothing, for its time."""
        return self.step(0.0)

    @property
    def epochs(self) -> float:
        """How often it has read the text."""
        return self.progress.epoch + self.progress.index / self.windows.windows
