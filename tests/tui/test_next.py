"""The bars of what may come next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import charrnn
from charrnn.config import SamplingConfig
from charrnn.prospects import Prospects
from charrnn.turns import Next
from tests.tui.scripted import ScriptedSession
from tests.tui.test_app import ENDLESS, Opening
from tui.screens.next import NextScreen
from tui.strings import STRINGS
from tui.widgets.bars import GHOST, Bars, bar
from tui.widgets.slider import TemperatureSlider


def shown(app):
    page = app.pilot.app.screen
    bars = page.query_one(Bars)
    return [bars.render_line(y).text.rstrip() for y in range(bars.size.height)], str(page.query_one("#settings").visual)


@given(share=st.floats(0, 1, allow_subnormal=False), cells=st.integers(1, 80))
def test_a_bar_is_as_long_as_its_share(share, cells):
    drawn = bar(share, cells)
    eighths = sum(" ▏▎▍▌▋▊▉█".index(c) for c in drawn)
    assert abs(eighths - share * cells * 8) <= 0.5
    assert len(drawn) <= cells


@given(
    height=st.integers(2, 40),
    size=st.integers(1, 60),
    config=st.builds(SamplingConfig, temperature=st.sampled_from([0.0, 0.8, 2.0]), top_k=st.sampled_from([0, 3])),
)
def test_the_bars_with_one_for_the_rest_sum_to_one(height, size, config):
    bars = Bars(STRINGS["zh"])
    logits = np.random.default_rng(size).normal(0, 2, size).astype(np.float32)
    bars._place, bars.prospect = Next(Prospects(logits), {}), Prospects(logits).under(config)
    rows = bars.rows(height)
    assert len(rows) <= height
    assert sum(row.share for row in rows) == pytest.approx(1)


async def test_bars_follow_the_settings_and_keep_the_one_before_as_a_ghost():
    async with Opening(ScriptedSession([])) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press(*["alt+up"] * 4, "f3")
        await app.until(lambda: isinstance(app.pilot.app.screen, NextScreen))
        await app.pilot.pause()
        lines, settings = shown(app)
        assert [line.split()[:2] for line in lines[:4]] == [
            ["甲", "0.5000"],
            ["<document>", "0.2500"],
            ["丙", "0.1250"],
            ["戊", "0.0625"],
        ]
        assert lines[4].startswith("␛[31m")
        assert "\x1b" not in "".join(lines)
        assert "1.00" in settings
        assert "1.87" in settings
        assert GHOST not in lines[0]
        await app.pilot.press(*["left"] * 10)
        lines, _ = shown(app)
        assert lines[0].split()[1] == f"{64 / 86:.4f}"
        assert GHOST in lines[0]
        await app.pilot.press("k", "k")
        lines, settings = shown(app)
        assert STRINGS["zh"]["cut"].format("top-k") in lines[2]
        assert "top-k 2" in settings
        await app.pilot.press("K", "K", "p", "P", "m", "M", "home")
        lines, settings = shown(app)
        assert lines[0].split()[1] == "1.0000"
        assert "top-k –  top-p 1  min-p 0" in settings
        await app.pilot.press("end", "equals_sign", "escape")
        assert app.screen.query_one(TemperatureSlider).value == 0.8


async def test_settings_made_there_hold_for_what_is_written():
    session = ScriptedSession([ENDLESS])
    async with Opening(session, pace=300) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 200)
        await app.pilot.press("f3")  # in mid-answer
        await app.until(lambda: isinstance(app.pilot.app.screen, NextScreen))
        await app.pilot.press("k", "end")
        await app.until(lambda: session.sampling.top_k == 1 and session.sampling.temperature == 2.0)
        await app.until(lambda: 2.0 in session.temperatures)
        await app.pilot.press("f3")
        await app.pilot.pause()
        assert app.pilot.app.screen is app.screen
        await app.pilot.press("escape")
        await app.until(lambda: app.ready)


async def test_the_model_that_ships_is_looked_at():
    model = charrnn.load()
    sampling = charrnn.SamplingConfig(temperature=0, seed=1)
    async with Opening(lambda _: model.chat(sampling)) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press(*["alt+down"] * 40)
        await app.send("什么是隐藏状态？")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("f3")
        await app.until(lambda: isinstance(app.pilot.app.screen, NextScreen))
        await app.pilot.pause()
        lines, _ = shown(app)
        assert lines[0].startswith("<")  # the answer has ended by itself: a mark is the likeliest
        assert lines[0].split()[1] == "1.0000"


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 12)])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_it_fits(size, language):
    async with Opening(ScriptedSession([]), size=size, language=language) as app:
        await app.until(lambda: app.state == STRINGS[language]["ready"])
        await app.pilot.press("f3")
        await app.until(lambda: isinstance(app.pilot.app.screen, NextScreen))
        strips = app.pilot.app.screen._compositor.render_strips(app.pilot.app.size)
        assert all(strip.cell_length == size[0] for strip in strips)
