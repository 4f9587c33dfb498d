"""The numpy engine against the torch network, with the same stored weights; its states; its steps in place."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import charrnn
from charrnn.config import ModelConfig
from charrnn.corpus import read_corpus
from charrnn.engine import Engine, parameter_shapes
from charrnn.errors import ModelError
from charrnn.forms import CELLS, Form
from charrnn.network import Network
from charrnn.training_state import put_weights, weights_of

V, LENGTH = 60, 1000


def random_engine(cell: str, seed: int = 1, **settings) -> Engine:
    """An engine of random weights, dialogue and all."""
    config = ModelConfig(**{"cell": cell, "layers": 2, "width": 24, "vocabulary": V, "feedforward": 20, **settings})
    rng = np.random.default_rng(seed)
    return Engine(config, {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in parameter_shapes(config).items()})


def trained(cell: str, *, tied: bool) -> Network:
    """A network after some steps on a sequence with structure, so that its gates are in use."""
    torch.manual_seed(3)
    network = Network(ModelConfig(cell=cell, layers=2, width=48, vocabulary=V, tied=tied))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    ids = (torch.arange(121)[:, None] * torch.tensor([1, 3, 7, 11]) + torch.tensor([0, 5, 9, 2])) % V
    for _ in range(60):
        logits, _ = network(ids[:-1], network.initial_state(4))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 2
    return network


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [True, False])
def test_engine_and_network_agree_over_a_thousand_characters(cell, tied):
    network = trained(cell, tied=tied).eval()
    weights = {n: w.astype(np.float16).astype(np.float32) for n, w in weights_of(network).items()}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    engine = Engine(network.config, weights)
    # Text like that of its training: off it, such a network is chaotic, and any two orders of rounding part.
    ids = np.arange(LENGTH) * 7 % V
    assert len(weights) == len(parameter_shapes(network.config))
    with torch.no_grad():
        expected, _ = network(torch.from_numpy(ids)[:, None], network.initial_state(1))
    stepper = engine.stepper()
    for t in range(LENGTH):
        logits = stepper.logits(stepper.step(ids[t : t + 1]))
        np.testing.assert_allclose(logits[0], expected[t, 0].numpy(), atol=1e-4, rtol=0)
    h, state = engine.advance(ids[:, None], engine.initial_state())
    np.testing.assert_allclose(engine.logits(h[:, 0]), expected[:, 0].numpy(), atol=1e-4, rtol=0)
    np.testing.assert_allclose(state, stepper.state(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("summary", [0, 6])
def test_a_window_at_once_is_step_by_step_and_streams_do_not_mix(cell, summary):
    engine = random_engine(cell, summary=summary, sharpness=0.9, dialogue_sharpness=0.6)
    rng = np.random.default_rng(2)
    ids = rng.integers(0, V, (30, 8))
    vector = rng.normal(0, 1, summary).astype(np.float32) if summary else None
    h, after = engine.advance(ids, engine.initial_state(8), vector)
    many, alone, fourth = engine.stepper(8), engine.stepper(), 3
    for stepper in (many, alone):
        stepper.summarise(vector)
    for t, row in enumerate(ids):
        np.testing.assert_allclose(many.step(row), h[t], atol=1e-4)
        np.testing.assert_allclose(alone.step(row[fourth : fourth + 1])[0], h[t, fourth], atol=1e-4)
    np.testing.assert_allclose(many.state(), after, atol=1e-4)
    np.testing.assert_allclose(alone.state(), after[fourth : fourth + 1], atol=1e-4)
    logits = engine.logits(h[-1])
    np.testing.assert_allclose(many.logits(h[-1]), logits, atol=1e-4)
    np.testing.assert_allclose(alone.logits(h[-1, fourth : fourth + 1])[0], logits[fourth], atol=1e-4)
    np.testing.assert_allclose(engine.logits(h[-1], dialogue=True), logits * 2 / 3, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_is_a_value(cell):
    """Taken in mid-text it stays as it was; going on from it is the same to the last bit; its bytes are all of it."""
    engine = random_engine(cell)
    ids = np.random.default_rng(3).integers(0, V, (20, 1))
    stepper = engine.stepper()
    for row in ids[:5]:
        stepper.step(row)
    state = stepper.state()
    kept = state.tobytes()
    first = [stepper.step(row).tobytes() for row in ids[5:]]
    end = stepper.state().tobytes()
    assert state.tobytes() == kept
    stepper.load(np.frombuffer(kept, np.float32).reshape(1, -1))
    assert stepper.state().tobytes() == kept
    assert [stepper.step(row).tobytes() for row in ids[5:]] == first
    assert stepper.state().tobytes() == end
    other = engine.stepper()
    other.load(state)
    assert [other.step(row).tobytes() for row in ids[5:]] == first


@pytest.mark.parametrize("cell", CELLS)
def test_a_form_without_a_quicker_way_steps_by_windows_of_one(cell):
    engine, plain = random_engine(cell), random_engine(cell)

    class Plain(Form):
        advance = staticmethod(engine.form.advance)

    plain.form = Plain()
    quick, slow = engine.stepper(3), plain.stepper(3)
    for row in np.random.default_rng(4).integers(0, V, (10, 3)):
        np.testing.assert_allclose(quick.step(row), slow.step(row), atol=1e-4)
    np.testing.assert_allclose(quick.state(), slow.state(), atol=1e-4)


def test_gates_that_are_shut_overflow_silently():
    """Weights a hundred times too large: e^−a is infinite, and no warning, no NaN."""
    for cell in CELLS:
        engine = random_engine(cell)
        for layer in engine.layers:
            for weights in layer.values():
                weights *= 100
        stepper = engine.stepper()
        for id in range(10):
            h = stepper.step(np.array([id]))
            assert np.isfinite(h).all()
        assert np.isfinite(engine.advance(np.arange(10)[:, None], engine.initial_state())[0]).all()


def test_one_thread_and_two_agree(tmp_path):
    code = """
import sys, numpy as np, charrnn
model = charrnn.load()
stream = model.stream()
stream.read_text("循环神经网络" * 40)
found = []
for id in stream._tokenizer.encode("什么是隐藏状态？它在每一步都会更新。"):
    stream.read([id])
    found.append(stream.logits.copy())
np.save(sys.argv[1], np.array(found))
"""
    found = []
    for threads in "12":
        path = tmp_path / f"{threads}.npy"
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        subprocess.run([sys.executable, "-c", code, path], env={**os.environ, **limits}, check=True, timeout=120)
        found.append(np.load(path))
    np.testing.assert_allclose(*found, atol=1e-4)


def test_the_shapes_are_those_of_the_network():
    for cell in CELLS:
        for tied in (True, False):
            config = ModelConfig(cell=cell, layers=3, width=6, vocabulary=11, tied=tied)
            made = {name: tuple(p.shape) for name, p in Network(config).named_parameters()}
            assert made == parameter_shapes(config)


def test_an_unknown_cell_is_an_error_with_a_list():
    with pytest.raises(ModelError, match="rnn, lstm, gru"):
        parameter_shapes(ModelConfig(cell="qrnn", vocabulary=5))


def test_the_shipped_model_agrees_over_a_thousand_characters_of_text():
    model = charrnn.load()
    network = Network(model.config).eval()
    put_weights(network, model.weights)
    text = next(iter(next(read_corpus(["articles"])).parts)).text
    ids = np.array([model.tokenizer.document, *model.tokenizer.encode(text)][: LENGTH + 1])
    with torch.no_grad():
        expected, _ = network(torch.from_numpy(ids)[:, None], network.initial_state(1))
    stepper = model.engine.stepper()
    for t in range(LENGTH):
        logits = stepper.logits(stepper.step(ids[t : t + 1]))
        np.testing.assert_allclose(logits[0], expected[t, 0].numpy(), atol=1e-4, rtol=0)
