"""The n-gram memory against counting by hand, and its gate against what must be learned."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.gate_training import best_sharpness, train_gate
from charrnn.memory import (
    CACHE_ORDERS,
    CACHED,
    COLUMNS,
    DEPTH,
    EXPERTS,
    FEATURES,
    FLOOR,
    MOST,
    NOTHING,
    ORDERS,
    SOFTER,
    Experts,
    Gate,
    History,
    Memory,
    NGrams,
)
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
@given(texts, st.sampled_from([1, 10, 1000]))
def test_positions_are_sorted_by_what_stands_before_them(text, together):
    def before(position):
        return tuple(text[max(0, position - DEPTH) : position][::-1])

    expected = sorted(range(len(text)), key=before)
    positions = by_context(np.array(text, np.uint16), together).tolist()
    assert [before(p) for p in positions] == [before(p) for p in expected]
    assert sorted(positions) == list(range(len(text)))


def array(tokens):
    return np.array(tokens, np.int64)


def counted(text, context, n):
    """What followed the last n tokens of the context in the text, by hand."""
    wanted = context[len(context) - n :] if n <= len(context) else [NOTHING]
    if NOTHING in wanted:
        return Counter()
    return Counter(text[i] for i in range(n, len(text)) if text[i - n : i] == wanted and text[i] != NOTHING)


contexts_strategy = st.lists(st.integers(NOTHING, V - 1), max_size=40)


@settings(max_examples=200, deadline=None)
@given(texts, contexts_strategy)
def test_what_followed_is_what_counting_finds(text, context):
    found = ngrams(text).followers([array([]), array(context)])
    assert not found.counts[0].any()
    everywhere = [(text, n) for n in ORDERS] + [(context, n) for n in CACHE_ORDERS]
    for column, (where, n) in enumerate(everywhere):
        followed = counted(where, context, n)
        assert found.counts[1, column] == followed.total()
        mine = found.cells == COLUMNS + column
        shares = dict(zip(found.tokens[mine].tolist(), found.shares[mine].tolist(), strict=True))
        assert shares == pytest.approx({token: count / followed.total() for token, count in followed.items()})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(NOTHING, 9), max_size=900), max_size=12))
def test_a_history_is_the_last_tokens_and_can_be_copied(pieces):
    history, read = History(), []
    for piece in pieces:
        history.extend(piece)
        read += piece
        assert history.tokens().tolist() == read[-CACHED:]
        assert History(history.tokens()).tokens().tolist() == read[-CACHED:]


def test_of_many_occurrences_some_from_everywhere_are_looked_at():
    text = [0, 1, 0, 2] * (2 * MOST)
    found = ngrams(text).followers([array([0])])
    assert found.counts[0, 0] == len(text) // 2
    assert dict(zip(found.tokens.tolist(), found.shares.tolist(), strict=True)) == pytest.approx(
        {1: 0.5, 2: 0.5}, abs=0.01
    )


@settings(max_examples=60, deadline=None)
@given(texts, st.lists(contexts_strategy, min_size=1, max_size=4), st.integers(0, 99))
def test_the_mixture_is_the_weighted_sum_and_its_bits_are_its_logarithms(text, contexts, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (len(contexts), V)).astype(np.float32)
    memory, histories = Memory(ngrams(text), random_gate()), [array(context) for context in contexts]
    logs = memory.mix(logits, histories)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-5)
    experts = Experts(memory.ngrams, logits, histories)
    expected = {}
    for name, (features, there) in {
        "cache": (experts.features, experts.there),
        "text": experts.without_cache(),
    }.items():
        weights = memory.gate.weights(features, there)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        assert not weights[~there].any()
        expected[name] = np.zeros((len(contexts), V))
        for row, context in enumerate(contexts):
            q = np.exp(logits[row]) / np.exp(logits[row]).sum()
            soft = q ** (1 / SOFTER) / (q ** (1 / SOFTER)).sum()
            expected[name][row] = weights[row, 0] * q + weights[row, 1] * soft
            everywhere = [(text, n) for n in ORDERS] + [(context, n) for n in CACHE_ORDERS]
            for column, (where, n) in enumerate(everywhere):
                followed = counted(where, context, n)
                for token, count in followed.items():
                    expected[name][row, token] += weights[row, 2 + column] * count / followed.total()
        expected[name] = expected[name] * (1 - FLOOR) + FLOOR / V
    np.testing.assert_allclose(np.exp(logs), expected["cache"], rtol=1e-4)
    targets, rows = rng.integers(0, V, len(contexts)), np.arange(len(contexts))
    own = torch.log_softmax(torch.from_numpy(logits), 1)[rows, targets].sum().item() / np.log(2)
    by_hand = [-own, *(-np.log2(expected[name][rows, targets]).sum() for name in ("text", "cache"))]
    np.testing.assert_allclose(memory.bits(logits, histories, targets), by_hand, rtol=1e-4)


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
    assert best_sharpness((x[:0], y[:0]) for x, y in halves) is None


def test_the_network_has_its_share_of_what_it_expects():
    """By hand: where nothing was followed by a token, all of its probability is the network's."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, 9, 400).astype(np.uint16)
    gate = Gate(*(rng.normal(0, 0.1, shape).astype(np.float32) for shape in ((FEATURES, 4), 4, (4, EXPERTS), EXPERTS)))
    memory = Memory(NGrams(tokens, by_context(tokens), 12), gate)
    logits, history = rng.normal(0, 1, 12).astype(np.float32), tokens[:50].astype(np.int32)
    share = memory.network_share(logits, history, memory.mix(logits[None], [history])[0])
    assert share[9:] == pytest.approx(1, abs=1e-5)  # never read
    assert ((share > 0) & (share <= 1 + 1e-5)).all()
    experts = Experts(memory.ngrams, logits[None], [history])
    weights = gate.weights(experts.features, experts.there)[0] * (1 - FLOOR)
    q = np.exp(logits) / np.exp(logits).sum()
    soft = np.exp(logits / SOFTER) / np.exp(logits / SOFTER).sum()
    network = weights[0] * q + weights[1] * soft + FLOOR / 12
    assert share * np.exp(memory.mix(logits[None], [history])[0]) == pytest.approx(network, rel=1e-4)
