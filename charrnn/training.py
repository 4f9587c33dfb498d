"""The training loop: it yields a report a step and prints nothing.

Windows of truncated back-propagation, with the state carried from window to window and reset where an epoch begins;
evaluation, saving, exact resume, and the way back from a loss that blows up.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn.answers import Answers
from charrnn.card import model_card, model_info
from charrnn.checkpoint import (
    CARD,
    MEMORY,
    METRICS,
    STATE_TENSORS,
    TOKENIZER,
    WEIGHTS,
    config_bytes,
    memory_bytes,
    read_model,
    rehearse_writing,
    rounded,
    weights_bytes,
    write_folder,
)
from charrnn.config import TrainingConfig
from charrnn.dataset import Dataset
from charrnn.engine import BUCKETS
from charrnn.errors import TrainingError
from charrnn.evaluation import Scores
from charrnn.finishing import Finishing
from charrnn.heldout import HeldOut
from charrnn.memory import Memory
from charrnn.network import Network
from charrnn.objective import Objective, learn_summary
from charrnn.optim import clip_gradients, make_optimizer, peak_rate, scheduled_rate, set_rate
from charrnn.paths import CONFIG, STATE
from charrnn.planning import (
    Costs,
    Plan,
    StepClock,
    affordable_steps,
    choose_device,
    choose_precision,
    choose_threads,
    fastest,
    make_plan,
    prepare_process,
    replanned,
    time_steps,
)
from charrnn.recipe import architecture, most_passes, regularised, shaped
from charrnn.reports import Evaluated, Finished, Interrupted, Report, Said, Stepped
from charrnn.samples import draw_samples
from charrnn.tokens import Windows
from charrnn.training_state import Progress, capture, put_weights, read_state, restore, state_json, weights_of

Weights = dict[str, np.ndarray[Any, Any]]

MOST_SETBACKS = 3
TYPICAL_PASSES = 8.0  # over the text, while their number is not known yet
MOST_SPLIT = 5_000_000  # tokens that are spelled anew in every pass, in memory
LOSS_MEMORY = 0.98  # of the running mean


class Trainer:
    """One run: made by `begin` or `resume`, then `run()`."""

    def __init__(self, config: TrainingConfig, dataset: Dataset, path: Path, precision: str, started: float) -> None:
        self.config = self.asked = config
        self.dataset = dataset
        self.path = path
        self.precision = precision
        self.model = architecture(config, dataset.tokenizer.size, dialogue=dataset.has_dialogue)
        self.kept = config.kept(dialogue=dataset.has_dialogue)
        self.device = choose_device(config)
        # What an answer knows of the dialogue is its summary, so turns are texts of their own, in any order.
        turns = bool(self.model.summary)
        self.held_out = HeldOut(dataset.tokens("valid", turns=turns), dataset.tokenizer)
        self.finishing = Finishing(config, dataset.tokens("train", turns=turns), self.held_out, dataset.tokenizer)
        tokens = self.finishing.read
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
        )
        self.objective = Objective(config, self.windows, self.answers, self.device, precision, turns)
        self._frequencies = tokens.frequencies(dataset.tokenizer.size)
        self._learned: dict[str, torch.Tensor] = {}
        self.progress = Progress()
        self.plan = Plan(1, 1, None, 0.0)
        self.metrics: list[str] = []
        self._started = started
        self._reset(None)

    @classmethod
    def begin(
        cls, config: TrainingConfig, dataset: Dataset, path: Path, *, weights: Weights | None, started: float
    ) -> Trainer:
        """A new run, from given weights or from the initialisation: calibrated, planned, and saved at step 0."""
        prepare_process()
        if config.threads:
            torch.set_num_threads(config.threads)
        asked, tokens = config, dataset.tokens("train").total
        trainer, seconds = cls._to_calibrate(shaped(asked, tokens), dataset, path, started)
        config = shaped(asked, tokens, affordable_steps(asked, seconds, time.monotonic() - started))
        if config != trainer.config:
            trainer, _ = cls._to_calibrate(config, dataset, path, started)
        trainer.asked, config = asked, replace(config, threads=torch.get_num_threads())
        if trainer.model.summary and "summary.rarity" not in (weights or {}):
            trainer._learned = learn_summary(
                trainer.objective.contrast, torch.from_numpy(trainer.answers.rarity()), trainer.model, config
            )
        trainer.plan = make_plan(config, trainer._measure(), trainer.windows.windows, most_passes(config))
        passes = trainer.plan.steps / trainer.windows.windows
        trainer.config = regularised(config, passes, dialogue=trainer.model.summary > 0)
        trainer._reset(weights)  # calibration leaves no trace in weights or generators
        return trainer

    @classmethod
    def _to_calibrate(
        cls, config: TrainingConfig, dataset: Dataset, path: Path, started: float
    ) -> tuple[Trainer, float]:
        """A trainer whose steps move nothing, so that nothing blows up, and the seconds of a step."""
        trainer = cls(config, dataset, path, choose_precision(config, choose_device(config)), started)
        trainer.progress.rate_scale = 0.0
        return trainer, fastest(trainer._step, 4) if config.threads else choose_threads(trainer._step)

    @classmethod
    def resume(cls, path: Path, open_dataset: Callable[[dict[str, Any]], Dataset]) -> Trainer:
        """The run of a folder in training, as it was at its last save. TrainingError if there is none."""
        started = time.monotonic()
        progress, plan, settings, tensors = read_state(path)
        try:
            config = TrainingConfig(**settings["training"])
            prepare_process()
            torch.set_num_threads(config.threads)
            trainer = cls(config, open_dataset(settings), path, settings["precision"], started - progress.seconds)
            trainer.progress, trainer.plan, trainer.asked = progress, plan, TrainingConfig(**settings["asked"])
            trainer.kept_weights = read_model(path).weights
            trainer.metrics = (path / METRICS).read_text(encoding="utf-8").splitlines()
            trainer.state = restore(tensors, trainer.network, trainer.optimizer)
        except (KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            raise TrainingError(f"{path}: the saved training state is damaged ({error}); train again") from None
        return trainer

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Report]:
        """Train to the end of the plan, or until `stop()`: then save and yield Interrupted."""
        if self.progress.best is None:
            yield self._evaluate()
        rate = StepClock(self.windows.streams * self.windows.window)
        while self.progress.step < self.plan.steps:
            if stop():
                self._save()
                yield Interrupted(self.path, self.progress.step)
                return
            loss = self._step()
            if loss is None:
                yield self._go_back()
                continue
            yield self._stepped(rate)
            if self.progress.step % self.plan.evaluate_every == 0 or self.progress.step == self.plan.steps:
                begun = time.monotonic()
                yield self._evaluate()
                costs = rate.seconds, time.monotonic() - begun
                seconds = time.monotonic() - self._started
                self.plan = replanned(self.plan, self.config, self.progress.step, seconds, costs)
                if self.progress.worse:
                    yield from self._getting_worse()
                    if 0 < self.config.patience <= self.progress.worse:
                        break
                rate.restart()
        yield self._finish()

    # One step --------------------------------------------------------------------------------------------------

    def _step(self) -> float | None:
        """One window forward and back; its loss in bits a token, or None if it, or its gradient, blew up."""
        p = self.progress
        rate = scheduled_rate(self.config, p.step, self.plan.steps) * p.rate_scale
        set_rate(self.optimizer, rate)
        loss, state = self.objective.loss(self.network, self.state, p.epoch, p.index)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.objective.contrast_term(self.network, p.index)).backward()  # type: ignore[no-untyped-call]
        length = clip_gradients(self.network.parameters(), self.config.clip)
        bits = float(loss.detach()) / math.log(2)
        leaps = p.loss is not None and bits > 2 * p.loss + 2  # a step from here would only carry the damage on
        if leaps or not (math.isfinite(bits) and math.isfinite(length)):
            return None
        self.optimizer.step()
        p.loss = bits if p.loss is None else LOSS_MEMORY * p.loss + (1 - LOSS_MEMORY) * bits
        self._advance(state)
        return bits

    def _advance(self, state: Any) -> None:
        p = self.progress
        p.step += 1
        p.index += 1
        self.state = state
        if p.index == self.windows.windows:
            p.epoch, p.index = p.epoch + 1, 0
            self.state = self.network.initial_state(self.windows.streams)

    # Beginnings, evaluation, saving ----------------------------------------------------------------------------

    def _reset(self, weights: Weights | None) -> None:
        """Weights, optimiser, state and generators as at step 0."""
        torch.manual_seed(self.config.seed)
        config = regularised(self.config, TYPICAL_PASSES, dialogue=False)
        network = Network(self.model, dropout=config.dropout, initialisation=config.initialisation)
        self.network = network.to(self.device)
        if self.config.initialisation == "charrnn":  # what comes how often need not be learned step by step
            self.network.head.bias.data.copy_(torch.from_numpy(np.log(self._frequencies)))
        if self.network.summary is not None:
            self.network.summary.load_state_dict(self._learned, strict=False)
        if weights is not None:
            put_weights(self.network, weights)
        self.network.train()
        self.optimizer = make_optimizer(self.config, self.network)
        self.state = self.network.initial_state(self.windows.streams)
        self.progress = Progress()
        self.kept_weights = weights_of(self.network)

    def _measure(self) -> Costs:
        """Time every phase once, on a network that is thrown away."""
        by_the_clock = not (self.config.steps or self.config.epochs)
        step = time_steps(self._step, self.config.minutes * 60 if by_the_clock else 0.0)
        start = time.monotonic()
        self.held_out.quick_score(self.network)
        self._samples()
        rehearse_writing(self.path, self._files())
        evaluation = time.monotonic() - start
        exact, before = self.finishing.rehearse(self.network)
        gone = time.monotonic() - self._started
        return Costs(gone, step, evaluation, before, exact, self.held_out.longest_documents())

    def _evaluate(self) -> Evaluated:
        """Score, keep the weights if they are to be kept, save."""
        p = self.progress
        score = self.held_out.quick_score(self.network).bits_per_character
        if p.best is None or score < p.best:
            p.best, p.best_step, p.worse = score, p.step, 0
        else:
            p.worse += 1
        if not p.worse or self.kept == "last":
            self.kept_weights = weights_of(self.network)
        record = {
            "step": p.step,
            "epochs": round(self._epochs(), 4),
            "seconds": round(time.monotonic() - self._started, 2),
            "loss_bits_per_token": p.loss,
            "held_out_bits_per_character": score,
            "rate": scheduled_rate(self.config, p.step, self.plan.steps) * p.rate_scale,
        }
        self.metrics.append(json.dumps(record))
        self._save()
        return Evaluated(p.step, score, p.best, self._samples())

    def _files(self) -> dict[str, bytes]:
        """The model folder of a run under way: the weights to keep, and everything to go on from here."""
        settings = {
            "training": asdict(self.config),
            "asked": asdict(self.asked),
            "precision": self.precision,
            "dataset": self.dataset.key,
            "corpus": asdict(self.dataset.facts),
        }
        files = self._model_files(weights_bytes(self.kept_weights, "float32"))
        files[STATE] = state_json(self.progress, self.plan, settings)
        files[STATE_TENSORS] = capture(self.network, self.optimizer, self.state)
        return files

    def _model_files(
        self, weights: bytes, scores: Scores | None = None, memory: Memory | None = None
    ) -> dict[str, bytes]:
        name = self.path.absolute().name
        known = model_info(
            self.config, self.asked, self.dataset, self.progress, self.plan, self.precision, name, scores
        )
        info = {"model": asdict(self.network.config), **known}
        guarded = {WEIGHTS: weights, TOKENIZER: self.dataset.tokenizer.model}
        if memory is not None:
            guarded[MEMORY] = memory_bytes(memory)
        lines = "".join(line + "\n" for line in self.metrics).encode()
        return {CONFIG: config_bytes(info, guarded), **guarded, METRICS: lines, CARD: model_card(info).encode()}

    def _save(self) -> None:
        self.progress.seconds = time.monotonic() - self._started
        write_folder(self.path, self._files())

    def _samples(self) -> dict[float, str]:
        seed = [self.config.seed, self.progress.step]
        return draw_samples(self.model, weights_of(self.network), self.dataset.tokenizer, seed)

    # Trouble and the end ---------------------------------------------------------------------------------------

    def _go_back(self) -> Said:
        """To the last save, with half the rate; the setback itself is saved at once."""
        scale, setbacks, step = self.progress.rate_scale / 2, self.progress.setbacks + 1, self.progress.step
        if setbacks > MOST_SETBACKS:
            raise TrainingError(
                f"{self.path}: the loss blew up at step {step} for the {setbacks}th time; the {self.kept} "
                f"model so far is kept there; train anew with a lower --learning-rate (now {peak_rate(self.config):g})"
            )
        self.progress, _, _, tensors = read_state(self.path)
        self.state = restore(tensors, self.network, self.optimizer)
        self.progress.rate_scale, self.progress.setbacks = scale, setbacks
        self._save()
        return Said(
            f"the loss blew up at step {step}: back to step {self.progress.step}, with {scale:g} of the rate "
            f"({setbacks} of {MOST_SETBACKS} times)"
        )

    def _getting_worse(self) -> Iterator[Said]:
        p = self.progress
        if p.worse in (2, 5, 10, 20) or p.worse == self.config.patience:
            yield Said(
                f"no better on the held-out text since step {p.best_step} ({p.best:.3f} bits a character); "
                f"the {self.kept} model is kept" + ("; stopping" if p.worse == self.config.patience else "")
            )

    def _finish(self) -> Finished:
        """The kept weights, rounded as they are stored; their memory, the exact score, and the folder without its
        training state."""
        put_weights(self.network, rounded(self.kept_weights, self.config.store))
        scores, memory = self.finishing.finish(self.network, self.plan.exact_limit)
        self.progress.seconds = time.monotonic() - self._started
        files = self._model_files(weights_bytes(self.kept_weights, self.config.store), scores, memory)
        write_folder(self.path, files)
        return Finished(self.path, scores, self.progress.best_step, self.kept, time.monotonic() - self._started)

    # Figures ---------------------------------------------------------------------------------------------------

    def _epochs(self) -> float:
        return self.progress.epoch + self.progress.index / self.windows.windows

    def _stepped(self, rate: StepClock) -> Stepped:
        p, steps = self.progress, self.plan.steps
        seconds = rate.seconds_a_step()
        return Stepped(
            step=p.step,
            steps=steps,
            epochs=self._epochs(),
            loss=p.loss or 0.0,
            rate=self.optimizer.param_groups[0]["lr"],
            tokens_per_second=rate.tokens / seconds,
            seconds_left=(steps - p.step) * seconds + self.plan.last_seconds,
        )
