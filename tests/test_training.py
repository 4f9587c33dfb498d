"""Training: exact resume after a real kill, budgets, the way back from a loss that blows up, and the learned rules."""

import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, load_file, save_file

import charrnn as package
from charrnn.config import ModelConfig, TrainingConfig
from charrnn.corpus import Document, Part
from charrnn.dataset import prepare
from charrnn.errors import CharRNNError, TrainingError
from charrnn.evaluation import TextScore, score_documents
from charrnn.forms import CELLS
from charrnn.heldout import HeldOut
from charrnn.learner import Learner
from charrnn.network import Network
from charrnn.objective import LEAST_SAMPLED
from charrnn.optim import scheduled_rate
from charrnn.paths import sibling
from charrnn.planning import Costs, Plan, make_plan, replanned
from charrnn.reports import Evaluated, Finished, Interrupted, Said, Stepped
from charrnn.training import Trainer
from charrnn.training_state import weights_of
from tests.conftest import environment

SMALL = {"layers": 1, "width": 24, "batch": 4, "window": 16, "threads": 1, "precision": "fp32"}


@pytest.fixture
def dataset(corpus_file):
    return prepare([str(corpus_file)], kind="char")


def begin(dataset, path, *, weights=None, **settings):
    config = TrainingConfig(**{**SMALL, "steps": 30, **settings})
    return Trainer.begin(config, dataset, path, weights=weights, started=time.monotonic())


def command(folder, out, *words):
    small = [f"--{name}={value}" for name, value in {**SMALL, "layers": 2}.items()]
    return [sys.executable, "-m", "charrnn", "train", "poems.txt", "--out", out, "--store=float32", *small, *words]


@pytest.mark.parametrize("cell", ["mingru", "lstm"])
def test_a_killed_run_resumes_bit_for_bit(cell, corpus_file, tmp_path):
    """kill -9 at random moments, then resume, as often as it takes; the weights are those of a run left alone."""
    home = environment(tmp_path)
    options = {"cwd": corpus_file.parent, "env": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    words = [f"--cell={cell}", "--steps=400", "--dropout=0.3"]
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    subprocess.run(command(tmp_path, whole, *words), check=True, **options)
    rng = random.Random()
    process = subprocess.Popen(command(tmp_path, killed, *words), **options)
    kills, steps = 0, 0
    while kills < (2 if cell == "mingru" else 1):
        while process.poll() is None and saved_step(killed) <= steps:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.4))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills, steps = kills + 1, saved_step(killed)
        process = subprocess.Popen([*command(tmp_path, killed, *words), "--resume"], **options)
    _, talk = process.communicate(timeout=100)
    assert process.returncode == 0, talk.decode()
    assert kills > 0
    final = [load((tmp_path / name / "model.safetensors").read_bytes()) for name in ("whole", "killed")]
    for name, array in final[0].items():
        np.testing.assert_array_equal(array, final[1][name], err_msg=name)
    curves = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    assert [without_clock(line) for line in curves[0]] == [without_clock(line) for line in curves[1]]


def saved_step(path):
    try:
        return json.loads((Path(path) / "training_state.json").read_text())["progress"]["step"]
    except (OSError, ValueError):
        return -1


def without_clock(line):
    return {k: v for k, v in json.loads(line).items() if k != "seconds"}


@pytest.mark.parametrize("cell", CELLS)
def test_interrupted_and_resumed_in_one_process_is_exact_too(cell, dataset, tmp_path):
    """At every kind of step: in the middle of an epoch, of an evaluation interval, and at their ends."""
    settings = {"cell": cell, "steps": 40, "dropout": 0.2}
    whole = begin(dataset, tmp_path / "whole", **settings)
    list(whole.run())
    for stop_at in (0, 1, 7, 20, 39) if cell == "mingru" else (7, 20):
        path = tmp_path / f"cut{stop_at}"
        trainer = begin(dataset, path, **settings)
        last = list(trainer.run(lambda t=trainer, n=stop_at: t.progress.step == n))[-1]
        assert last == Interrupted(path, stop_at)
        again = Trainer.resume(path, lambda _: dataset)
        assert isinstance(list(again.run())[-1], Finished)
        for name, array in weights_of(whole.learner.network).items():
            np.testing.assert_array_equal(array, weights_of(again.learner.network)[name])


def test_a_run_killed_between_the_renames_of_a_save_is_resumed(dataset, tmp_path):
    trainer = begin(dataset, tmp_path / "m", steps=10)
    list(trainer.run(lambda: trainer.progress.step == 5))
    (tmp_path / "m").rename(sibling(tmp_path / "m", "previous"))
    again = Trainer.resume(tmp_path / "m", lambda _: dataset)
    assert isinstance(list(again.run())[-1], Finished)
    whole = begin(dataset, tmp_path / "whole", steps=10)
    list(whole.run())
    assert len(again.metrics) == len(whole.metrics)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["m", "whole"]


@pytest.mark.parametrize("contrast", [0, 20])
def test_a_dialogue_is_resumed_exactly_by_two_threads(contrast, tmp_path):
    """Large enough for torch to share a gather's backward among threads, in no fixed order."""
    sets = [{"ask": [f"{n}加一是几", f"比{n}大一的数"], "answer": [f"是{chr(0x4E00 + n)}。" * 5]} for n in range(200)]
    (tmp_path / "sums.jsonl").write_text("\n".join(json.dumps(s, ensure_ascii=False) for s in sets), encoding="utf-8")
    dataset = prepare([str(tmp_path / "sums.jsonl")], kind="char")
    settings = {"steps": 12, "batch": 16, "window": 32, "threads": 2, "dropout": 0.2}
    settings |= {"contrast": contrast, "candidates": 300}
    whole = begin(dataset, tmp_path / "whole", **settings)
    list(whole.run())
    cut = begin(dataset, tmp_path / "cut", **settings)
    list(cut.run(lambda: cut.progress.step == 5))
    again = Trainer.resume(tmp_path / "cut", lambda _: dataset)
    list(again.run())
    assert whole.learner.model.summary * 16 * 32 >= 32_768
    targets = len(np.unique(whole.learner.windows.cut(0, 0)[1]))
    assert targets + LEAST_SAMPLED < whole.learner.model.vocabulary  # so the softmax is a sampled one
    for name, array in weights_of(whole.learner.network).items():
        np.testing.assert_array_equal(array, weights_of(again.learner.network)[name], err_msg=name)
    torch.set_num_threads(1)


def test_the_training_loss_and_the_held_out_score_fall(dataset, tmp_path):
    reports = list(begin(dataset, tmp_path / "m", steps=120, learning_rate=0.01).run())
    steps = [r for r in reports if isinstance(r, Stepped)]
    scores = [r.bits_per_character for r in reports if isinstance(r, Evaluated)]
    assert [r.step for r in steps] == list(range(1, 121))
    assert steps[-1].loss < steps[0].loss / 1.5
    assert scores[-1] < scores[0] / 2
    assert isinstance(reports[-1], Finished)


def test_the_figure_of_the_folder_is_what_eval_finds(dataset, corpus_file, tmp_path):
    """The exact score of the torch network, and bits per character from the numpy engine on the same text."""
    trainer = begin(dataset, tmp_path / "m", steps=40, store="float16")
    finished = list(trainer.run())[-1]
    model = package.load(tmp_path / "m")
    tokenizer, valid = dataset.tokenizer, dataset.tokens("valid")
    total = sum(
        (model.score(tokenizer.decode(valid.document(d))) for d in range(len(valid))),
        start=type(finished.scores.alone)(),
    )
    assert total.characters == finished.scores.alone.characters == dataset.facts.valid_characters
    assert total.tokens == finished.scores.alone.tokens
    assert math.isclose(total.bits_per_character, finished.scores.alone.bits_per_character, rel_tol=1e-5)
    assert model.info["held_out"]["bits_per_character"] == finished.scores.alone.bits_per_character


def test_a_finished_model_has_a_memory_that_eval_finds_as_good(tmp_path):
    """Names of twelve letters, many times each: a small network cannot know them, the memory does."""
    rng = random.Random(5)
    names = ["".join(rng.choices("甲乙丙丁戊己庚辛壬癸", k=12)) for _ in range(60)]
    (tmp_path / "names.txt").write_text("，".join(rng.choices(names, k=3500)), encoding="utf-8")
    dataset = prepare([str(tmp_path / "names.txt")], kind="char")
    trainer = begin(dataset, tmp_path / "m", steps=60, cell="mingru")
    read = trainer.finishing.read.total
    assert 0.94 < read / dataset.tokens("train").total < 0.98
    finished = list(trainer.run())[-1]
    alone, whole = finished.scores.alone, finished.scores.with_memory
    assert whole.bits_per_character < 0.7 * alone.bits_per_character
    model, bare = package.load(tmp_path / "m", memory=True), package.load(tmp_path / "m")
    assert len(model.memory.ngrams.tokens) == dataset.tokens("train").total
    assert model.config.sharpness != 1
    valid = dataset.tokens("valid")
    texts = [dataset.tokenizer.decode(valid.document(d)) for d in range(len(valid))]
    for loaded, score in ((model, whole), (bare, alone)):
        bits = sum(loaded.score(text).bits for text in texts)
        assert math.isclose(bits, score.bits, rel_tol=1e-4)
        documents = [Document("d", iter([Part("text", text)])) for text in texts]
        again = score_documents(loaded.engine, loaded.tokenizer, documents, loaded.remembered).whole
        assert math.isclose(again.bits, score.bits, rel_tol=1e-4)
    known = texts[0][: texts[0].index("，", 20)]
    assert next(model.generate(known[:-6], length=6, temperature=0)) == known[-6:-5]
    assert "memory.safetensors" in (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


def test_without_text_to_spare_or_on_request_there_is_no_memory(dataset, tmp_path):
    for name, settings in {"short": {}, "unwanted": {"memory": False}, "none": {"aside": 0}}.items():
        finished = list(begin(dataset, tmp_path / name, steps=2, **settings).run())[-1]
        assert finished.scores.with_memory is None
        assert package.load(tmp_path / name, memory=True).memory is None


def test_bits_by_hand(dataset):
    """A network that knows nothing but its biases: every token costs −log₂ of its softmax."""
    network = Network(ModelConfig(cell="rnn", layers=1, width=4, vocabulary=dataset.tokenizer.size))
    with torch.no_grad():
        network.embedding.weight.zero_()
        network.head.bias.copy_(torch.linspace(0, 3, dataset.tokenizer.size))
    valid = dataset.tokens("valid")
    held_out = HeldOut(valid, dataset.tokenizer)
    logits = np.linspace(0, 3, dataset.tokenizer.size)
    bits = -np.log2(np.exp(logits) / np.exp(logits).sum())
    expected = sum(bits[valid.document(d)[1:]].sum() for d in range(len(valid)))
    for score in (held_out.exact_score(network).alone, held_out.quick_score(network)):
        assert math.isclose(score.bits, expected, rel_tol=1e-5)
        assert score.characters == dataset.facts.valid_characters


def test_a_loss_that_blows_up_goes_back_with_half_the_rate(dataset, tmp_path, monkeypatch):
    trainer = begin(dataset, tmp_path / "m", steps=40)
    real, calls = trainer.learner.objective.loss, []

    def loss(*given):
        value, state = real(*given)
        calls.append(trainer.progress.step)
        return (value * float("nan"), state) if len(calls) == 25 else (value, state)

    monkeypatch.setattr(trainer.learner.objective, "loss", loss)
    reports = list(trainer.run())
    said = [r.text for r in reports if isinstance(r, Said)]
    assert any("back to step 24, with 0.5 of the rate" in text for text in said)
    assert isinstance(reports[-1], Finished)
    assert trainer.progress.rate_scale == 0.5


def test_it_gives_up_after_three_setbacks_and_keeps_the_best(dataset, tmp_path, monkeypatch):
    trainer = begin(dataset, tmp_path / "m", steps=40)
    real = trainer.learner.objective.loss

    def loss(*given):
        value, state = real(*given)
        return (value * float("inf") if trainer.progress.step == 10 else value), state

    monkeypatch.setattr(trainer.learner.objective, "loss", loss)
    with pytest.raises(TrainingError, match=r"4th time.*--learning-rate"):
        list(trainer.run())
    assert package.load(tmp_path / "m").info["best_step"] == 10
    monkeypatch.undo()
    resumed = Trainer.resume(tmp_path / "m", lambda _: dataset)
    assert resumed.progress.rate_scale == 0.125


def test_patience_stops_a_run_that_gets_no_better(dataset, tmp_path, monkeypatch):
    trainer = begin(dataset, tmp_path / "m", steps=400, patience=3)
    monkeypatch.setattr(HeldOut, "quick_score", lambda *_: TextScore(bits=5.0, characters=1))
    reports = list(trainer.run())
    assert any(isinstance(r, Said) and "stopping" in r.text for r in reports)
    assert trainer.progress.step == 3 * trainer.plan.evaluate_every
    assert isinstance(reports[-1], Finished)


@pytest.mark.parametrize(("keep", "same"), [("best", True), ("last", False)])
def test_the_weights_that_are_kept(keep, same, dataset, tmp_path, monkeypatch):
    """The score never betters its first: the best weights are those that the run began with."""
    trainer = begin(dataset, tmp_path / "m", keep=keep, store="float32")
    first = weights_of(trainer.learner.network)
    monkeypatch.setattr(HeldOut, "quick_score", lambda *_: TextScore(bits=5.0, characters=1))
    list(trainer.run())
    kept = package.load(tmp_path / "m")
    assert np.array_equal(kept.weights["embedding.weight"], first["embedding.weight"]) is same
    assert kept.info["best_step"] == 0


def test_minutes_are_kept(dataset, tmp_path):
    """A plan spends the budget: checked on its own figures, not on a clock."""
    costs = Costs(gone=10, step=0.1, evaluation=2, finishing=20, exact_position=0.001, longest_documents=[5000, 100])
    plan = make_plan(TrainingConfig(minutes=5), costs, windows=50)
    evaluations = math.ceil(plan.steps / plan.evaluate_every)
    spent = costs.gone + plan.steps * costs.step + evaluations * costs.evaluation + plan.last_seconds
    assert 0.97 * 300 < spent <= 300
    assert plan.exact_limit is None
    # A held-out text too long for a twentieth of the time is scored in part.
    long = Costs(
        gone=10, step=0.1, evaluation=2, finishing=0, exact_position=0.001, longest_documents=[200_000, 40_000]
    )
    assert make_plan(TrainingConfig(minutes=5), long, windows=50).exact_limit == 7_500
    # A text too short to be worth the time ends early, and the clock cannot lengthen it; epochs can.
    short = make_plan(TrainingConfig(minutes=5), costs, windows=50, most_passes=40)
    assert (short.steps, short.most_steps) == (2000, 2000)
    assert replanned(short, TrainingConfig(minutes=5), 100, 30.0, (0.01, 1.0)).steps == 2000
    assert make_plan(TrainingConfig(epochs=90), costs, windows=50, most_passes=40).steps == 4500
    assert make_plan(TrainingConfig(epochs=2.5), costs, windows=50).steps == 125
    assert make_plan(TrainingConfig(steps=7), costs, windows=50).steps == 7


def test_a_plan_by_the_clock_follows_the_clock():
    """Half the pace leaves half the steps, evaluations included; a budget of steps is kept whatever the clock says."""
    config, plan = TrainingConfig(minutes=5), Plan(1000, 100, None, 20.0)
    slow = replanned(plan, config, 400, 180.0, (0.4, 10.0))
    assert slow.steps == 400 + int((300 - 180 - 20) / (0.4 + 10 / 100))
    assert (slow.evaluate_every, slow.last_seconds) == (100, 20.0)
    assert replanned(plan, config, 400, 300.0, (0.4, 10.0)).steps == 400
    for settings in ({"steps": 1000}, {"epochs": 3.0}):
        assert replanned(plan, TrainingConfig(**settings), 400, 1e6, (9.0, 9.0)) == plan


def test_calibration_times_whole_steps(dataset, tmp_path, monkeypatch):
    """A step that blows up ends early: a plan made of such steps would be too long."""
    real, losses = Learner.step, []
    monkeypatch.setattr(Learner, "step", lambda self, rate: losses.append(real(self, rate)) or losses[-1])
    begin(dataset, tmp_path / "m", steps=0, minutes=1.0, threads=0)
    assert len(losses) > 10
    assert None not in losses


def test_the_schedule_rises_stays_and_falls():
    config = TrainingConfig(learning_rate=1.0, warmup=0.1, decay=0.5)
    rates = [scheduled_rate(config, step, 100) for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9] == rates[50] == 1.0
    assert rates[75] == 0.5
    assert rates[99] == 0.02


def test_sgd_is_the_articles_rule(dataset, tmp_path):
    """θ ← θ − α∇L, one step, by hand."""
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "dropout": 0.0, "clip": 0.0, "warmup": 0.0, "decay": 0.0}
    trainer = begin(dataset, tmp_path / "m", steps=5, **settings)
    before = {n: p.detach().clone() for n, p in trainer.learner.network.named_parameters()}
    loss, _ = trainer.learner.objective.loss(trainer.learner.network, trainer.learner.state, 0, 0)
    gradients = torch.autograd.grad(loss, list(trainer.learner.network.parameters()))
    trainer.learner.step(0.5)
    for (name, parameter), gradient in zip(trainer.learner.network.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter, before[name] - 0.5 * gradient)


def test_the_samples_do_not_touch_the_generators(dataset, tmp_path):
    trainer = begin(dataset, tmp_path / "m")
    before = torch.get_rng_state()
    trainer._samples()
    assert torch.equal(before, torch.get_rng_state())


def test_a_finished_model_trains_further_from_its_weights(dataset, tmp_path):
    list(begin(dataset, tmp_path / "m", steps=60, learning_rate=0.01).run())
    parent = package.load(tmp_path / "m")
    child = begin(dataset, tmp_path / "n", weights=parent.weights)
    first = next(r for r in child.run() if isinstance(r, Evaluated))
    assert first.bits_per_character < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(number, corpus_file, tmp_path):
    options = {"cwd": corpus_file.parent, "env": environment(tmp_path), "stdout": subprocess.PIPE}
    out = str(tmp_path / "m")
    process = subprocess.Popen(command(tmp_path, out, "--steps=200000"), stderr=subprocess.PIPE, **options)
    while saved_step(out) < 0:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume --out {out}" in talk.decode()
    assert "Traceback" not in talk.decode()
    assert saved_step(out) > 0
    assert package.load(out).info["status"] == "training"


@pytest.fixture
def unfinished(dataset, tmp_path, tmp_path_factory):
    """A copy of a run that was interrupted, which is made once."""
    whole = tmp_path_factory.getbasetemp() / "unfinished"
    if not whole.exists():
        trainer = begin(dataset, whole, steps=9)
        for _ in trainer.run(lambda: trainer.progress.step >= 2):
            pass
    shutil.copytree(whole, tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize(
    "harm",
    [
        ("progress", "step", -1), ("progress", "index", 10**6), ("progress", "epoch", 1.5),
        ("progress", "seconds", None),
        ("plan", "steps", 10**30), ("plan", "evaluate_every", 0), ("plan", "last_seconds", float("nan")),
        ("training", "optimizer", 5), ("training", "layers", 1.0), ("dataset", None, "../x"), ("streams", None, []),
    ],
    ids=lambda harm: harm[1] or harm[0],
)  # fmt: skip
def test_a_training_state_of_other_values_is_one_line(harm, unfinished, dataset):
    name, key, value = harm
    record = json.loads((unfinished / "training_state.json").read_text(encoding="utf-8"))
    if key is None:
        record[name] = value
    else:
        record[name][key] = value
    (unfinished / "training_state.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CharRNNError) as error:
        Trainer.resume(unfinished, lambda _: dataset)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["optimizer.0.exp_avg", "optimizer.0.step", "weights.embedding.weight", "state.0.0"])
@pytest.mark.parametrize("harm", [lambda t: t.reshape(-1)[:0], lambda t: t.astype(np.float64), None])
def test_tensors_of_another_network_are_refused_before_a_kernel_sees_them(name, harm, unfinished, dataset):
    """The fused AdamW writes beyond the end of a tensor that is too short."""
    file = unfinished / "training_state.safetensors"
    tensors = load_file(file)
    if harm is None:
        del tensors[name]
    else:
        tensors[name] = np.ascontiguousarray(harm(tensors[name]))
    save_file(tensors, file)
    with pytest.raises(TrainingError, match="damaged"):
        Trainer.resume(unfinished, lambda _: dataset)


def test_a_text_that_cannot_be_read_again_is_no_damage(unfinished):
    def refuse(settings):
        raise PermissionError(13, "Permission denied", "text.txt")

    with pytest.raises(TrainingError, match=r"cannot be read again .*text\.txt.* stands as it was saved"):
        Trainer.resume(unfinished, refuse)


def test_what_an_optimiser_would_keep_of_a_parameter_that_is_not_there_is_refused(unfinished, dataset):
    file = unfinished / "training_state.safetensors"
    save_file({**load_file(file), "optimizer.999.step": np.zeros((), np.float32)}, file)
    with pytest.raises(TrainingError, match="damaged"):
        Trainer.resume(unfinished, lambda _: dataset)
