"""The laboratory in the app: any character looked at, branches, temperatures side by side, surprises, settings."""

from __future__ import annotations

import csv
import math
import threading

import pytest
from rich.cells import cell_len

import charrnn
from charrnn.config import SamplingConfig
from charrnn.errors import ModelError
from charrnn.history import Conversations
from charrnn.turns import Change, Turn
from tests.tui.scripted import ScriptedSession
from tests.tui.test_app import ENDLESS, Opening
from tui.layout import shade
from tui.screens.look import LookScreen
from tui.screens.next import NextScreen
from tui.screens.sweep import SweepScreen
from tui.strings import STRINGS
from tui.widgets.bars import MEMORY, NETWORK, Bars
from tui.widgets.choices import Choices
from tui.widgets.column import PARTING, ColumnView
from tui.widgets.conversation import Conversation, mark, runs_of
from tui.widgets.knobs import Knobs
from tui.widgets.legend import Legend
from tui.widgets.prompt import PromptBox
from tui.widgets.reader import Reader
from tui.widgets.slider import TemperatureSlider

ZH = STRINGS["zh"]


def top(app):
    return app.pilot.app.screen


def text_of(page, selector):
    return str(page.query_one(selector).visual)


async def looked(app, key="f6"):
    """The page is there, and knows what stands under its cursor."""
    await app.pilot.press(key)
    await app.until(lambda: isinstance(top(app), LookScreen) and top(app)._seen is not None)
    return top(app)


async def answered(app, prompt="问"):
    await app.send(prompt)
    await app.until(lambda: app.ready and "比特/字" in app.transcript)


# Any character ---------------------------------------------------------------------------------------------------


async def test_a_character_is_looked_at_and_another_one_takes_its_place():
    session = ScriptedSession(["第一个答案。", "从这里另写。"])
    async with Opening(session) as app:
        await answered(app)
        page = await looked(app)
        figures = text_of(page, "#figures")
        assert "「甲」" in figures  # every token of the script is called so
        assert f"模型给 {0.5:.4f}，第 1 位，意外 1.00 比特" in figures
        assert "随机数 0.2500" in figures
        # 2^(1/T) / (2^(1/T) + 1 + 1/2^(1/T) + 2/4^(1/T)): never below a quarter, as there are five
        assert ZH["never_below"] in figures
        assert "高于" in figures
        await app.pilot.press("right", "right", "enter", "down", "down")
        assert page.query_one(Choices).has_focus
        await app.pilot.press("enter")
        await app.until(lambda: app.ready and "‹2/2›" in app.transcript)
        assert "第一丙从这里另写。" in app.transcript
        assert ZH["branched"].format("3") in app.transcript
        assert session.turns[0].others[0].answer == "第一个答案。"
        page = await looked(app)
        await app.pilot.press("right", "right")
        await app.until(lambda: ZH["by_hand"] in text_of(page, "#figures"))
        await app.pilot.press("escape")
        assert top(app) is app.screen


async def test_the_crossing_is_where_another_is_drawn():
    """By hand: u = 0.25 draws the first of five until its share falls to 0.25."""
    prospect = ScriptedSession([]).next().prospects.under(SamplingConfig())
    _, above = prospect.turns(0.25, 0)
    shares = [p ** (1 / above) for p in (0.5, 0.25, 0.125, 0.0625, 0.0625)]
    assert shares[0] / sum(shares) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("keys", "number"), [(["right"], 1), (["end"], 199), (["down"], 37), (["end", "up"], 162), (["down", "home"], 0)]
)
async def test_the_cursor_goes_by_characters_and_lines(keys, number):
    async with Opening(ScriptedSession(["字" * 200])) as app:
        await answered(app)
        page = await looked(app)
        await app.pilot.press(*keys)
        assert page.query_one(Reader).number == number
        await app.until(lambda: page._seen.number == number)


async def test_the_mouse_moves_the_cursor_and_takes_another():
    session = ScriptedSession(["字" * 20, "新的。"])
    async with Opening(session) as app:
        await answered(app)
        page = await looked(app)
        await app.pilot.click(Reader, offset=(2 + 2 * 7, 2))
        assert page.query_one(Reader).number == 7
        await app.until(lambda: page._seen.number == 7)
        await app.pilot.click(Reader, offset=(5, 6))  # nothing stands there
        assert page.query_one(Reader).number == 7
        await app.pilot.click(Choices, offset=(5, 2), times=2)
        await app.until(lambda: top(app) is app.screen and app.ready)
        assert session.turns[0].answer == "字" * 7 + "丙新的。"


async def test_an_earlier_answer_is_looked_at_and_branched_into_a_new_conversation(tmp_path):
    session = ScriptedSession(["第一个答案。", "第二个答案。", "另写。"])
    file = tmp_path / "c.sqlite"
    async with Opening(session, conversations=file) as app:
        await answered(app, "一问")
        await app.send("二问")
        await app.until(lambda: app.ready and "第二个答案。\n温度" in app.transcript)
        page = await looked(app)
        assert "二问" in text_of(page, "#title")
        await app.pilot.press("pageup", "pageup")
        assert "一问" in text_of(page, "#title")
        await app.until(lambda: page._seen is not None)
        await app.pilot.press("enter", "down", "enter")
        await app.until(lambda: app.ready and "另写。\n‹2/2›" in app.transcript)
        assert "二问" not in app.transcript
    base = Conversations(file)
    old, new = sorted(entry.id for entry in base.listed())
    assert [turn.standing.answer for turn in base.turns(old)] == ["第一个答案。", "第二个答案。"]
    assert [turn.standing.answer for turn in base.turns(new)] == ["<document>另写。"]
    base.close()


async def test_a_branch_that_ends_at_once_shows_what_stands():
    async with Opening(ScriptedSession(["第一个答案。", ""])) as app:
        await answered(app)
        await looked(app)
        await app.pilot.press("right", "right")
        await app.until(lambda: top(app)._seen is not None and top(app)._seen.number == 2)
        await app.pilot.press("enter", "down", "down", "enter")
        await app.until(lambda: app.ready and "‹2/2›" in app.transcript)
        assert "第一丙\n‹2/2›" in app.transcript


async def test_a_look_that_comes_late_is_not_taken_for_another_place():
    """The thread is slow: keys that were pressed before the answer came do nothing, and it belongs to its place."""
    gate = threading.Event()
    gate.set()

    class Slow(ScriptedSession):
        def look_at(self, turn, number, stop=lambda: False):
            gate.wait()
            return super().look_at(turn, number, stop)

    session = Slow(["第一个答案。", "第二个。", "另写。"])
    async with Opening(session) as app:
        await answered(app, "一问")
        await app.send("二问")
        await app.until(lambda: app.ready and "第二个。\n温度" in app.transcript)
        page = await looked(app)
        gate.clear()
        await app.pilot.press("right", "pageup", "end", "enter", "down", "enter")
        assert top(app) is page
        assert page._seen is None
        gate.set()
        await app.until(lambda: page._seen is not None)
        assert page._seen.number == 5
        assert page.turn.prompt == "一问"


async def test_the_palette_over_a_page_swallows_nothing():
    session = ScriptedSession(["永远写下去。" * 40] * 5)
    async with Opening(session, pace=400) as app:
        await app.type("写")
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen) and len(columns_of(top(app))[0]) > 30)
        page = top(app)
        await app.pilot.press("ctrl+p")
        await app.until(lambda: not page._running)
        offered = {command.title for command in app.pilot.app.get_system_commands(page)}
        assert ZH["new"] not in offered
        assert ZH["quit"] in offered
        await app.pilot.press("escape")
        await app.pilot.pause(0.1)
        assert [len(column.text) for column in page._columns] == [120] * 5


async def test_a_sweep_asked_for_twice_sweeps_what_was_typed():
    session = ScriptedSession(["旧答。", *FIVE, *FIVE])
    async with Opening(session) as app:
        await answered(app, "旧问")
        await app.type("新问")
        free = threading.Event()
        app.screen.talker._put_job(free.wait)  # the thread is busy
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen))
        page = top(app)
        page.start("0.5, 1, 1.5, 1.7, 1.9")
        free.set()
        await app.until(lambda: not page._running)
        await app.pilot.press("escape")
        assert session.said == [("chat", "旧问"), ("chat", "新问")]
        assert [turn.prompt for turn in session.turns] == ["旧问", "新问"]


async def test_a_sweep_begun_anew_before_its_first_character_is_of_the_same_turn():
    session = ScriptedSession([*FIVE, *FIVE])
    session.gate.clear()
    async with Opening(session) as app:
        await app.until(lambda: app.ready)
        await app.type("新问")
        await app.pilot.press("f7")
        await app.until(lambda: session.turns)  # it has begun, and written nothing
        page = top(app)
        page.start("0.5, 1, 1.5, 1.7, 1.9")
        session.gate.set()
        await app.until(lambda: not page._running)
        await app.pilot.press("escape")
        assert [turn.prompt for turn in session.turns] == ["新问"]


async def test_what_is_typed_and_what_waits_outlives_a_sweep():
    """A draft that was put aside for an edit, and a prompt that was not yet answered."""
    arrive = threading.Event()

    def opener(_):
        arrive.wait()
        return ScriptedSession(["答。", *FIVE, *FIVE])

    async with Opening(opener) as app:
        await app.send("一")
        await app.type("二")
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen))
        await app.pilot.press("f7")
        arrive.set()
        await app.until(lambda: app.ready)
        box = app.screen.query_one(PromptBox)
        await app.until(lambda: box.text == "一")
        assert not app.screen.query_one("#waiting").display
        await app.pilot.press("enter")
        await app.until(lambda: app.ready and "比特/字" in app.transcript)
        await app.type("草稿")
        await app.pilot.press("f4", "f7")
        await app.until(lambda: isinstance(top(app), SweepScreen) and not top(app)._running)
        await app.pilot.press("f7")
        assert box.text == "草稿"


async def test_a_sweep_that_never_began_changes_nothing():
    session = ScriptedSession(["甲答。", "乙答。"])
    async with Opening(session) as app:
        await answered(app, "旧问")
        await app.pilot.press("ctrl+r")
        await app.until(lambda: "‹2/2›" in app.transcript and app.ready)
        await app.type("新问")
        free = threading.Event()
        app.screen.talker._put_job(free.wait)
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen))
        page = top(app)
        await app.pilot.press("escape")
        free.set()
        await app.until(lambda: not page._running)
        await app.pilot.press("tab", "enter", "escape")
        await app.pilot.pause(0.2)
        assert session.turns[0].answer == "乙答。"


async def test_what_waits_is_answered_before_a_sweep():
    session, arrive = ScriptedSession(["早答。", *FIVE]), threading.Event()

    def opener(_):
        arrive.wait()
        return session

    async with Opening(opener) as app:
        await app.send("早早问的")
        await app.type("后来")
        await app.pilot.press("f7")
        arrive.set()
        await app.until(lambda: isinstance(top(app), SweepScreen) and not top(app)._running)
        assert [text for _, text in session.said] == ["早早问的", "后来"]


async def test_what_cannot_be_looked_at_says_so():
    async with Opening(ScriptedSession(["答。"])) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press("f6")
        await app.until(lambda: app.notice == ZH["nothing_to_look_at"])
        await answered(app, "看不得")
        await app.pilot.press("f6")
        await app.until(lambda: isinstance(top(app), LookScreen))
        await app.until(lambda: "another model" in text_of(top(app), "#figures"))
        await app.pilot.press("enter", "enter", "right", "f6")
        await app.until(lambda: top(app) is app.screen)


async def test_what_is_written_stops_when_it_is_looked_at():
    async with Opening(ScriptedSession([ENDLESS]), pace=300) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 300)
        await looked(app)
        await app.pilot.press("escape")
        await app.until(lambda: app.ready)
        assert ZH["stopped"] in app.transcript


# Temperatures side by side ---------------------------------------------------------------------------------------


def columns_of(page):
    return [str(view.render()) for view in page.query(ColumnView)]


async def swept(app):
    await app.pilot.press("f7")
    await app.until(lambda: isinstance(top(app), SweepScreen) and top(app)._run is not None and not top(app)._running)
    await app.pilot.pause(0.1)
    return top(app)


FIVE = ["甲乙丙。", "甲乙丁。", "甲乙丁。", "子丑。", "寅寅寅。"]


async def test_temperatures_stand_side_by_side_with_the_place_where_they_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = ScriptedSession([*FIVE, "天。", "地。"])
    async with Opening(session, size=(160, 50), conversations=tmp_path / "c.sqlite") as app:
        await app.type("问")
        page = await swept(app)
        columns = columns_of(page)
        assert [column.split("\n")[:2] for column in columns] == [
            ["温度 0", "甲乙丙。"],
            ["温度 0.4", f"甲乙{PARTING}丁。"],
            ["温度 0.8", "甲乙丁。"],
            ["温度 1.2", f"{PARTING}子丑。"],
            ["温度 2", f"{PARTING}寅寅寅。"],
        ]
        assert columns[0].split("\n")[2:5] == ["熵 0.00", "比特/字 1.50", "distinct-2 1.00"]
        assert "最长重复 2" in columns[4]
        assert f"{ZH['parts_at']} 2" in columns[1]
        assert "种子 7" in text_of(page, "#title")
        lefts = [view.region.x for view in page.query(ColumnView)]
        assert lefts == sorted(set(lefts))
        await app.pilot.press("ctrl+s")
        with (tmp_path / "sweep-问.csv").open(encoding="utf-8", newline="") as file:
            assert [row["text"] for row in csv.DictReader(file)] == FIVE
        assert f"甲乙{PARTING}丁。" in (tmp_path / "sweep-问.txt").read_text(encoding="utf-8")
        # At others, by the same seed, beside those.
        page.query_one("#temperatures").value = "0.5，1.5"
        page.query_one("#temperatures").focus()
        await app.pilot.press("enter")
        await app.until(lambda: not page._running and "天。" in "".join(columns_of(page)))
        assert len(session.turns) == 1
        await app.pilot.press("right", "enter")
        await app.until(lambda: top(app) is app.screen and "‹7/7›" in app.transcript)
        assert "问\n地。\n" in app.transcript
        await app.pilot.press("left")
        await app.until(lambda: "‹6/7›" in app.transcript and "天。" in app.transcript)
    base = Conversations(tmp_path / "c.sqlite")
    (entry,) = base.listed()
    (turn,) = base.turns(entry.id)
    assert [answer.answer for answer in turn.standing.alternatives] == [*FIVE, "天。", "地。"]
    assert turn.standing.answer == "天。"
    base.close()


async def test_an_answer_that_was_given_stays_among_those_at_other_temperatures():
    session = ScriptedSession(["第一。", *FIVE])
    async with Opening(session) as app:
        await answered(app)
        page = await swept(app)
        await app.pilot.press("right", "enter")
        await app.until(lambda: top(app) is app.screen and "‹3/6›" in app.transcript)
        assert [turn.answer for turn in session.turns[0].alternatives] == ["第一。", *FIVE]
        assert len(session.turns) == 1
        assert page._words is ZH


async def test_at_eighty_columns_they_stand_one_below_the_other():
    async with Opening(ScriptedSession(FIVE)) as app:
        await app.type("问")
        page = await swept(app)
        views = page.query(ColumnView)
        assert len({view.region.x for view in views}) == 1
        tops = [view.virtual_region.y for view in views]
        assert tops == sorted(set(tops))


async def test_a_sweep_is_stopped_and_left():
    session = ScriptedSession([ENDLESS] * 5)
    async with Opening(session, pace=500) as app:
        await app.pilot.press("f7")
        assert app.notice == ZH["nothing_to_sweep"]
        await app.type("写")
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen) and len(columns_of(top(app))[0]) > 60)
        page = top(app)
        await app.pilot.press("escape")
        await app.until(lambda: not page._running)
        assert top(app) is page
        await app.pilot.press("escape")
        await app.until(lambda: top(app) is app.screen and app.ready)
        assert app.transcript.count("永远写下去") > 5
        assert len(session.turns[0].others) == 4


@pytest.mark.parametrize(("words", "said"), [("1,x", "commas"), ("1,200", "between"), ("0,1," * 4 + "2", "8")])
async def test_temperatures_that_are_none_are_refused(words, said):
    async with Opening(ScriptedSession(FIVE)) as app:
        await app.type("问")
        page = await swept(app)
        page.query_one("#temperatures").value = words
        page.query_one("#temperatures").focus()
        await app.pilot.press("enter")
        assert said in text_of(page, "#said")
        assert len(page.query(ColumnView)) == 5


async def test_a_sweep_that_fails_says_why():
    async with Opening(ScriptedSession(["甲。"])) as app:  # and no more: the script ends
        await app.type("问")
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(top(app), SweepScreen) and "Error" in text_of(top(app), "#said"))
        await app.pilot.press("escape")
        assert top(app) is app.screen


# Surprises, and marks --------------------------------------------------------------------------------------------


def test_shades_by_bits():
    assert [shade(bits) for bits in (0, 1.99, 2, 5, 8.9, 9, 40, math.nan)] == [
        "", "", "shade-1", "shade-2", "shade-2", "shade-3", "shade-3", "",
    ]  # fmt: skip


def styles_of(app, character):
    shown = app.screen.query_one(Conversation)
    strips = [shown.render_line(y) for y in range(shown.size.height)]
    found = [segment.style for strip in strips for segment in strip if character in segment.text]
    return {(style.bgcolor, style.underline, style.bold, style.reverse) for style in found}


async def test_a_key_shades_what_surprised_the_model():
    async with Opening(ScriptedSession(["平常奇怪绝。"])) as app:
        await answered(app)
        plain_style = styles_of(app, "平")
        assert styles_of(app, "绝") == plain_style
        assert not app.screen.query_one(Legend).display
        await app.pilot.press("ctrl+s")
        assert app.screen.query_one(Legend).display
        assert styles_of(app, "平") == plain_style
        found = [styles_of(app, character).pop() for character in "奇怪绝"]
        assert len({color for color, *_ in found}) == 3
        assert [signs for _, *signs in found] == [[True, None, None], [True, True, None], [True, True, True]]
        legend = str(app.screen.query_one(Legend).render())
        assert "2 比特" in legend
        assert "1/512" in legend
        await app.pilot.press("ctrl+s")
        assert styles_of(app, "绝") == plain_style


async def test_the_place_where_a_setting_changed_is_marked():
    session = ScriptedSession(["一二三四五六七八九十" * 10])
    async with Opening(session, pace=10) as app:
        await app.send("写")
        await app.until(lambda: "五" in app.transcript)
        await app.pilot.press("alt+up")
        await app.until(lambda: "⟨温度 0.85⟩" in app.transcript)
        app.screen.talker.pace = 0
        await app.until(lambda: app.ready)
        live = app.transcript
        shown = app.screen.query_one(Conversation)
        shown.show(session.turns, ZH)  # as it is when it is opened again
        assert app.transcript == live.split("Esc。\n")[1]
        app.screen.query_one(Conversation).text_select_all()
        copied = app.screen.get_selected_text()
        assert "⟨" not in copied
        assert "一二三四五六七八九十" * 10 in copied


def test_a_mark_says_what_changed():
    one = Change(0, 0, SamplingConfig(), False)
    other = Change(5, 5, SamplingConfig(temperature=0.2, top_k=3, top_p=0.5, min_p=0.1, repetition_penalty=1.2), True)
    assert mark(other, one, ZH) == "⟨温度 0.20 top-k 3 top-p 0.5 min-p 0.1 重复惩罚 1.2 记忆开⟩"
    assert mark(one, other, ZH) == "⟨温度 0.80 top-k – top-p 1 min-p 0 重复惩罚 1 记忆关⟩"
    assert mark(one._replace(sampling=SamplingConfig(seed=3)), one, ZH) == ""
    old = Turn("chat", "问", [one, other])  # of an earlier version: only where it changed is known
    old.write("一二三四五六七")
    assert "".join(text for text, _ in runs_of(old, ZH)) == f"一二三四五{mark(other, one, ZH)}六七"


# Settings --------------------------------------------------------------------------------------------------------


async def test_the_settings_beside_the_slider_are_turned_by_keys():
    session = ScriptedSession(["甲。"])
    async with Opening(session) as app:
        await app.until(lambda: app.ready)
        knobs = app.screen.query_one(Knobs)
        knobs.focus()
        await app.pilot.press("up", "up", "right", "up", "right", "up", "right", "up", "up")
        await app.until(lambda: session.sampling.repetition_penalty == 1.1)
        sampling = session.sampling
        assert (sampling.top_k, sampling.top_p, sampling.min_p) == (2, 0.99, 0.01)
        await app.pilot.press("down", "4", "2", "0", "backspace")
        await app.until(lambda: session.sampling.seed == 42)
        assert "42" in str(knobs.render())
        assert session.sampling.repetition_penalty == 1.05
        await app.pilot.press("up")
        await app.until(lambda: session.sampling.seed == 43)
        await app.pilot.press("equals_sign", "right", "equals_sign")
        await app.until(lambda: session.sampling.seed is None and session.sampling.top_k == 0)
        assert ZH["any_seed"] in str(knobs.render())


async def test_the_settings_are_turned_by_the_mouse_and_follow_the_bars():
    session = ScriptedSession(["甲。"])
    async with Opening(session) as app:
        await app.until(lambda: app.ready)
        knobs = app.screen.query_one(Knobs)
        await app.pilot.click(Knobs, offset=(12, 0))
        assert knobs.chosen == 1
        await app.pilot.press("f3")
        await app.until(lambda: isinstance(top(app), NextScreen))
        await app.pilot.press("k", "k", "k", "r", "M", "p", "escape")
        await app.until(lambda: session.sampling.top_k == 3)
        assert session.sampling.repetition_penalty == 1.05
        assert knobs.values["top_p"] == session.sampling.top_p == 0.99
        assert "top-k 3  top-p 0.99" in str(knobs.render())


async def test_the_bars_follow_the_text_while_it_is_written_and_close():
    session = ScriptedSession([ENDLESS])
    async with Opening(session, size=(160, 50), pace=200) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 200)
        await app.pilot.press("f3")
        await app.until(lambda: isinstance(top(app), NextScreen))
        page = top(app)
        first = text_of(page, "#written")
        await app.pilot.press("right")  # a ghost, that stays while the text goes on
        await app.until(lambda: text_of(page, "#written") != first)
        assert "╎" in page.query_one(Bars).render_line(0).text
        app.screen.talker.stop()
        await app.until(lambda: not app.screen.writing)
        await app.pilot.pause(0.4)  # and at the end it is the end that is seen
        assert text_of(page, "#written").endswith(session.turns[0].answer[-10:] + "▍")
        await app.pilot.press("escape")
        await app.pilot.pause(0.3)
        assert top(app) is app.screen
        await app.pilot.press("escape")
        await app.until(lambda: app.ready)


async def test_the_bars_are_those_of_the_text_on_screen():
    session = ScriptedSession(["答案。", "续写的。"])
    async with Opening(session) as app:
        await answered(app)
        for key in ("f9", "ctrl+t", "ctrl+t"):  # the first changes nothing
            await app.pilot.press(key)
            await app.pilot.press("f3")
            await app.until(lambda: isinstance(top(app), NextScreen))
            assert text_of(top(app), "#written") == ("▍" if app.screen.mode == "continue" else "答案。▍")
            await app.pilot.press("escape")
            await app.until(lambda: top(app) is app.screen)


async def test_bars_without_a_model_do_not_come_later():
    models = iter([ModelError("models/x: damaged"), ScriptedSession(["答案。"])])

    def opener(_):
        model = next(models)
        if isinstance(model, Exception):
            raise model
        return model

    async with Opening(opener) as app:
        await app.until(lambda: "damaged" in app.notice)
        await app.pilot.press("f3")
        app.screen.switch_model("another")
        await app.until(lambda: app.ready)
        await answered(app)
        await app.pilot.pause(0.2)
        assert top(app) is app.screen


async def test_a_bar_shows_what_is_the_memorys():
    session = ScriptedSession([])
    async with Opening(session) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press("ctrl+g", "f3")
        await app.until(lambda: isinstance(top(app), NextScreen))
        await app.pilot.pause()
        first, second = (top(app).query_one(Bars).render_line(y).text for y in (0, 1))
        assert first.count(NETWORK) == pytest.approx(first.count(MEMORY), abs=1)
        assert first.count(MEMORY) > 10
        assert MEMORY not in second
        assert f"{MEMORY} {ZH['memory']}" in text_of(top(app), "#settings")


# All of it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 35), (200, 60), (40, 12)])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_page_fits(size, language):
    session = ScriptedSession(["平常奇怪绝。", *FIVE])
    async with Opening(session, size=size, language=language) as app:
        await app.send("问")
        await app.until(lambda: app.state == STRINGS[language]["ready"] and session.turns)
        for key, page in (("f6", LookScreen), ("f7", SweepScreen)):
            if key == "f7":
                await app.type("问")
            await app.pilot.press(key)
            await app.until(lambda page=page: isinstance(top(app), page))
            await app.pilot.pause(0.2)
            strips = top(app)._compositor.render_strips(app.pilot.app.size)
            assert all(strip.cell_length == size[0] for strip in strips)
            hints = text_of(top(app), "#hints")
            assert size[0] < 80 or cell_len(hints) <= top(app).query_one("#hints").size.width
            await app.pilot.press("escape")
            await app.until(lambda: top(app) is app.screen)


async def test_the_laboratory_with_the_model_that_ships():
    """Seen, branched and swept as the library would."""
    model = charrnn.load()
    sampling = charrnn.SamplingConfig(temperature=0.8, seed=1)
    session = model.chat(sampling)
    async with Opening(lambda _: session, size=(160, 50)) as app:
        await answered(app, "什么是隐藏状态？")
        page = await looked(app)
        await app.pilot.press("right", "right")
        await app.until(lambda: page._seen.number == 2)
        (turn,) = session.turns
        prospect = page.query_one(Choices).prospect
        assert int(prospect.ids[prospect.choice(turn.uniforms[2])]) == turn.tokens[2]
        await app.pilot.press("enter", "down", "enter")
        await app.until(lambda: app.ready and "‹2/2›" in app.transcript)
        chosen = session.turns[0].tokens[2]
        expected = model.chat(sampling)
        list(expected.say("什么是隐藏状态？"))
        list(expected.branch(2, chosen))
        assert session.turns[0].tokens == expected.turns[0].tokens
        assert session.turns[0].answer in app.transcript
        app.screen.query_one(TemperatureSlider).value = 1.2
        await app.type("那温度呢？")
        page = await swept(app)
        list(expected.sweep("那温度呢？", [0, 0.4, 0.8, 1.2, 2], 120))
        found = [column.text for column in page._columns]
        assert found == [answer.answer[:120] for answer in expected.turns[-1].alternatives]
        await app.pilot.press("escape")
        await app.until(lambda: top(app) is app.screen and "‹4/5›" in app.transcript)
