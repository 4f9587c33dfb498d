"""The training loop: it yields a report a step and prints nothing.

A plan, evaluation, saving, exact resume, and the way back from a loss that blows up; what a step does is `learner`'s.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from charrnn.card import model_card, model_info
from charrnn.checkpoint import (
    CARD,
    MEMORY,
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
from charrnn.errors import TrainingError, is_out_of_memory
from charrnn.evaluation import Scores
from charrnn.finishing import Finishing
from charrnn.forms import Weights
from charrnn.heldout import HeldOut
from charrnn.learner import Learner
from charrnn.memory import Memory
from charrnn.optim import peak_rate, scheduled_rate
from charrnn.paths import CONFIG, METRICS, STATE, readable
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
from charrnn.ranks import ALONE, Ranks
from charrnn.recipe import architecture, most_passes, regularised, shaped
from charrnn.reports import Evaluated, Finished, Interrupted, Report, Said, Stepped
from charrnn.samples import SHOWN, draw_samples
from charrnn.training_state import DAMAGED, Progress, put_weights, read_state, state_json, weights_of

MOST_SETBACKS = 3


def _lines(path: Path) -> list[str]:
    """The evaluations that a folder in training tells of."""
    return ((readable(path) or path) / METRICS).read_text(encoding="utf-8").splitlines()


class Trainer:
    """One run: made by `begin` or `resume`, then `run()`."""

    def __init__(
        self, config: TrainingConfig, dataset: Dataset, path: Path, started: float, ranks: Ranks = ALONE
    ) -> None:
        self.ranks = ranks
        self.asked = config
        self.parent: str | None = None
        """The model whose weights it began with."""
        self.dataset = dataset
        self.path = path
        self.kept = config.kept(dialogue=dataset.has_dialogue)
        model = architecture(config, dataset.tokenizer.size, dialogue=dataset.has_dialogue)
        # What an answer knows of the dialogue is its summary, so turns are texts of their own, in any order.
        turns = bool(model.summary)
        self.held_out = HeldOut(dataset.tokens("valid", turns=turns), dataset.tokenizer)
        self.finishing = Finishing(config, dataset.tokens("train", turns=turns), self.held_out, dataset.tokenizer)
        self.learner = Learner(config, model, dataset, self.finishing.read, ranks)
        self.kept_weights = weights_of(self.learner.network)
        self.plan = Plan(1, 1, None, 0.0)
        self.metrics: list[str] = []
        self._started = started

    @classmethod
    def begin(
        cls,
        config: TrainingConfig,
        dataset: Dataset,
        path: Path,
        *,
        weights: Weights | None,
        parent: str | None = None,
        started: float,
        ranks: Ranks = ALONE,
    ) -> Trainer:
        """A new run, from given weights or from the initialisation: calibrated, planned, and saved at step 0. Of
        several ranks each has a batch as large as was asked for."""
        prepare_process()
        if config.threads:
            torch.set_num_threads(config.threads)
        tokens = dataset.tokens("train").total

        def for_all(steps: float = math.inf) -> TrainingConfig:
            chosen = shaped(config, tokens, steps)
            return replace(chosen, batch=chosen.batch * ranks.count)

        shape = for_all()
        trainer, seconds = cls._to_calibrate(shape, dataset, path, started, ranks)
        affordable = affordable_steps(config, seconds, time.monotonic() - started)
        narrower = for_all(ranks.tell(affordable))
        if narrower != shape:
            trainer, _ = cls._to_calibrate(narrower, dataset, path, started, ranks)
        trainer.asked, trainer.parent, learner = config, parent, trainer.learner
        learner.config = replace(learner.config, threads=torch.get_num_threads())
        if learner.model.summary and "summary.rarity" not in (weights or {}):
            learner.learn_summary()
        costs = ranks.share(trainer._measure)
        trainer.plan = make_plan(learner.config, costs, learner.windows.windows, most_passes(config))
        passes = trainer.plan.steps / learner.windows.windows
        # Calibration leaves no trace in weights or generators.
        learner.begin(regularised(learner.config, passes, dialogue=learner.model.summary > 0), weights)
        learner.join()
        trainer.kept_weights = weights_of(learner.network)
        return trainer

    @classmethod
    def _to_calibrate(
        cls, config: TrainingConfig, dataset: Dataset, path: Path, started: float, ranks: Ranks
    ) -> tuple[Trainer, float]:
        """A trainer with its precision, and the seconds of a step."""
        precision = ranks.share(lambda: choose_precision(config, choose_device(config)))
        trainer = cls(replace(config, precision=precision), dataset, path, started, ranks)
        step = trainer.learner.rehearse
        seconds = fastest(step, 4) if config.threads else choose_threads(step)
        torch.set_num_threads(ranks.share(torch.get_num_threads))
        return trainer, seconds

    @classmethod
    def resume(cls, path: Path, open_dataset: Callable[[dict[str, Any]], Dataset], ranks: Ranks = ALONE) -> Trainer:
        """The run of a folder in training, as it was at its last save. TrainingError if there is none. The batch is as
        it was, whatever the number of ranks."""
        started = time.monotonic()
        progress, plan, settings, tensors = ranks.share(lambda: read_state(path))
        try:
            config = TrainingConfig(**settings["training"])
            prepare_process()
            torch.set_num_threads(config.threads)
            try:
                dataset = open_dataset(settings)
            except OSError as error:
                raise TrainingError(
                    f"{path}: its text cannot be read again ({error}); the run stands as it was saved"
                ) from error
            trainer = cls(config, dataset, path, started - progress.seconds, ranks)
            trainer.plan, trainer.asked = plan, TrainingConfig(**settings["asked"])
            trainer.parent = settings.get("init_from")
            trainer.kept_weights = ranks.share(lambda: dict(read_model(path).weights))
            trainer.metrics = ranks.share(lambda: _lines(path))
            if trainer.learner.windows.streams != settings["streams"]:
                raise TrainingError(
                    f"{path}: its {settings['streams']} streams of text cannot be shared evenly among {ranks.count} "
                    "processes; resume with a number of them that divides it"
                )
            trainer.learner.go_on(progress, tensors)
            trainer.learner.join()
        except DAMAGED as error:
            if is_out_of_memory(error):
                raise
            raise TrainingError(f"{path}: the saved training state is damaged ({error}); train again") from None
        return trainer

    @property
    def config(self) -> TrainingConfig:
        """The settings, all of them decided."""
        return self.learner.config

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.learner.progress

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Report]:
        """Train to the end of the plan, or until `stop()`: then save and yield Interrupted."""
        if self.progress.best is None:
            yield self._evaluate()
        rate = StepClock(self.learner.windows.streams * self.learner.windows.window)
        while self.progress.step < self.plan.steps:
            if self.ranks.any(stop(), self.learner.device):
                self._save()
                yield Interrupted(self.path, self.progress.step)
                return
            if self.learner.step(self._rate()) is None:
                yield self._go_back()
                continue
            yield self._stepped(rate)
            if self.progress.step % self.plan.evaluate_every == 0 or self.progress.step == self.plan.steps:
                begun = time.monotonic()
                yield self._evaluate()
                costs = rate.seconds, time.monotonic() - begun
                seconds = time.monotonic() - self._started
                plan = replanned(self.plan, self.config, self.progress.step, seconds, costs)
                self.plan = self.ranks.tell(plan)
                if self.progress.worse:
                    yield from self._getting_worse()
                    if 0 < self.config.patience <= self.progress.worse:
                        break
                rate.restart()
        yield self._finish()

    # Evaluation, saving ----------------------------------------------------------------------------------------

    def _measure(self) -> Costs:
        """Time every phase once, on a network that is thrown away."""
        by_the_clock = not (self.config.steps or self.config.epochs)
        step = time_steps(self.learner.rehearse, self.config.minutes * 60 if by_the_clock else 0.0)
        start = time.monotonic()
        self.held_out.quick_score(self.learner.network)
        self._samples()
        rehearse_writing(self.path, self._files(self.learner.capture(alone=True)))
        evaluation = time.monotonic() - start
        exact, before = self.finishing.rehearse(self.learner.network)
        gone = time.monotonic() - self._started
        return Costs(gone, step, evaluation, before, exact, self.held_out.longest_documents())

    def _evaluate(self) -> Evaluated:
        """Score, keep the weights if they are to be kept, save."""
        p = self.progress
        score = self.ranks.share(lambda: self.held_out.quick_score(self.learner.network).bits_per_character)
        if p.best is None or score < p.best:
            p.best, p.best_step, p.worse = score, p.step, 0
        else:
            p.worse += 1
        if not p.worse or self.kept == "last":
            self.kept_weights = weights_of(self.learner.network)
        samples = self.ranks.share(self._samples)
        record = {
            "step": p.step,
            "epochs": round(self.learner.epochs, 4),
            "seconds": round(time.monotonic() - self._started, 2),
            "loss_bits_per_token": p.loss,
            "held_out_bits_per_character": score,
            "rate": self._rate(),
            "sample": samples[SHOWN],
        }
        self.metrics.append(json.dumps(record, ensure_ascii=False))
        self._save()
        return Evaluated(p.step, score, p.best, samples)

    def _files(self, tensors: bytes) -> dict[str, bytes]:
        """The model folder of a run under way: the weights to keep, and everything to go on from here."""
        settings = {
            "training": asdict(self.config),
            "asked": asdict(self.asked),
            "init_from": self.parent,
            "dataset": self.dataset.key,
            "corpus": asdict(self.dataset.facts),
            "streams": self.learner.windows.streams,
        }
        files = self._model_files(weights_bytes(self.kept_weights, "float32"))
        files[STATE] = state_json(self.progress, self.plan, settings)
        files[STATE_TENSORS] = tensors
        return files

    def _model_files(
        self, weights: bytes, scores: Scores | None = None, memory: Memory | None = None
    ) -> dict[str, bytes]:
        name = self.path.absolute().name
        known = model_info(self.config, self.asked, self.dataset, self.progress, self.plan, name, self.parent, scores)
        info = {"model": asdict(self.learner.network.config), **known}
        guarded = {WEIGHTS: weights, TOKENIZER: self.dataset.tokenizer.model}
        if memory is not None:
            guarded[MEMORY] = memory_bytes(memory)
        lines = "".join(line + "\n" for line in self.metrics).encode()
        return {CONFIG: config_bytes(info, guarded), **guarded, METRICS: lines, CARD: model_card(info).encode()}

    def _save(self) -> None:
        """By the first, for all."""
        self.progress.seconds = time.monotonic() - self._started
        tensors = self.learner.capture()
        self.ranks.share(lambda: write_folder(self.path, self._files(tensors)))

    def _samples(self) -> dict[float, str]:
        seed = [self.config.seed, self.progress.step]
        return draw_samples(self.learner.model, weights_of(self.learner.network), self.dataset.tokenizer, seed)

    # Trouble and the end ---------------------------------------------------------------------------------------

    def _go_back(self) -> Said:
        """To the last save, with half the rate; the setback itself is saved at once."""
        scale, setbacks, step = self.progress.rate_scale / 2, self.progress.setbacks + 1, self.progress.step
        if setbacks > MOST_SETBACKS:
            raise TrainingError(
                f"{self.path}: the loss blew up at step {step} for the {setbacks}th time; the {self.kept} "
                f"model so far is kept there; train anew with a lower --learning-rate (now {peak_rate(self.config):g})"
            )
        saved, _, _, tensors = self.ranks.share(lambda: read_state(self.path))
        self.learner.go_on(saved, tensors)
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
        scores = self.ranks.share(self._write_finished)
        return Finished(self.path, scores, self.progress.best_step, self.kept, time.monotonic() - self._started)

    def _write_finished(self) -> Scores:
        put_weights(self.learner.network, rounded(self.kept_weights, self.config.store))
        scores, memory = self.finishing.finish(self.learner.network, self.plan.exact_limit)
        self.progress.seconds = time.monotonic() - self._started
        files = self._model_files(weights_bytes(self.kept_weights, self.config.store), scores, memory)
        write_folder(self.path, files)
        return scores

    # Figures ---------------------------------------------------------------------------------------------------

    def _rate(self) -> float:
        return scheduled_rate(self.config, self.progress.step, self.plan.steps) * self.progress.rate_scale

    def _stepped(self, rate: StepClock) -> Stepped:
        p, steps = self.progress, self.plan.steps
        seconds = rate.seconds_a_step()
        return Stepped(
            step=p.step,
            steps=steps,
            epochs=self.learner.epochs,
            loss=p.loss or 0.0,
            rate=self.learner.optimizer.param_groups[0]["lr"],
            tokens_per_second=rate.tokens / seconds,
            seconds_left=(steps - p.step) * seconds + self.plan.last_seconds,
        )
