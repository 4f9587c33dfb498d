"""The pages over the chat: saved conversations, and models."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from textual.widgets import Input, Sparkline

import charrnn
from charrnn.catalogue import describe, find_models
from charrnn.config import SamplingConfig
from charrnn.history import Conversations
from charrnn.turns import Change, Turn
from tests.tui.scripted import ScriptedSession
from tests.tui.test_app import Opening
from tui.screens.conversations import ConversationsScreen
from tui.screens.models import ModelsScreen
from tui.strings import STRINGS
from tui.widgets.prompt import PromptBox
from tui.widgets.rows import Rows


@pytest.fixture
def file(tmp_path):
    return tmp_path / "c.sqlite"


def fill(file, prompts, answer="答案。"):
    base, numbers = Conversations(file), []
    for prompt in prompts:
        turn = Turn("chat", prompt, [Change(0, 0, SamplingConfig(seed=3), False)], "m", 1.0, stopped=False)
        turn.write(answer)
        numbers.append(base.begin(prompt))
        base.save_answer(base.add(numbers[-1], turn)[1], turn, whole=True)
    base.close()
    return numbers


def prompts_of(file, number):
    base = Conversations(file)
    found = [turn.standing.prompt for turn in base.turns(number)]
    base.close()
    return found


def drawn(app):
    rows = app.pilot.app.screen.query_one(Rows)
    return [rows.render_line(y).text.strip() for y in range(rows.size.height) if y < rows.count]


def keys_line(app):
    return str(app.pilot.app.screen.query_one("#keys").visual)


async def test_it_opens_where_it_was_left(file):
    session = ScriptedSession(["甲。", "乙。"])
    async with Opening(session, conversations=file) as app:
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
    async with Opening(ScriptedSession(["丙。"]), conversations=file) as app:
        await app.until(lambda: "一\n甲。\n" in app.transcript and app.ready)
        await app.send("二")
        await app.until(lambda: app.ready and "丙。\n" in app.transcript)
    assert prompts_of(file, 1) == ["一", "二"]


async def test_a_conversation_without_turns_is_a_welcome(file):
    Conversations(file).close()
    async with Opening(ScriptedSession(["甲。"]), conversations=file) as app:
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("f8")
        await app.until(lambda: app.screen.query_one(PromptBox).text == "一")
    async with Opening(ScriptedSession([]), conversations=file) as app:
        await app.until(lambda: app.ready)
        assert app.transcript == STRINGS["zh"]["welcome"]


async def test_a_second_program_begins_a_new_conversation(file):
    fill(file, ["旧的"])
    first = Conversations(file)
    assert first.claim()
    async with Opening(ScriptedSession(["新。"]), conversations=file) as app:
        await app.until(lambda: app.ready)
        await app.send("新的")
        await app.until(lambda: app.ready and "新。\n" in app.transcript)
        assert "旧的" not in app.transcript
    assert first.count() == 2
    first.close()


async def test_what_is_being_written_is_saved_when_the_app_ends(file):
    session = ScriptedSession(["永远写下去。" * 100_000])
    async with Opening(session, conversations=file) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 500)
    base = Conversations(file)
    assert base.turns(1)[0].standing.answer == session.turns[0].answer
    base.close()


async def test_take_back_and_new_conversation_are_saved(file):
    session = ScriptedSession(["甲。", "乙。", "丙。"])
    async with Opening(session, conversations=file) as app:
        for text in ("一", "二"):
            await app.send(text)
            await app.until(lambda: app.ready and app.transcript.count("种子") == len(session.turns) > 0)
        await app.pilot.press("f8")
        await app.until(lambda: app.screen.query_one(PromptBox).text == "二")
        app.screen.query_one(PromptBox).clear()
        await app.pilot.press("ctrl+n")
        await app.send("三")
        await app.until(lambda: app.ready and "丙。\n" in app.transcript)
    assert (prompts_of(file, 1), prompts_of(file, 2)) == (["一"], ["三"])


async def test_search_and_open(file):
    numbers = fill(file, ["什么是温度", "什么是梯度", "你好"])
    async with Opening(ScriptedSession(["好。"]), conversations=file) as app:
        await app.until(lambda: "你好" in app.transcript and app.ready)
        await app.pilot.press("f2")
        await app.pilot.pause()
        assert isinstance(app.pilot.app.screen, ConversationsScreen)
        assert [line.split()[0] for line in drawn(app)] == ["你好", "什么是梯度", "什么是温度"]
        app.pilot.app.screen.query_one(Input).value = "度"
        await app.pilot.pause()
        assert [line.split()[0] for line in drawn(app)] == ["什么是梯度", "什么是温度"]
        await app.pilot.press("down", "enter")
        await app.until(lambda: "什么是温度\n答案。" in app.transcript)
        assert "你好" not in app.transcript
        await app.send("再说")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
        await app.pilot.press("ctrl+o")
        await app.pilot.pause()
        app.pilot.app.screen.query_one(Input).value = "哪里都没有"
        await app.pilot.pause()
        assert keys_line(app) == STRINGS["zh"]["nothing_found"]
        await app.pilot.press("enter", "f2", "f8", "f8", "ctrl+s", "up", "pagedown")
        await app.pilot.press("escape")
        await app.pilot.pause()
        assert app.pilot.app.screen is app.screen
    assert prompts_of(file, numbers[0]) == ["什么是温度", "再说"]


async def test_rename_delete_and_export(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(file, ["甲题", "乙题"])
    async with Opening(ScriptedSession([]), conversations=file) as app:
        await app.until(lambda: "乙题" in app.transcript)
        await app.pilot.press("f2")
        await app.pilot.pause()
        await app.pilot.press("f2")
        await app.pilot.pause()
        app.pilot.app.screen.query_one("#ask", Input).value = "新题[b]\x1b"
        await app.pilot.press("enter")
        await app.pilot.pause()
        assert drawn(app)[0].startswith("新题[b] ")
        await app.pilot.press("ctrl+s")
        await app.pilot.pause()
        assert (tmp_path / "新题[b].md").exists()
        assert "新题[b].json" in keys_line(app)
        await app.pilot.press("f8")
        assert "新题[b]" in keys_line(app)
        await app.pilot.press("down", "up", "f8")  # moving between the two asks anew
        await app.pilot.pause()
        assert len(drawn(app)) == 2
        await app.pilot.press("f8")
        await app.pilot.pause()
        assert [line.split()[0] for line in drawn(app)] == ["甲题"]
        await app.pilot.press("escape")
        await app.until(lambda: app.transcript == STRINGS["zh"]["welcome"])  # the one on screen is gone


async def test_the_conversation_on_screen_is_exported(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with Opening(ScriptedSession(["甲。"]), conversations=file) as app:
        await app.until(lambda: app.ready)
        app.pilot.app.action_export()
        assert app.notice == STRINGS["zh"]["not_saved"]
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        app.pilot.app.action_export()
        assert "一.md" in app.notice
        assert "甲。" in (tmp_path / "一.md").read_text(encoding="utf-8")
        monkeypatch.chdir("/proc")
        app.pilot.app.action_export()
        assert "cannot be written" in app.notice


async def test_ten_thousand_conversations_are_walked(file):
    base = Conversations(file)
    with base._transaction():
        base._base.executemany(
            "INSERT INTO conversations (title, began, changed) VALUES (?, ?, ?)",
            ((f"第{n}个", n, n) for n in range(10_000)),
        )
    base.close()
    async with Opening(ScriptedSession([]), conversations=file) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press("f2")
        await app.pilot.pause()
        rows = app.pilot.app.screen.query_one(Rows)
        assert rows.count == 10_000
        await app.pilot.press(*["pagedown"] * 3, "down")
        assert drawn(app)[-1].startswith(f"第{9_999 - rows.cursor}个")
        rows.move_to(9_999)
        await app.pilot.pause()
        assert drawn(app)[-1].startswith("第0个")
        await app.pilot.click(rows, offset=(5, 1))
        assert rows.cursor == 9_999 - rows.size.height + 2


async def test_a_damaged_database_is_said(file):
    file.write_bytes(b"junk" * 1000)
    async with Opening(ScriptedSession([]), conversations=file) as app:
        await app.until(lambda: "damaged-" in app.notice)


async def test_a_damaged_answer_is_said_and_the_chat_goes_on(file):
    fill(file, ["旧的"])
    base = Conversations(file)
    base._base.execute("UPDATE answers SET record = '{}'")
    base.close()
    async with Opening(ScriptedSession(["好。"]), conversations=file) as app:
        await app.until(lambda: "damaged" in app.notice and app.ready)
        await app.send("新的")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
    assert prompts_of(file, 2) == ["新的"]


async def test_a_damaged_conversation_that_is_opened_is_an_empty_one(file):
    """What is said next belongs neither to it nor to the one that was on screen before."""
    damaged, whole = fill(file, ["坏的", "好的"])
    base = Conversations(file)
    base._base.execute("UPDATE answers SET record = '{}' WHERE turn = 1")
    base.close()
    session = ScriptedSession(["答。"])
    async with Opening(session, conversations=file) as app:
        await app.until(lambda: "好的" in app.transcript and app.ready)
        app.screen.open_conversation(damaged)
        await app.until(lambda: "damaged" in app.notice)
        assert app.transcript == STRINGS["zh"]["welcome"]
        await app.send("新问")
        await app.until(lambda: app.ready and "答。\n" in app.transcript)
        assert [turn.prompt for turn in session.turns] == ["新问"]
    assert prompts_of(file, whole) == ["好的"]
    assert prompts_of(file, whole + 1) == ["新问"]


async def test_the_conversation_on_screen_deleted_before_the_model_is_there(file):
    fill(file, ["旧的"])
    arrive = threading.Event()

    def open_late(_):
        arrive.wait()
        return ScriptedSession(["好。"])

    async with Opening(open_late, conversations=file) as app:
        await app.until(lambda: "旧的" in app.transcript)
        await app.pilot.press("f2")
        await app.pilot.pause()
        await app.pilot.press("f8", "f8", "escape")
        await app.until(lambda: app.transcript == STRINGS["zh"]["welcome"])
        arrive.set()
        await app.send("新的")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
        assert app.notice == ""
    assert prompts_of(file, 2) == ["新的"]


async def test_the_first_model_fails_and_another_goes_on_with_the_conversation(file):
    fill(file, ["旧的"])
    shipped, session = describe(charrnn.load().path), ScriptedSession(["好。"])

    def opener(path):
        if path is None:
            raise charrnn.ModelError("坏了")
        return session

    async with Opening(opener, conversations=file, find_models=lambda: [shipped]) as app:
        await app.until(lambda: app.notice == "坏了" and "旧的" in app.transcript)
        await app.pilot.press("ctrl+l")
        await app.pilot.pause()
        await app.pilot.press("enter")
        await app.until(lambda: app.ready)
        await app.send("新的")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
    assert prompts_of(file, 1) == ["旧的", "新的"]


async def test_without_a_database_it_is_said(tmp_path):
    (tmp_path / "f").write_text("")
    async with Opening(ScriptedSession(["好。"]), conversations=tmp_path / "f" / "c.sqlite") as app:
        await app.until(lambda: "c.sqlite" in app.notice)
        await app.send("问")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
        await app.pilot.press("f2")
        await app.pilot.pause()
        assert "c.sqlite" in app.notice
    async with Opening(ScriptedSession([])) as app:
        await app.pilot.press("f2")
        assert app.notice == STRINGS["zh"]["not_saved"]


async def test_models_are_listed_and_switched(file):
    shipped = describe(charrnn.load().path)
    assert shipped is not None
    other = replace(shipped, name="另一个", ships=False, can_chat=False)
    sessions = {None: ScriptedSession(["甲。"]), other.path: ScriptedSession(["乙。"])}
    sessions[other.path].title = "另一个"
    async with Opening(sessions.__getitem__, conversations=file, find_models=lambda: [shipped, other]) as app:
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("ctrl+l")
        await app.pilot.pause()
        assert isinstance(app.pilot.app.screen, ModelsScreen)
        lines = drawn(app)
        assert lines[0].startswith(shipped.name)
        assert f"{shipped.bits:.2f}" in lines[0]
        assert STRINGS["zh"]["can_ask"] in str(app.pilot.app.screen.query_one("#about").visual)
        await app.pilot.press("down")
        await app.pilot.pause()
        assert STRINGS["zh"]["cannot_ask"] in str(app.pilot.app.screen.query_one("#about").visual)
        await app.pilot.press("enter")
        await app.until(lambda: "另一个" in app.static("#title"))
        assert "甲。" in app.transcript
        await app.send("二")
        await app.until(lambda: app.ready and "乙。\n" in app.transcript)
        assert [turn.prompt for turn in sessions[other.path].turns] == ["一", "二"]
    assert prompts_of(file, 1) == ["一", "二"]


async def test_a_model_that_cannot_be_opened_leaves_the_one_there_is():
    shipped = describe(charrnn.load().path)
    opened = []

    def opener(path):
        opened.append(path)
        if path is not None:
            raise charrnn.ModelError("坏了")
        return ScriptedSession(["好。"])

    async with Opening(opener, find_models=lambda: [shipped]) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press("ctrl+l")
        await app.pilot.pause()
        await app.pilot.press("enter")
        await app.until(lambda: app.notice == "坏了")
        await app.send("问")
        await app.until(lambda: app.ready and "好。\n" in app.transcript)
    assert opened == [None, shipped.path]


async def test_a_training_run_is_watched(tmp_path):
    """Its curve and its newest sample, as they grow."""
    folder = tmp_path / "models" / "run"
    folder.mkdir(parents=True)
    info = json.loads((charrnn.load().path / "config.json").read_text(encoding="utf-8"))
    info |= {"name": "run", "status": "training", "held_out": None, "held_out_with_memory": None, "steps": 900}
    (folder / "config.json").write_text(json.dumps(info), encoding="utf-8")
    lines = [
        json.dumps({"step": n, "held_out_bits_per_character": 9 - n, "sample": f"样本{n}\x1b[31m"}) for n in range(4)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines[:3]), encoding="utf-8")
    async with Opening(ScriptedSession([]), find_models=lambda: [describe(folder)]) as app:
        await app.pilot.press("ctrl+l")
        await app.pilot.pause()
        page = app.pilot.app.screen
        assert STRINGS["zh"]["in_training"] in drawn(app)[0]
        assert "样本2␛[31m" in str(page.query_one("#sample").visual)
        assert "2 / 900" in str(page.query_one("#about").visual)
        (folder / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
        page._look_again()
        await app.pilot.pause()
        assert page.query_one("#curve", Sparkline).data == [9, 8, 7, 6]
        assert "样本3" in str(page.query_one("#sample").visual)


def test_broken_models_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "config.json").write_text("{")
    (tmp_path / "models" / "notes.txt").write_text("")
    (shipped,) = find_models()
    assert shipped.ships
    assert shipped.can_chat
    assert shipped.curve


async def test_language_and_theme_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    file = tmp_path / "sub" / "settings.json"
    for language, theme in (("en", "textual-light"), ("zh", "textual-dark")):
        async with Opening(ScriptedSession([]), language=None, settings=file) as app:
            app.pilot.app.action_switch_language()
            app.pilot.app.action_switch_theme()
        assert json.loads(file.read_text()) == {"language": language, "theme": theme}
        async with Opening(ScriptedSession([]), language=None, settings=file) as app:
            assert app.screen.language == language
            assert app.pilot.app.theme == theme
    file.write_text("[junk")
    async with Opening(ScriptedSession([]), language=None, settings=file) as app:
        assert app.pilot.app.theme == "textual-dark"
