"""Each cell against its formula written by hand, against torch's layer, and its gradient against torch's."""

import numpy as np
import pytest
import torch
from torch import nn

from charrnn.cells import CELLS, GRU, LSTM, RNN
from charrnn.config import ModelConfig
from charrnn.engine import Engine, parameter_shapes
from charrnn.forms import CELLS as FORMS
from charrnn.mingru import MinGRU
from charrnn.network import Network
from charrnn.training_state import weights_of

GATED = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
D, H, T, B = 5, 7, 6, 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_by_hand(cell, x, h):
    w_x, w_h, b = (p.detach().numpy() for p in (cell.w_x, cell.w_h, cell.b))
    return (np.tanh(w_h @ h[0] + w_x @ x + b),)


def lstm_by_hand(cell, x, state):
    h, c = state
    w_x, w_h, b = (p.detach().numpy() for p in (cell.w_x, cell.w_h, cell.b))
    i, f, o, g = (w_h @ h + w_x @ x + b).reshape(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_by_hand(cell, x, state):
    (h,) = state
    w_x, w_h, b, b_hn = (p.detach().numpy() for p in (cell.w_x, cell.w_h, cell.b, cell.b_hn))
    from_x, from_h = (w_x @ x + b).reshape(3, -1), (w_h @ h).reshape(3, -1)
    r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
    n = np.tanh(from_x[2] + r * (from_h[2] + b_hn))
    return ((1 - z) * n + z * h,)


BY_HAND = {"rnn": rnn_by_hand, "lstm": lstm_by_hand, "gru": gru_by_hand}


def random_cell(name):
    torch.manual_seed(1)
    cell = GATED[name](D, H)
    cell.reset_like_torch()  # no zero biases, so that each term counts
    return cell


def random_state(cell):
    return tuple(torch.randn(B, H) for _ in range(cell.state_parts))


def test_the_registries_of_training_and_generation_hold_the_same_cells():
    assert set(CELLS) == set(FORMS)
    for name, kind in CELLS.items():
        config = ModelConfig(cell=name, width=6, feedforward=5, vocabulary=9)
        cell = kind.of(config, nn.Identity())
        assert {key: tuple(p.shape) for key, p in cell.named_parameters()} == FORMS[name].shapes(config)
        assert [tuple(part.shape[1:]) for part in cell.initial_state(1)] == FORMS[name].state_shapes(config)
        assert cell.block == config.blocks


@pytest.mark.parametrize("name", GATED)
def test_a_window_is_the_formula_step_by_step(name):
    cell = random_cell(name)
    x, state = torch.randn(T, B, D), random_state(cell)
    h, after = cell(x, state)
    for b in range(B):
        by_hand = tuple(part[b].numpy() for part in state)
        for t in range(T):
            by_hand = BY_HAND[name](cell, x[t, b].numpy(), by_hand)
            np.testing.assert_allclose(h[t, b].detach().numpy(), by_hand[0], atol=1e-6)
        for part, expected in zip(after, by_hand, strict=True):
            np.testing.assert_allclose(part[b].detach().numpy(), expected, atol=1e-6)


def torch_layer(name, cell):
    """torch's layer with the same weights: its LSTM has the gates in the order i, f, g, o, and two biases."""
    layer = TORCH[name](D, H)

    def order(p):
        i, f, o, g = p.chunk(4) if name == "lstm" else (p, None, None, None)
        return torch.cat([i, f, g, o]) if name == "lstm" else i

    with torch.no_grad():
        layer.weight_ih_l0.copy_(order(cell.w_x))
        layer.weight_hh_l0.copy_(order(cell.w_h))
        layer.bias_ih_l0.copy_(order(cell.b))
        layer.bias_hh_l0.zero_()
        if name == "gru":
            layer.bias_hh_l0[2 * H :] = cell.b_hn
    return layer, order


@pytest.mark.parametrize("name", GATED)
def test_values_and_gradients_are_those_of_torch(name):
    cell = random_cell(name)
    layer, order = torch_layer(name, cell)
    state = random_state(cell)
    x = torch.randn(T, B, D, requires_grad=True)
    x_torch = x.detach().clone().requires_grad_()
    theirs, last = layer(x_torch, tuple(s[None] for s in state) if name == "lstm" else state[0][None])
    ours, after = cell(x, state)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    for part, expected in zip(after, last if name == "lstm" else (last,), strict=True):
        torch.testing.assert_close(part, expected[0], atol=1e-6, rtol=1e-5)
    gradient = torch.randn_like(theirs)
    theirs.backward(gradient)
    ours.backward(gradient)
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(x.grad, x_torch.grad, **close)
    torch.testing.assert_close(order(cell.w_x.grad), layer.weight_ih_l0.grad, **close)
    torch.testing.assert_close(order(cell.w_h.grad), layer.weight_hh_l0.grad, **close)
    torch.testing.assert_close(order(cell.b.grad), layer.bias_ih_l0.grad, **close)
    if name == "gru":
        torch.testing.assert_close(cell.b_hn.grad, layer.bias_hh_l0.grad[2 * H :], **close)


@pytest.mark.parametrize("name", GATED)
def test_the_gradient_is_the_slope_of_the_loss(name):
    """Against finite differences, in float64, for every weight: an oracle for cells that torch does not have."""
    cell = GATED[name](3, 4).double()
    cell.project = lambda x: nn.functional.linear(x, cell.w_x, cell.b)  # without the cast to float32
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(2, 4, dtype=torch.float64) for _ in range(cell.state_parts))
    names = [n for n, _ in cell.named_parameters()]

    def run(x, *parameters):
        for n, p in zip(names, parameters, strict=True):
            delattr(cell, n)
            setattr(cell, n, p)
        return cell(x, state)[0]

    parameters = [p.detach().clone().requires_grad_() for p in cell.parameters()]
    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("name", GATED)
def test_the_state_carries_over_windows(name):
    cell = random_cell(name)
    x, state = torch.randn(T, B, D), random_state(cell)
    whole, last = cell(x, state)
    first, middle = cell(x[:2], state)
    second, end = cell(x[2:], middle)
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=1e-5)
    for a, b in zip(last, end, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def random_block(dtype=torch.float32, **shape):
    """A block none of whose weights is zero, so that each term counts."""
    torch.manual_seed(2)
    block = MinGRU(ModelConfig(cell="mingru", vocabulary=9, **{"width": 4, "feedforward": 3} | shape), nn.Identity())
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block.to(dtype)


def random_block_state(block):
    return tuple(torch.randn_like(part) for part in block.initial_state(B))


def block_by_hand(block, x, state):
    """One position of one stream."""
    w = {name: p.detach().numpy() for name, p in block.named_parameters()}
    h, tail = state

    def normed(v):
        return (v - v.mean()) / np.sqrt(v.var() + 1e-6)

    def silu(v):
        return v * sigmoid(v)

    inputs = [*tail, w["norm"] * normed(x)]
    a, c, g = (w["w_in"] @ sum(tap * v for tap, v in zip(w["taps"], inputs, strict=True))).reshape(3, -1)
    z = sigmoid(a + w["b_z"])
    h = (1 - z) * h + z * c
    x = x + w["w_out"] @ (silu(g) * h)
    p, q = (w["v_in"] @ (w["feedforward_norm"] * normed(x))).reshape(2, -1)
    return x + w["v_out"] @ (silu(p) * q), (h, np.stack(inputs[1:]))


def test_a_window_of_the_parallel_cell_is_the_formula_step_by_step():
    block = random_block()
    x, state = torch.randn(T, B, 4), random_block_state(block)
    y, after = block(x, state)
    for b in range(B):
        by_hand = tuple(part[b].numpy() for part in state)
        for t in range(T):
            expected, by_hand = block_by_hand(block, x[t, b].numpy(), by_hand)
            np.testing.assert_allclose(y[t, b].detach().numpy(), expected, atol=1e-5)
        for part, expected in zip(after, by_hand, strict=True):
            np.testing.assert_allclose(part[b].detach().numpy(), expected, atol=1e-5)


def test_the_gradient_of_the_parallel_cell_is_the_slope_of_the_loss():
    block = random_block(torch.float64, width=2)
    names = [n for n, _ in block.named_parameters()]
    x = torch.randn(5, B, 2, dtype=torch.float64, requires_grad=True)
    state = random_block_state(block)

    def run(x, *parameters):
        for n, p in zip(names, parameters, strict=True):
            delattr(block, n)
            setattr(block, n, p)
        return block(x, state)[0]

    assert torch.autograd.gradcheck(run, (x, *(p.detach().clone().requires_grad_() for p in block.parameters())))


@pytest.mark.parametrize("first", [1, 2, 5])
def test_the_state_of_the_parallel_cell_carries_over_windows_of_any_length(first):
    block = random_block()
    x, state = torch.randn(T, B, 4), random_block_state(block)
    whole, last = block(x, state)
    one, middle = block(x[:first], state)
    two, end = block(x[first:], middle)
    torch.testing.assert_close(torch.cat([one, two]), whole, atol=1e-5, rtol=1e-5)
    for a, b in zip(last, end, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_window_at_once_in_torch_is_the_engine_position_by_position():
    """In fp32, over a long text, to 1e-5 of the largest logit."""
    torch.manual_seed(5)
    config = ModelConfig(cell="mingru", layers=3, width=32, feedforward=48, vocabulary=50)
    network = Network(config).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    weights = weights_of(network)
    assert {name: w.shape for name, w in weights.items()} == parameter_shapes(config)
    ids = torch.randint(50, (400, 2))
    with torch.no_grad():
        expected, _ = network(ids, network.initial_state(2))
    engine, most = Engine(config, weights), expected.abs().max().item()
    stepper = engine.stepper(2)
    for t in range(len(ids)):
        logits = stepper.logits(stepper.step(ids[t].numpy()))
        np.testing.assert_allclose(logits, expected[t].numpy(), atol=1e-5 * most)
