"""What was asked, as a bag of runs of characters."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.question import ANSWERED, EARLIER, MOST_CHARACTERS, Asked, runs

MANY = 1 << 30


def test_the_runs_of_a_question_by_hand():
    expected = ["1门", "1控", "1网", "2门控", "2控网", "3门控网"]
    assert runs("门控网？", MANY) == [zlib.crc32(run.encode()) % MANY for run in expected]


@pytest.mark.parametrize("other", ["什么是GRU？", "什么是gru", "什么是 GRU 呢？", "什么是GRU啊!"])
def test_punctuation_particles_and_case_do_not_matter(other):
    assert runs(other, MANY) == runs("什么是GRU", MANY)


@given(st.text(max_size=30), st.integers(1, 50))
def test_any_text_has_runs_in_its_buckets(text, buckets):
    found = runs(text, buckets)
    assert all(0 <= bucket < buckets for bucket in found)
    assert bool(found) == bool(text)


def test_a_long_question_is_cut():
    assert runs("问" * 5000, MANY) == runs("问" * MOST_CHARACTERS, MANY)


def test_what_was_said_before_counts_less_and_less():
    asked = Asked(MANY).ask("门").answer("闸").ask("它")
    weights = dict(zip(asked.bag().buckets, asked.bag().weights, strict=True))
    door, gate, it = (runs(text, MANY)[0] for text in "门闸它")
    assert weights == {door: EARLIER, gate: ANSWERED * EARLIER, it: 1.0}
    for _ in range(10):
        asked = asked.ask("它")
    assert door not in asked.bag().buckets


def test_a_long_turn_before_a_short_question_counts_no_more_runs_than_that():
    bag = Asked(MANY).ask("门是什么").answer("一" * 100).ask("窗").bag()
    counted = dict.fromkeys(bag.buckets, 0.0)
    for bucket, weight in zip(bag.buckets, bag.weights, strict=True):
        counted[bucket] += weight
    question, answer, window = (sum(counted[b] for b in set(runs(t, MANY))) for t in ("门是什么", "一" * 100, "窗"))
    assert (question, answer, window) == pytest.approx((EARLIER, EARLIER * ANSWERED, 1.0))


def test_it_is_a_value():
    first = Asked(MANY).ask("门")
    before = first.bag()
    first.ask("窗")
    assert first.bag() == before
