"""What may come next, by hand and by drawing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from charrnn.config import SamplingConfig
from charrnn.prospects import Prospects, entropy_of
from charrnn.sampling import candidates, sample

# Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625, in another order.
LOGITS = np.log(np.array([0.0625, 0.5, 0.125, 0.25, 0.0625], np.float32))

logits_arrays = arrays(np.float32, st.integers(2, 300), elements=st.floats(-20, 20, width=32, allow_subnormal=False))
configs = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 0.05, 0.5, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 3, 50]),
    top_p=st.sampled_from([0.1, 0.7, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
)


def under(**settings):
    return Prospects(LOGITS).under(SamplingConfig(**settings))


def test_by_hand():
    prospect = under(temperature=1)
    assert prospect.ids.tolist() == [1, 3, 2, 0, 4]
    np.testing.assert_allclose(prospect.drawn, [0.5, 0.25, 0.125, 0.0625, 0.0625], atol=1e-7)
    assert prospect.entropy == pytest.approx(1.875)  # ½·1 + ¼·2 + ⅛·3 + 2·1/16·4
    # Temperature ½ squares: 64 16 4 1 1, of 86.
    np.testing.assert_allclose(under(temperature=0.5).drawn, np.array([64, 16, 4, 1, 1]) / 86, atol=1e-7)
    assert under(temperature=0).drawn.tolist() == [1, 0, 0, 0, 0]
    assert under(temperature=0).entropy == 0
    assert under(temperature=0.5).model_entropy == pytest.approx(1.875)


def test_each_filter_says_what_it_cut():
    prospect = under(top_k=4, top_p=0.9, min_p=0.3, temperature=1)
    # top-k leaves 4 (of 0.9375); 0.9 of that is reached by three; of those min-p keeps what is 0.3 of the first.
    assert prospect.left == {"top_k": 4, "top_p": 3, "min_p": 2}
    assert [prospect.cut_by(rank) for rank in range(5)] == [None, None, "min_p", "top_p", "top_k"]
    np.testing.assert_allclose(prospect.drawn, [2 / 3, 1 / 3, 0, 0, 0], atol=1e-7)


def test_a_hot_temperature_tends_to_uniform_and_a_cold_one_to_the_greedy():
    np.testing.assert_allclose(under(temperature=100).drawn, [0.2] * 5, atol=0.01)
    np.testing.assert_allclose(under(temperature=1e-3).drawn, [1, 0, 0, 0, 0], atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    logits=logits_arrays,
    config=configs,
    uniform=st.floats(0, 0.999999, allow_subnormal=False),
    recent=st.lists(st.integers(0, 1)),
)
def test_it_sees_what_is_sampled(logits, config, uniform, recent):
    """The same candidates, the same draw but at an edge of rounding, and probabilities that sum to 1."""
    prospects = Prospects(logits, recent)
    prospect = prospects.under(config)
    assert prospect.drawn.sum() == pytest.approx(1)
    assert prospect.model.sum() == pytest.approx(1)
    token, bits = sample(logits, recent, config, uniform)
    rank = prospect.rank(token)
    assert 2**-bits == pytest.approx(prospect.model[rank], rel=1e-4)
    if config.repetition_penalty == 1:
        assert prospect.ids[: prospect.kept].tolist() == candidates(logits, config).ids.tolist()
    edges = np.cumsum(prospect.drawn)
    if abs(edges - uniform).min() > 1e-5 and config.temperature > 0:
        assert rank == prospect.choice(uniform)


@settings(max_examples=200, deadline=None)
@given(logits=logits_arrays, config=configs, uniform=st.floats(0.001, 0.999, allow_subnormal=False))
def test_where_another_would_have_been_drawn(logits, config, uniform):
    """Drawn at both sides of each turn, and nowhere between them."""
    prospect = Prospects(logits).under(config)
    if config.temperature == 0:
        return
    rank = prospect.choice(uniform)
    below, above = prospect.turns(uniform, prospect.choice(uniform))
    assert below is None or below <= config.temperature * (1 + 1e-9)
    assert above is None or above >= config.temperature * (1 - 1e-9)
    if below is not None and below > 1e-4:
        assert prospect.at(below * (1 - 1e-6)).choice(uniform) < rank
        assert prospect.at(max(below * (1 + 1e-6), 1e-6)).choice(uniform) <= rank
    if above is not None:
        assert prospect.at(above * (1 + 1e-6)).choice(uniform) > rank
        assert prospect.at(above * (1 - 1e-6)).choice(uniform) <= rank
        assert prospect.at((above + config.temperature) / 2 * (1 - 1e-9)).choice(uniform) == rank


def test_a_turn_by_hand():
    """Two candidates, 3 : 1; u = 0.6 draws the first until it has 0.6: 3^(1/T) / (3^(1/T) + 1) = 0.6."""
    prospect = Prospects(np.log(np.array([3, 1], np.float32))).under(SamplingConfig(temperature=1))
    below, above = prospect.turns(0.6, 0)
    assert below is None
    assert above == pytest.approx(math.log(3) / math.log(1.5), rel=1e-6)
    below, above = prospect.turns(0.9, prospect.choice(0.9))
    assert below == pytest.approx(math.log(3) / math.log(9), rel=1e-6)
    assert above is None
    assert prospect.turns(0.4, 0) == (None, None)  # the first has never less than a half


def test_entropy_of_nothing_uncertain():
    assert entropy_of(np.array([1.0, 0.0])) == 0
