"""`charrnn train`: from a call to a run, with its signals and its last words."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from charrnn.config import RANKS, RESTARTS, Architecture, TrainingConfig
from charrnn.errors import FAILED, INTERRUPTED, OK, CharRNNError, TrainingError, UsageError, is_out_of_memory
from charrnn.paths import STATE, claimed, find_model, new_model_paths, newest_unfinished, readable, sibling
from charrnn.progress import Display, SilentDisplay, clock, make_display
from charrnn.reports import Finished, Interrupted

if TYPE_CHECKING:
    from charrnn.dataset import Dataset
    from charrnn.ranks import Ranks
    from charrnn.training import Trainer

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingCall:
    """What was typed."""

    sources: tuple[str, ...]
    config: TrainingConfig
    out: Path | None = None
    valid: tuple[str, ...] = ()
    resume: bool = False
    init_from: str | None = None
    overwrite: bool = False
    dry_run: bool = False
    as_json: bool = False


class _Signals:
    """Ctrl+C and SIGTERM: the first asks the run to save and end, the second leaves at once."""

    def __init__(self) -> None:
        self.asked = False
        self.training = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked and RANKS not in os.environ:  # torchrun passes on what the terminal has sent, too
            os._exit(INTERRUPTED)
        self.asked = True
        if not self.training:
            raise KeyboardInterrupt

    def stop(self) -> bool:
        return self.asked


@contextmanager
def _handled() -> Iterator[_Signals]:
    signals = _Signals()
    before = {number: signal.signal(number, signals) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_training(call: TrainingCall) -> int:
    """Train, resume or rehearse, showing reports; the exit code."""
    started = time.monotonic()
    with _handled() as signals:
        if RANKS not in os.environ:
            return _run(call, make_display(as_json=call.as_json), started, signals, None)
        from charrnn.ranks import Ranks

        ranks = Ranks.join()
        try:
            display = make_display(as_json=call.as_json) if ranks.first else SilentDisplay()
            code = _run(ranks.share(lambda: _restarted(call)), display, started, signals, ranks)
            ranks.leave(code)
            return code
        except (CharRNNError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            if isinstance(error, CharRNNError) and ranks.first:
                raise
            if isinstance(error, CharRNNError):
                return FAILED  # the first says it
            why = str(error).strip().splitlines()[0]
            raise TrainingError(
                f"process {ranks.rank} of {ranks.count} has lost the others ({why}); what was saved last stands, "
                "go on with --resume"
            ) from error


def _run(call: TrainingCall, display: Display, started: float, signals: _Signals, ranks: Ranks | None) -> int:
    last: Any = None
    with display, ExitStack() as held:
        trainer = _resume(call, display, ranks, held) if call.resume else _begin(call, display, started, ranks, held)
        if call.dry_run:
            _say_plan(trainer, display)
            return OK
        signals.training = True
        for last in trainer.run(signals.stop):
            display.show(last)
    return OK if isinstance(display, SilentDisplay) else _say_end(last, display, call)


def _restarted(call: TrainingCall) -> TrainingCall:
    """What torchrun starts again, as a process was lost, goes on where it was saved."""
    if os.environ.get(RESTARTS, "0") == "0" or call.resume:
        return call
    path = call.out or newest_unfinished(call.sources)
    place = None if path is None else readable(path)
    if path is None or place is None or not (place / STATE).exists():
        return call
    return replace(call, resume=True, out=path, overwrite=False, init_from=None, config=TrainingConfig())


def _begin(call: TrainingCall, display: Display, started: float, ranks: Ranks | None, held: ExitStack) -> Trainer:
    if not call.sources:
        raise UsageError("name what to train on: a file, a folder, or corpus for the bundled text")
    from charrnn.forms import CELLS

    if call.config.cell not in CELLS:  # before a long text is read for nothing
        raise UsageError(f"there is no cell {call.config.cell!r}; there are {', '.join(CELLS)}")
    out = _by_the_first(ranks, lambda: _free_place(call, held))
    from charrnn.dataset import prepare

    config, weights, tokenizer = call.config, None, None
    if call.init_from is not None:
        from charrnn.model import load

        parent = load(call.init_from)
        config = _shaped_like(config, parent.config)
        weights, tokenizer = parent.weights, parent.tokenizer
        config = replace(config, tokenizer=tokenizer.kind)

    def read() -> Dataset:
        return prepare(
            call.sources,
            kind=config.tokenizer,
            vocabulary=config.vocabulary,
            valid=call.valid,
            errors=config.errors,
            tokenizer=tokenizer,
            say=display.say,
            working=display.working,
        )

    dataset = read() if ranks is None else ranks.one_by_one(read)
    display.say(_about(dataset))
    from charrnn.ranks import ALONE
    from charrnn.training import Trainer

    ranks = ranks or ALONE
    ranks.same(dataset.key, "text; each machine needs the same files")
    display.working("measuring how fast this machine trains")
    trainer = Trainer.begin(config, dataset, out, weights=weights, parent=call.init_from, started=started, ranks=ranks)
    parameters = sum(p.numel() for p in trainer.learner.network.parameters())
    display.say(
        f"{trainer.config.description}, {parameters / 1e6:.2f} million parameters, "
        f"{trainer.config.precision} on {trainer.learner.device}; {trainer.plan.steps:,} steps into {out}"
    )
    return trainer


def _by_the_first(ranks: Ranks | None, find: Callable[[], T]) -> T:
    """What the first of the processes finds, for all; without torch, where there is only this one."""
    return find() if ranks is None else ranks.share(find)


def _free_place(call: TrainingCall, held: ExitStack) -> Path:
    """Where to save, which no other training does until this one ends."""
    if call.out is None:
        for path in new_model_paths(call.sources):
            with suppress(TrainingError):  # of another training, which has not saved yet
                held.enter_context(claimed(path))
                return path
    assert call.out is not None
    taken = call.out.exists() or sibling(call.out, "previous").exists()
    if taken and not call.overwrite:
        raise UsageError(f"{call.out} is there already: give --overwrite to replace it, or another --out")
    if taken and readable(call.out) is None:
        raise UsageError(f"{call.out} is not a model folder, so --overwrite leaves it alone; give another --out")
    held.enter_context(claimed(call.out))
    return call.out


def _shaped_like(config: TrainingConfig, parent: Architecture) -> TrainingConfig:
    """The parent's shape; of a parent without a summary, which has read no dialogue, the child may still get one."""
    names = [field.name for field in fields(Architecture) if field.name != "summary" or parent.summary]
    return replace(config, **{name: getattr(parent, name) for name in names})


def _about(dataset: Dataset) -> str:
    facts = dataset.facts
    return (
        f"{dataset.tokenizer.kind} tokenizer, {dataset.tokenizer.size:,} tokens; held out: "
        f"{facts.valid_characters:,} characters ({facts.split})"
    )


def _resume(call: TrainingCall, display: Display, ranks: Ranks | None, held: ExitStack) -> Trainer:
    path = call.out or _by_the_first(ranks, lambda: newest_unfinished(call.sources))
    if path is None:
        what = f" of {call.sources[0]}" if call.sources else ""
        raise TrainingError(f"nothing to resume: there is no unfinished run{what} under models; name it with --out")
    if call.init_from or call.overwrite:
        raise UsageError("--resume goes on with a run as it was: leave out --init-from and --overwrite")
    _by_the_first(ranks, lambda: held.enter_context(claimed(path)))
    from charrnn.dataset import open_dataset, prepare
    from charrnn.ranks import ALONE
    from charrnn.training import Trainer

    def reopen(settings: dict[str, Any]) -> Dataset:
        _refuse_other_settings(call.config, settings["training"], settings["asked"])
        config, corpus = TrainingConfig(**settings["training"]), settings["corpus"]
        try:
            return open_dataset(settings["dataset"], corpus["sources"], corpus["valid_sources"])
        except FileNotFoundError:
            display.say("the prepared text is gone from the cache: reading it again")
        dataset = prepare(
            corpus["sources"],
            kind=config.tokenizer,
            vocabulary=config.vocabulary,
            valid=corpus["valid_sources"],
            errors=config.errors,
            tokenizer=_own_tokenizer(path),
            working=display.working,
        )
        if dataset.facts.sha256 != corpus["sha256"]:
            raise TrainingError(
                f"{path}: the text it was trained on has changed, so it cannot go on exactly; train anew"
            )
        return dataset

    def one_by_one(settings: dict[str, Any]) -> Dataset:
        return reopen(settings) if ranks is None else ranks.one_by_one(lambda: reopen(settings))

    trainer = Trainer.resume(path, one_by_one, ranks or ALONE)
    display.say(f"{path}: going on at step {trainer.progress.step:,} of {trainer.plan.steps:,}")
    return trainer


def _own_tokenizer(path: Path) -> Any:
    from charrnn.checkpoint import read_model

    return read_model(path).tokenizer


def _refuse_other_settings(given: TrainingConfig, saved: dict[str, Any], asked: dict[str, Any]) -> None:
    """A setting that was typed and is neither the saved one nor as it was asked for cannot be followed, so it is
    refused; one typed as the default is as if it were not."""
    defaults = asdict(TrainingConfig())
    for name, value in asdict(given).items():
        if value not in (defaults[name], saved.get(name), asked.get(name)):
            raise UsageError(
                f"--resume goes on with the saved settings, where {name.replace('_', '-')} is {saved.get(name)}: "
                "leave the option out, or train anew"
            )


def _say_plan(trainer: Trainer, display: Display) -> None:
    plan, windows = trainer.plan, trainer.learner.windows
    display.say(
        f"would train {plan.steps:,} steps of {windows.streams} × {windows.window} tokens "
        f"({plan.steps / windows.windows:.1f} epochs), scoring held-out text every {plan.evaluate_every:,} steps"
    )


def _say_end(last: Any, display: Display, call: TrainingCall) -> int:
    if isinstance(last, Interrupted):
        command = f"charrnn train --resume --out {shlex.quote(str(last.path))}"
        display.say(f"interrupted and saved at step {last.step:,}; go on with: {command}")
        return INTERRUPTED
    if isinstance(last, Finished) and not call.as_json:
        score, alone = last.scores.whole, last.scores.alone
        find_model(last.path)
        without = f" ({alone.bits_per_character:.4f} without its memory)" if score is not alone else ""
        print(
            f"held out: {score.bits_per_character:.4f} bits per character{without} on {score.characters:,} characters; "
            f"best at step {last.best_step:,}, {last.kept} kept; {clock(last.seconds)} in all"
        )
        sys.stdout.flush()
        print(f"charrnn chat -m {shlex.quote(str(last.path))}")
    return OK
