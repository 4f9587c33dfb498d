"""The numpy engine against the torch network, with the same trained and stored weights."""

import numpy as np
import pytest
import torch

import charrnn
from charrnn.config import ModelConfig
from charrnn.corpus import read_corpus
from charrnn.engine import CELLS, Engine, parameter_shapes
from charrnn.errors import ModelError
from charrnn.network import Network
from charrnn.training_state import put_weights, weights_of

V, LENGTH = 60, 1000


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
    state = engine.initial_state(1)
    for t in range(LENGTH):
        logits, state = engine.step(ids[t : t + 1], state)
        np.testing.assert_allclose(logits[0], expected[t, 0].numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_window_at_once_is_step_by_step_and_streams_do_not_mix(cell):
    config = ModelConfig(cell=cell, layers=2, width=24, vocabulary=V)
    rng = np.random.default_rng(1)
    engine = Engine(config, {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in parameter_shapes(config).items()})
    ids = rng.integers(0, V, (30, 8))
    h, after = engine.advance(ids, engine.initial_state(8))
    state = engine.initial_state(8)
    for row in ids:
        logits, state = engine.step(row, state)
    np.testing.assert_allclose(engine.logits(h[-1]), logits, atol=1e-5)
    for layer, expected in zip(after, state, strict=True):
        for part, other in zip(layer, expected, strict=True):
            np.testing.assert_allclose(part, other, atol=1e-5)
    alone = engine.initial_state(1)
    for row in ids:
        one, alone = engine.step(row[3:4], alone)
    np.testing.assert_allclose(one[0], logits[3], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_is_a_value(cell):
    config = ModelConfig(cell=cell, layers=1, width=8, tied=True, vocabulary=V)
    rng = np.random.default_rng(2)
    engine = Engine(config, {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in parameter_shapes(config).items()})
    _, state = engine.step(np.array([1]), engine.initial_state(1))
    copies = [[part.copy() for part in layer] for layer in state]
    again, _ = engine.step(np.array([2]), state)
    for layer, kept in zip(state, copies, strict=True):
        for part, copy in zip(layer, kept, strict=True):
            np.testing.assert_array_equal(part, copy)
    np.testing.assert_array_equal(again, engine.step(np.array([2]), state)[0])


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
    state = model.engine.initial_state()
    for t in range(LENGTH):
        logits, state = model.engine.step(ids[t : t + 1], state)
        np.testing.assert_allclose(logits[0], expected[t, 0].numpy(), atol=1e-4, rtol=0)
