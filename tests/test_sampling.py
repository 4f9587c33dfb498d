"""Sampling by hand-worked cases and properties."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from charrnn.config import SamplingConfig
from charrnn.errors import UsageError
from charrnn.sampling import candidates, draw, falling, penalise, sample, softmax

# Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625, in another order.
LOGITS = np.log(np.array([0.0625, 0.5, 0.125, 0.25, 0.0625], np.float32))

logits_arrays = arrays(np.float32, st.integers(1, 600), elements=st.floats(-30, 30, width=32, allow_subnormal=False))


def kept(**settings):
    return candidates(LOGITS, SamplingConfig(**settings)).ids.tolist()


def test_candidates_stand_in_order_of_falling_probability_and_equal_ones_by_id():
    assert kept() == [1, 3, 2, 0, 4]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 1}, [1]),
        ({"top_k": 99}, [1, 3, 2, 0, 4]),
        ({"top_p": 0.5}, [1]),
        ({"top_p": 0.51}, [1, 3]),
        ({"top_p": 0.875}, [1, 3, 2]),
        ({"top_p": 1e-9}, [1]),
        ({"min_p": 0.49}, [1, 3]),
        ({"min_p": 0.26}, [1, 3]),
        ({"min_p": 0.2}, [1, 3, 2]),
        ({"min_p": 1.0}, [1]),
        # top-p looks at what top-k left: 0.5 and 0.25 are two thirds and one third of it.
        ({"top_k": 2, "top_p": 0.6}, [1]),
        ({"top_k": 2, "top_p": 0.7}, [1, 3]),
    ],
)
def test_filters_by_hand(settings, expected):
    assert kept(**settings) == expected


def test_the_temperature_does_not_change_the_candidates():
    for temperature in (0.0, 0.1, 1.0, 2.0):
        assert kept(top_p=0.8, temperature=temperature) == [1, 3, 2]


def test_a_uniform_number_picks_from_the_cumulative_distribution():
    options = candidates(LOGITS, SamplingConfig())
    picks = [options.ids[draw(options, 1.0, u)] for u in (0.0, 0.49, 0.51, 0.74, 0.76, 0.874, 0.876, 0.99999)]
    assert picks == [1, 1, 3, 3, 2, 2, 0, 4]


def test_temperature_by_hand():
    # At temperature 0.5 the probabilities are squared: 0.25, 0.0625, 1/64, 1/256, 1/256, which sum to 0.3359375.
    options = candidates(LOGITS, SamplingConfig())
    first = 0.25 / 0.3359375
    assert options.ids[draw(options, 0.5, first - 1e-4)] == 1
    assert options.ids[draw(options, 0.5, first + 1e-4)] == 3


def test_temperature_zero_is_greedy_and_the_limit():
    for u in (0.0, 0.5, 0.999999):
        assert sample(LOGITS, [], SamplingConfig(temperature=0), u)[0] == 1
        assert sample(LOGITS, [], SamplingConfig(temperature=1e-9), u)[0] == 1


def test_the_penalty_by_hand():
    logits = np.array([2.0, -2.0, 1.0], np.float32)
    assert penalise(logits, [0, 1, 0], 2.0).tolist() == [1.0, -4.0, 1.0]
    assert logits.tolist() == [2.0, -2.0, 1.0]
    assert sample(logits, [0], SamplingConfig(temperature=0, repetition_penalty=4.0), 0.5)[0] == 2
    # Only the window counts.
    assert (
        sample(logits, [0, 2, 2], SamplingConfig(temperature=0, repetition_penalty=4.0, repetition_window=2), 0.5)[0]
        == 0
    )


def test_a_barred_token_is_never_drawn():
    logits = np.zeros(300, np.float32)
    logits[7] = -np.inf
    drawn = {sample(logits, [], SamplingConfig(temperature=2.0), u)[0] for u in np.linspace(0, 0.99999, 2000)}
    assert drawn == set(range(300)) - {7}


@settings(max_examples=200)
@given(logits_arrays, st.floats(0.05, 5), st.sets(st.integers(0, 599)))
def test_whatever_the_number_what_is_drawn_has_a_probability(logits, temperature, barred):
    logits[[id for id in barred if id < len(logits) and id != 0]] = -np.inf
    for uniform in (0.0, 0.5, 1 - 1e-7, float(np.nextafter(1, 0))):
        token, bits = sample(logits, [], SamplingConfig(temperature=temperature), uniform)
        assert logits[token] > -np.inf
        assert np.isfinite(bits)


@given(logits_arrays, st.integers(1, 700))
def test_falling_is_a_stable_sort(logits, most):
    expected = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:most]
    assert falling(logits, most).tolist() == expected


@settings(max_examples=200)
@given(logits_arrays, st.floats(0, 1, exclude_max=True, allow_subnormal=False), st.floats(0.05, 2))
def test_the_short_way_draws_what_the_full_sort_draws(logits, uniform, temperature):
    config = SamplingConfig(temperature=temperature)
    options = candidates(logits, config)
    expected = int(options.ids[draw(options, temperature, uniform)])
    got, bits = sample(logits, [], config, uniform)
    if got != expected:  # a draw on the border of two tokens, by rounding
        weights = softmax(options.logits / temperature).cumsum()
        assert np.abs(weights - uniform).min() < 1e-6
    assert bits == pytest.approx(-np.log2(softmax(logits)[got]), abs=1e-4)


@given(logits_arrays, st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_that_reach_p(logits, p):
    options = candidates(logits, SamplingConfig(top_p=p))
    probabilities = np.sort(softmax(logits))[::-1]
    n = len(options.ids)
    assert probabilities[:n].sum() >= p - 1e-6
    assert n == 1 or probabilities[: n - 1].sum() < p + 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.5},
        {"min_p": 2}, {"repetition_penalty": 0}, {"seed": -1}, {"repetition_window": -1},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        dataclasses.replace(SamplingConfig(), **wrong)
