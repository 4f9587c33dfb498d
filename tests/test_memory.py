"""The n-gram memory against counting by hand, and its gate against what must be learned."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.gate_training import best_sharpness, train_gate
from charrnn.memory import DEPTH, EXPERTS, FEATURES, FLOOR, MOST, ORDERS, SOFTER, Experts, Gate, Memory, NGrams
from charrnn.memory import sorted_by_context as by_context

V = 5
texts = st.lists(st.integers(0, V - 1), min_size=1, max_size=120)


def ngrams(text, vocabulary=V):
    tokens = np.array(text, np.uint16)
    return NGrams(tokens, by_context(tokens), vocabulary)


def random_gate(hidden=3):
    rng = np.random.default_rng(4)
    shapes = (FEATURES, hidden), (hidden,), (hidden, EXPERTS), (EXPERTS,)
    return Gate(*(rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes))


@settings(max_examples=100, deadline=None)
@given(texts)
def test_positions_are_sorted_by_what_stands_before_them(text):
    def before(position):
        return tuple(text[max(0, position - DEPTH) : position][::-1])

    expected = sorted(range(len(text)), key=before)
    positions = by_context(np.array(text, np.uint16)).tolist()
    assert [before(p) for p in positions] == [before(p) for p in expected]
    assert sorted(positions) == list(range(len(text)))


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(0, V - 1), max_size=20))
def test_what_followed_is_what_counting_finds(text, context):
    found = ngrams(text).followers([[], context])
    assert not found.counts[0].any()
    for index, n in enumerate(ORDERS):
        wanted = context[len(context) - n :] if n <= len(context) else None
        followed = Counter(text[i] for i in range(n, len(text)) if wanted is not None and text[i - n : i] == wanted)
        total = sum(followed.values())
        assert found.counts[1, index] == total
        mine = found.cells == len(ORDERS) + index
        shares = dict(zip(found.tokens[mine].tolist(), found.shares[mine].tolist(), strict=True))
        assert shares == pytest.approx({token: count / total for token, count in followed.items()})


def test_of_many_occurrences_some_from_everywhere_are_looked_at():
    text = [0, 1, 0, 2] * (2 * MOST)
    found = ngrams(text).followers([[0]])
    assert found.counts[0, 0] == len(text) // 2
    assert dict(zip(found.tokens.tolist(), found.shares.tolist(), strict=True)) == pytest.approx(
        {1: 0.5, 2: 0.5}, abs=0.01
    )


@settings(max_examples=60, deadline=None)
@given(texts, st.lists(st.lists(st.integers(0, V - 1), max_size=18), min_size=1, max_size=4), st.integers(0, 99))
def test_the_mixture_is_the_weighted_sum_and_its_bits_are_its_logarithms(text, contexts, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (len(contexts), V)).astype(np.float32)
    memory = Memory(ngrams(text), random_gate())
    logs = memory.mix(logits, contexts)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-5)
    experts = Experts(memory.ngrams, logits, contexts)
    weights = memory.gate.weights(experts.features, experts.there)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert not weights[~experts.there].any()
    for row, context in enumerate(contexts):
        q = np.exp(logits[row]) / np.exp(logits[row]).sum()
        soft = q ** (1 / SOFTER) / (q ** (1 / SOFTER)).sum()
        expected = weights[row, 0] * q + weights[row, 1] * soft
        for index, n in enumerate(ORDERS):
            if n <= len(context):
                followed = Counter(text[i] for i in range(n, len(text)) if text[i - n : i] == context[-n:])
                for token, count in followed.items():
                    expected[token] += weights[row, 2 + index] * count / sum(followed.values())
        np.testing.assert_allclose(np.exp(logs[row]), expected * (1 - FLOOR) + FLOOR / V, rtol=1e-4)
    targets = rng.integers(0, V, len(contexts))
    bits = -logs[np.arange(len(contexts)), targets].sum() / np.log(2)
    alone, mixed = memory.bits(logits, contexts, targets)
    assert mixed == pytest.approx(bits, rel=1e-4)
    own = torch.log_softmax(torch.from_numpy(logits), 1)[np.arange(len(contexts)), targets].sum().item()
    assert alone == pytest.approx(-own / np.log(2), rel=1e-4)


def test_the_gate_learns_whom_to_trust():
    """Where an order's favourite is unanimous it is right, elsewhere the network is; who is absent is not heard."""
    rng = np.random.default_rng(0)
    N = 3000
    features = rng.normal(0, 1, (N, FEATURES)).astype(np.float32)
    there = np.ones((N, EXPERTS), bool)
    there[:, 5:] = False
    given_target = np.zeros((N, EXPERTS), np.float32)
    sure = features[:, 7] > 0
    given_target[sure, 3], given_target[~sure, 0] = 1.0, 1.0
    gate = train_gate(features, there, given_target, V, seed=0)
    weights = gate.weights(features, there)
    assert weights[sure, 3].mean() > 0.9
    assert weights[~sure, 0].mean() > 0.9
    assert not weights[:, 5:].any()


@pytest.mark.parametrize("sharpness", [0.55, 0.8, 1.0, 1.17])
def test_the_sharpness_of_overconfident_logits_is_found(sharpness):
    torch.manual_seed(1)
    logits = torch.randn(60_000, 8)
    targets = torch.distributions.Categorical(logits=logits).sample()
    halves = [(logits[:100] / sharpness, targets[:100]), (logits[100:] / sharpness, targets[100:])]
    assert best_sharpness(halves) == pytest.approx(sharpness, abs=0.02)
