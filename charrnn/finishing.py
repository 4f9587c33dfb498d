"""What a network gets when its training is over: the sharpness of its logits, the memory beside it, and its score.

Sharpness and memory are weighed on text set aside, which the network has not read; the memory that is stored then holds
that text, too.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from charrnn.config import TrainingConfig
from charrnn.evaluation import Scores
from charrnn.gate_training import best_sharpness, train_gate
from charrnn.heldout import HeldOut
from charrnn.memory import EXPERTS, FEATURES, Experts, Gate, Memory, NGrams, sorted_by_context
from charrnn.network import Network
from charrnn.tokenizer import Tokenizer
from charrnn.tokens import TokenFile

MOST_REMEMBERED = 10_000_000  # tokens: 60 MB, or 80 where the vocabulary is large
LEAST_WEIGHED = 1000  # tokens set aside, for a gate
REHEARSED = 50_000  # tokens of the memory that is timed
SPARSE = 4  # of so many tokens set aside one is enough for a single number
GATE_SECONDS = 3.0  # for training a gate, about


class Finishing:
    """The end of a run over a token file, with its held-out text."""

    def __init__(self, config: TrainingConfig, tokens: TokenFile, held_out: HeldOut, tokenizer: Tokenizer) -> None:
        self._config = config
        self._everything = tokens
        self._held_out = held_out
        self._vocabulary = tokenizer.size
        self.read, aside = tokens.set_aside(config.aside) if config.aside else (tokens, None)
        """What is left to train on."""
        self._aside = HeldOut(aside, tokenizer) if aside is not None and aside.total else None
        self._remembers = config.memory and self._aside is not None and self._aside.total >= LEAST_WEIGHED

    def finish(self, network: Network, limit: int | None) -> tuple[Scores, Memory | None]:
        """Set the network's sharpness, make its memory, and score the held-out text exactly, or so many tokens of each
        document."""
        memory = None
        if self._aside is not None:
            self._sharpen(network, self._aside)
            if self._remembers:
                memory = self._remember(network, self._aside)
        return self._held_out.exact_score(network, limit, memory=memory), memory

    def rehearse(self, network: Network) -> tuple[float, float]:
        """Seconds for each position of the exact score (see `HeldOut.longest_documents`), and for all before it."""
        start = time.monotonic()
        memory, sorting = None, 0.0
        if self._remembers:
            ngrams = self._ngrams(self._everything, REHEARSED)
            sorting = (time.monotonic() - start) / len(ngrams.tokens)
            zeros = (np.zeros(shape, np.float32) for shape in ((FEATURES, 1), (1,), (1, EXPERTS), (EXPERTS,)))
            memory = Memory(ngrams, Gate(*zeros))
        some = min(200, max(self._held_out.longest_documents()))
        start = time.monotonic()
        self._held_out.exact_score(network, limit=some, batches=1, memory=memory)
        position = (time.monotonic() - start) / some
        before = 0.0
        if self._aside is not None:
            before += sum(self._aside.longest_documents()) * position * 2
        if memory:
            before += GATE_SECONDS + 2 * sorting * min(MOST_REMEMBERED, self._everything.total)
        return position, before

    @staticmethod
    def _sharpen(network: Network, aside: HeldOut) -> None:
        network.config = replace(network.config, sharpness=1.0, dialogue_sharpness=0.0)

        def best(*, dialogue: bool) -> float | None:
            """Of questions and answers, or of everything else."""
            portions = ((p, p.dialogue == dialogue) for p in aside.predictions(network))
            return best_sharpness((p.logits[these][::SPARSE], p.targets[these][::SPARSE]) for p, these in portions)

        spoken = best(dialogue=True) if network.summary is not None else None
        sharpness = best(dialogue=False) or spoken or 1.0
        network.config = replace(network.config, sharpness=sharpness, dialogue_sharpness=spoken or 0.0)

    def _remember(self, network: Network, aside: HeldOut) -> Memory:
        """The memory of everything, with a gate that was trained on a memory of what the network has read."""
        gate = self._gate(network, aside)  # before the other memory is made: two would take twice the room
        return Memory(self._ngrams(self._everything), gate)

    def _gate(self, network: Network, aside: HeldOut) -> Gate:
        ngrams = self._ngrams(self.read)
        portions = []
        for logits, targets, histories, _ in aside.predictions(network):
            experts = Experts(ngrams, logits.cpu().numpy(), histories)
            given = experts.at(targets.cpu().numpy())
            portions.append((experts.features, experts.there, given))
            portions.append((*experts.without_cache(), given))  # it is to do with either
        features, there, given = (np.concatenate(parts) for parts in zip(*portions, strict=True))
        return train_gate(features, there, given, self._vocabulary, self._config.seed)

    def _ngrams(self, tokens: TokenFile, most: int = MOST_REMEMBERED) -> NGrams:
        text = np.ascontiguousarray(tokens.text(most))
        return NGrams(text, sorted_by_context(text), self._vocabulary)
