from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.lines import NOT_FIRST, NOT_LAST, wrap

texts = st.text(st.sampled_from("好的字，。（）“”…ab1 \n🙂é́-"), max_size=80)


def lines_of(text: str, width: int) -> list[str]:
    return [text[a:b] for a, b in wrap(text, width)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("一二三四五六", ["一二三四", "五六"]),
        ("一二三四，五", ["一二三", "四，五"]),
        ("一二三（四五", ["一二三", "（四五"]),
        ("一二 LSTM 三", ["一二 ", "LSTM 三"]),
        ("abcdefghij", ["abcdefgh", "ij"]),
        ("一\n\n二", ["一", "", "二"]),
    ],
)
def test_chinese_is_set_by_its_rules(text, lines):
    assert lines_of(text, 8) == lines


@given(texts, st.integers(2, 20))
def test_lines_are_the_text_and_fit(text, width):
    spans = wrap(text, width)
    assert "".join(text[a:b] for a, b in spans) == text.replace("\n", "")
    for a, b in spans:
        assert cell_len(text[a:b].rstrip(" ")) <= width


@given(texts, texts, st.integers(2, 20))
def test_growing_text_is_wrapped_from_its_last_line(text, more, width):
    before = wrap(text, width)
    start = before[-1][0]
    anew = [(start + a, start + b) for a, b in wrap((text + more)[start:], width)]
    assert before[:-1] + anew == wrap(text + more, width)


@given(st.text(st.sampled_from("好的字，。（”ab "), max_size=80))
def test_marks_stay_with_what_they_belong_to(text):
    lines = lines_of(text, 20)
    for before, after in itertools.pairwise(lines):
        stuck = all(c in NOT_FIRST | NOT_LAST for c in before.strip()[1:] + after.strip()[:-1])
        assert stuck or after[0] not in NOT_FIRST
