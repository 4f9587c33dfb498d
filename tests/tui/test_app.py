from __future__ import annotations

import threading

import pytest
from rich.cells import cell_len
from textual.events import Paste
from textual.geometry import Region
from textual.pilot import Pilot
from textual.selection import SELECT_ALL

import charrnn
from charrnn.config import SamplingConfig
from charrnn.errors import ModelError
from charrnn.plain import plain
from charrnn.turns import Change, Turn
from tests.tui.scripted import ScriptedSession
from tui.app import ChatApp
from tui.backend import Backend
from tui.screens.help import HelpScreen
from tui.strings import STRINGS, language_of_locale
from tui.widgets.conversation import Conversation, figures
from tui.widgets.prompt import PromptBox
from tui.widgets.slider import TemperatureSlider

ENDLESS = "永远写下去。" * 100_000


class Driver:
    """The app as a person has it: keys in, screen out."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.screen = pilot.app.screen

    async def type(self, text: str) -> None:
        self.screen.query_one(PromptBox).insert(text)

    async def send(self, text: str) -> None:
        await self.type(text)
        await self.pilot.press("enter")

    async def until(self, true) -> None:
        for _ in range(400):
            await self.pilot.pause(0.02)
            if true():
                return
        raise AssertionError(f"it never came; on screen:\n{self.transcript[-500:]}\n{self.state}")

    @property
    def transcript(self) -> str:
        return self.screen.query_one(Conversation).text

    def static(self, name: str) -> str:
        return str(self.screen.query_one(name).visual)

    @property
    def state(self) -> str:
        return self.static("#state")

    @property
    def notice(self) -> str:
        shown = self.screen.query_one("#notice")
        return self.static("#notice") if shown.display else ""

    @property
    def ready(self) -> bool:
        return self.state == STRINGS["zh"]["ready"]

    def lines(self) -> str:
        """What is drawn, line by line."""
        transcript = self.screen.query_one(Conversation)
        return "\n".join(transcript.render_line(y).text for y in range(transcript.size.height))


class Opening:
    """An app on a session, at full speed, with the driver for it."""

    def __init__(self, session, size=(80, 24), language="zh", pace=0.0, **backend) -> None:
        opener = session if callable(session) else lambda _: session
        self.app = ChatApp(Backend(opener, **backend), language=language, pace=pace)
        self._test = self.app.run_test(size=size)

    async def __aenter__(self) -> Driver:
        return Driver(await self._test.__aenter__())

    async def __aexit__(self, *error) -> None:
        await self._test.__aexit__(*error)


async def test_a_question_is_answered_on_screen():
    session = ScriptedSession(["隐藏状态是网络的记忆。"])
    async with Opening(session) as app:
        await app.send("什么是隐藏状态？")
        await app.until(lambda: "种子 7" in app.transcript)
        assert session.said == [("chat", "什么是隐藏状态？")]
        assert "什么是隐藏状态？\n隐藏状态是网络的记忆。\n温度 0.80 · 种子 7 · 11 字" in app.transcript
        assert "1.50 比特/字" in app.transcript
        assert app.ready


async def test_the_model_that_ships_answers_and_continues():
    """The real session; what it says is the model's affair, that it says it as the library would is ours."""
    model = charrnn.load()
    sampling = charrnn.SamplingConfig(temperature=0.3, seed=1)
    expected = "".join(piece.text for piece in model.chat(sampling).say("什么是隐藏状态？"))
    async with Opening(lambda _: model.chat(sampling)) as app:
        await app.pilot.press(*["alt+down"] * 10)  # the slider, from 0.80 to 0.30
        await app.send("什么是隐藏状态？")
        await app.until(lambda: "种子 1" in app.transcript)
        assert f"什么是隐藏状态？\n{plain(expected)}\n温度 0.30" in app.transcript
        await app.pilot.press("ctrl+t")
        await app.send("循环神经网络")
        await app.until(lambda: len(app.transcript) > 2000)
        await app.pilot.press("escape")
        await app.until(lambda: STRINGS["zh"]["stopped"] in app.transcript)
        assert "循环神经网络" in app.transcript


async def test_a_key_lets_the_memory_have_its_say():
    session = ScriptedSession([])
    async with Opening(lambda _: session) as app:
        await app.until(lambda: app.ready)
        for on in (True, False):
            await app.pilot.press("ctrl+g")
            assert session.remembers is on
            assert (STRINGS["zh"]["memory"] in app.static("#title")) is on
    async with Opening(lambda _: ScriptedSession([], has_memory=False)) as app:
        await app.until(lambda: app.ready)
        await app.pilot.press("ctrl+g")
        assert app.notice == STRINGS["zh"]["no_memory"]


async def test_keys_are_taken_before_the_model_is_there_and_answered_when_it_is():
    session, arrive = ScriptedSession(["甲。", "乙。"]), threading.Event()

    def open_late(_):
        arrive.wait()
        return session

    async with Opening(open_late) as app:
        await app.send("一")
        await app.send("二")
        await app.pilot.pause()
        assert app.state == STRINGS["zh"]["loading"]
        assert "… 一" in app.static("#waiting")
        arrive.set()
        await app.until(lambda: "乙。\n" in app.transcript and app.ready)
        order = [app.transcript.index(word) for word in ("一\n", "甲。", "二\n", "乙。")]
        assert order == sorted(order)
        assert not app.screen.query_one("#waiting").display


async def test_escape_stops_and_keeps_the_text():
    session = ScriptedSession([ENDLESS, "之后。"])
    async with Opening(session) as app:
        await app.send("开始")
        await app.until(lambda: len(app.transcript) > 500)
        await app.pilot.press("escape")
        await app.until(lambda: "已停止" in app.transcript)
        kept = app.transcript
        assert f"开始\n{session.turns[0].answer}\n" in kept
        await app.pilot.pause(0.2)
        assert app.transcript == kept
        await app.send("再来")
        await app.until(lambda: "之后。\n" in app.transcript)


async def test_a_new_prompt_stops_what_is_being_written():
    session = ScriptedSession([ENDLESS, "短。"])
    async with Opening(session) as app:
        await app.send("长的")
        await app.until(lambda: len(app.transcript) > 300)
        await app.send("短的")
        await app.until(lambda: "短。\n" in app.transcript)
        assert "已停止" in app.transcript


async def test_temperature_takes_effect_at_the_next_character():
    session = ScriptedSession([ENDLESS])
    session.gate.clear()
    async with Opening(session) as app:
        await app.send("写")
        await app.pilot.press("alt+up", "alt+up")
        assert app.screen.query_one(TemperatureSlider).value == 0.9
        session.gate.set()
        await app.until(lambda: 0.9 in session.temperatures)
        await app.pilot.press("ctrl+down")
        await app.until(lambda: 0.85 in session.temperatures)
        await app.pilot.press("escape")


async def test_temperature_chosen_before_the_model_is_there_holds():
    session, arrive = ScriptedSession(["好。"]), threading.Event()

    def open_late(_):
        arrive.wait()
        return session

    async with Opening(open_late) as app:
        await app.pilot.press(*["alt+down"] * 30)
        arrive.set()
        await app.send("你好")
        await app.until(lambda: bool(session.temperatures))
        assert session.temperatures[0] == 0.0


async def test_slider_by_keys_and_mouse():
    async with Opening(ScriptedSession([])) as app:
        slider = app.screen.query_one(TemperatureSlider)
        await app.pilot.press("tab")
        assert slider.has_focus
        for key, value in (("right", 0.85), ("left", 0.8), ("end", 2.0), ("right", 2.0), ("home", 0.0), ("left", 0.0)):
            await app.pilot.press(key)
            assert slider.value == value
        assert "贪心" in slider.render().plain
        await app.pilot.press("equals_sign")
        assert slider.value == 0.8
        begin, cells = slider._track()
        await app.pilot.click(slider, offset=(1 + begin + cells - 1, 0))
        assert slider.value == 2.0
        await app.pilot.click(slider, offset=(1 + begin + 3, 0), times=2)
        assert slider.value == 0.8


async def test_continue_mode_shows_the_text_after_its_beginning():
    session = ScriptedSession(["有一座山。", "山里有庙。"])
    async with Opening(session) as app:
        await app.pilot.press("ctrl+t")
        await app.send("从前")
        await app.until(lambda: "从前有一座山。" in app.transcript and app.ready)
        await app.pilot.press("enter")
        await app.until(lambda: "山里有庙。" in app.transcript)
        assert session.said == [("continue", "从前"), ("continue", "")]


async def test_a_model_without_dialogue_only_continues_and_says_why():
    session = ScriptedSession(["写。"], can_chat=False)
    async with Opening(session) as app:
        await app.until(lambda: app.notice == STRINGS["zh"]["cannot_chat"])
        assert "只会续写" in app.transcript
        assert "试着问它" not in app.transcript
        await app.pilot.press("escape")
        assert app.notice == ""
        await app.pilot.press("ctrl+t")
        assert app.notice == STRINGS["zh"]["cannot_chat"]
        await app.send("开头")
        await app.until(lambda: "开头写。" in app.transcript)
        assert session.said == [("continue", "开头")]


async def test_another_model_is_welcomed_as_what_it_is():
    models = iter([ScriptedSession([], can_chat=False), ScriptedSession([]), ScriptedSession([], can_chat=False)])
    async with Opening(lambda _: next(models)) as app:
        for welcome in ("welcome_writer", "welcome", "welcome_writer"):
            await app.until(lambda said=STRINGS["zh"][welcome]: app.transcript.strip() == said)
            app.screen.switch_model("another")


async def test_errors_are_lines_on_the_screen():
    session = ScriptedSession([ModelError("出错了：换一个模型"), ValueError("bug"), "好。"])
    async with Opening(session) as app:
        await app.send("一")
        await app.until(lambda: "出错了：换一个模型" in app.transcript)
        await app.send("二")
        await app.until(lambda: "ValueError: bug" in app.transcript)
        await app.send("三")
        await app.until(lambda: "好。\n" in app.transcript)


async def test_a_model_that_cannot_be_opened_is_said_and_the_app_stays():
    arrive = threading.Event()

    def fail(_):
        arrive.wait()
        raise ModelError("models/x: damaged")

    async with Opening(fail) as app:
        await app.send("早发的")
        await app.pilot.pause()
        assert "… 早发的" in app.static("#waiting")
        arrive.set()
        await app.until(lambda: "models/x: damaged" in app.notice)
        assert app.state == STRINGS["zh"]["failed"]
        box = app.screen.query_one(PromptBox)
        await app.until(lambda: box.text == "早发的")  # nothing that was typed is lost
        assert not app.screen.query_one("#waiting").display
        await app.pilot.press("escape")
        box.clear()
        await app.send("又一条")
        await app.until(lambda: "models/x: damaged" in app.notice)
        assert box.text == "又一条"
        await app.pilot.press("ctrl+q")
    assert app.pilot.app.return_code == 1


async def test_new_conversation():
    session = ScriptedSession([ENDLESS, "新的。"])
    async with Opening(session) as app:
        await app.send("旧的")
        await app.until(lambda: len(app.transcript) > 300)
        await app.pilot.press("ctrl+n")
        await app.until(lambda: session.resets == 1)
        await app.pilot.pause(0.1)
        assert app.transcript == STRINGS["zh"]["welcome"]
        await app.send("问")
        await app.until(lambda: "新的。\n" in app.transcript)
        assert "永远" not in app.transcript


async def test_prompts_are_recalled():
    async with Opening(ScriptedSession(["。"] * 3)) as app:
        box = app.screen.query_one(PromptBox)
        for text in ("一", "二", "二"):
            await app.send(text)
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await app.pilot.press(key)
            seen.append(box.text)
        assert seen == ["二", "一", "一", "二", ""]
        await app.pilot.press("up")
        await app.type("改")
        await app.pilot.press("up")
        assert box.text == "二改"


async def test_line_breaks_and_pastes():
    session = ScriptedSession(["。"])
    async with Opening(session) as app:
        await app.type("一")
        await app.pilot.press("ctrl+j")
        await app.type("二")
        app.pilot.app.post_message(Paste("\r\n三\x1b[31m\x07\u009b繁體🙂"))
        await app.pilot.pause()
        await app.pilot.press("enter")
        await app.until(lambda: bool(session.said))
        assert session.said == [("chat", "一\n二\n三[31m繁體🙂")]


async def test_empty_questions_are_not_asked():
    session = ScriptedSession(["。"])
    async with Opening(session) as app:
        await app.send("  ")
        await app.pilot.pause(0.1)
        assert session.said == []


async def test_control_characters_are_shown_not_obeyed():
    async with Opening(ScriptedSession(["甲\x1b[2J乙\u202e丙[bold]丁[/bold]"])) as app:
        await app.send("[red]问[/red]\x1b]0;x\x07")
        await app.until(lambda: "丁[/bold]\n" in app.transcript)
        assert "甲␛[2J乙⟨U+202E⟩丙[bold]丁[/bold]" in app.transcript
        assert "[red]问[/red]" in app.lines()
        assert "\x1b" not in app.transcript


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 12), (20, 8)])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_everything_fits(size, language):
    async with Opening(ScriptedSession(["答案，" * 60]), size=size, language=language) as app:
        await app.send("问题" * 30)
        await app.until(lambda: "7" in app.transcript)
        flow = app.screen.query_one(Conversation)._flow
        assert flow.width < size[0]
        assert all(cell_len(x.block.text[x.start : x.end].rstrip()) <= flow.width for x in flow.lines if x.block)
        if size[0] >= 80:
            for name in ("#hints", "#title"):
                width = app.screen.query_one(name).size.width
                assert cell_len(app.static(name)) <= width


EDGES = "双宽字👩‍👩‍👧‍👦家庭é́组合שלום右起e\u0301尾🇨🇳旗ａｂ，。“引”" * 3


async def test_wide_characters_at_every_edge():
    """At sixteen widths, in the conversation, the box, and while it grows: no half character, no line too long."""
    session = ScriptedSession([EDGES])
    async with Opening(session, size=(36, 24)) as app:
        await app.send(EDGES)
        await app.until(lambda: app.ready and "种子" in app.transcript)
        app.screen.query_one(PromptBox).insert(EDGES)
        for width in range(20, 36):
            await app.pilot.resize_terminal(width, 60)
            await app.pilot.pause()
            strips = app.screen._compositor.render_strips(app.pilot.app.size)
            assert [strip.cell_length for strip in strips] == [width] * 60
            shown = "".join("".join(line.strip(" ▌▍") for line in app.lines().split("\n")).split())
            assert shown.count("".join(EDGES.split())) == 2


async def test_resizing_keeps_the_readers_place():
    async with Opening(ScriptedSession(["".join(f"第{n}段，说一点话。\n" for n in range(200))])) as app:
        await app.send("长文")
        await app.until(lambda: app.ready and "第199段" in app.transcript)
        await app.pilot.pause()
        assert "种子" in app.lines()
        await app.pilot.resize_terminal(60, 20)
        await app.pilot.pause()
        assert "种子" in app.lines()
        for _ in range(3):
            await app.pilot.press("pageup")
        top = app.lines().split("\n")[0].strip()
        await app.pilot.resize_terminal(100, 30)
        await app.pilot.pause()
        assert app.lines().split("\n")[0].strip() == top


async def test_reader_who_scrolled_up_is_left_there():
    session = ScriptedSession([ENDLESS])
    async with Opening(session, pace=2000) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 1800)
        await app.pilot.press("pageup", "pageup")
        await app.pilot.pause()
        seen, length = app.lines(), len(app.transcript)
        await app.until(lambda: len(app.transcript) > length + 500)
        assert app.lines() == seen
        session.gate.clear()
        await app.pilot.press(*["pagedown"] * 20)
        session.gate.set()
        await app.until(lambda: len(app.transcript) > length + 1500)
        assert "▍" in app.lines()
        await app.pilot.press("escape")


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_help_is_read_whole_at_80_columns(language):
    async with Opening(ScriptedSession([]), language=language) as app:
        await app.pilot.press("f1")
        await app.pilot.pause()
        text = app.pilot.app.screen.query_one("#help Static")
        shown = "".join(strip.text for strip in text.render_lines(Region(0, 0, *text.size)))
        for said in STRINGS[language]["help_text"].replace("\t", "").split():
            assert said in "".join(shown.split())
        assert "…" not in shown


async def test_help_and_palette():
    async with Opening(ScriptedSession([])) as app:
        await app.pilot.press("f1")
        await app.pilot.pause()
        assert isinstance(app.pilot.app.screen, HelpScreen)
        await app.pilot.press("escape")
        await app.pilot.pause()
        assert app.pilot.app.screen is app.screen
        app.pilot.app.action_switch_language()
        app.pilot.app.action_switch_theme()
        await app.pilot.pause()
        assert "temperature" in app.screen.query_one(TemperatureSlider).render().plain
        assert app.pilot.app.theme == "textual-light"
        titles = {command.title for command in app.pilot.app.get_system_commands(app.screen)}
        assert {"New conversation", "Quit"} <= titles


async def test_selected_text_is_joined_where_it_was_only_wrapped():
    async with Opening(ScriptedSession(["很长的一句话" * 20 + "\n第二段。"]), size=(40, 24)) as app:
        await app.send("问")
        await app.until(lambda: "第二段。\n" in app.transcript)
        text, _ = app.screen.query_one(Conversation).get_selection(SELECT_ALL)
        assert "很长的一句话" * 20 + "\n第二段。\n" in text


def test_both_languages_say_everything():
    assert STRINGS["zh"].keys() == STRINGS["en"].keys()
    assert all(STRINGS["zh"].values())
    assert all(STRINGS["en"].values())


@pytest.mark.parametrize(
    ("locale", "language"),
    [("", "zh"), ("C", "zh"), ("C.UTF-8", "zh"), ("zh_TW.UTF-8", "zh"), ("en_GB", "en"), ("de_DE", "en")],
)
def test_language_follows_the_locale(monkeypatch, locale, language):
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert language_of_locale() == language


async def test_again_and_the_answers_before():
    session = ScriptedSession(["甲。", "乙。", "丙。"])
    async with Opening(session) as app:
        await app.pilot.press("ctrl+r")  # nothing was said
        await app.send("问")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        for key, answer in (("ctrl+r", "乙。"), ("f5", "丙。")):
            await app.pilot.press(key)
            await app.until(lambda answer=answer: app.ready and f"{answer}\n‹" in app.transcript)
        for key, answer, place in (
            ("left", "乙。", 2),
            ("alt+left", "甲。", 1),
            ("right", "乙。", 2),
            ("alt+right", "丙。", 3),
        ):
            await app.pilot.press(key)
            await app.until(lambda answer=answer, place=place: f"{answer}\n‹{place}/3›" in app.transcript)
            assert app.transcript.count("‹") == 1
        await app.pilot.press("right", "right")
        await app.pilot.pause(0.1)
        assert "丙。\n‹3/3›" in app.transcript
        assert session.turns[0].answer == "丙。"


async def test_again_in_mid_answer_stops_it():
    session = ScriptedSession([ENDLESS, "短。"])
    async with Opening(session) as app:
        await app.send("问")
        await app.until(lambda: len(app.transcript) > 300)
        await app.pilot.press("ctrl+r")
        await app.until(lambda: app.ready and "短。\n‹2/2›" in app.transcript)
        assert "永远" not in app.transcript


async def test_again_that_fails_leaves_the_answer():
    session = ScriptedSession(["甲。", ValueError("bug")])

    def refuse():
        raise ModelError("不行")
        yield

    session.say_again = refuse
    async with Opening(session) as app:
        await app.send("问")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("ctrl+r")
        await app.until(lambda: "不行" in app.transcript)
        assert "甲。\n温度" in app.transcript


async def test_the_last_turn_is_edited():
    session = ScriptedSession(["甲。", "乙。", "丙。"])
    async with Opening(session) as app:
        for text in ("一", "二"):
            await app.send(text)
            await app.until(lambda: app.ready and app.transcript.count("种子") == len(session.turns) > 0)
        box = app.screen.query_one(PromptBox)
        await app.pilot.press("f4")
        assert box.text == "二"
        assert box.border_title == STRINGS["zh"]["editing"]
        await app.pilot.press("escape")
        assert box.text == ""
        assert not box.border_title
        await app.type("没写完的")
        await app.pilot.press("f4")
        assert box.text == "二"
        await app.pilot.press("escape")
        assert box.text == "没写完的"
        box.clear()
        await app.pilot.press("f4")
        await app.type("改")
        await app.pilot.press("enter")
        await app.until(lambda: "丙。\n" in app.transcript and app.ready)
        assert "乙。" not in app.transcript
        assert session.said == [("chat", "一"), ("chat", "二"), ("chat", "二改")]
        assert [turn.prompt for turn in session.turns] == ["一", "二改"]


async def test_the_last_turn_is_taken_back():
    session = ScriptedSession(["甲。", ENDLESS])
    async with Opening(session) as app:
        await app.pilot.press("f8", "f4", "f9")  # nothing to take back, edit or copy
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.send("二")
        await app.until(lambda: len(app.transcript) > 300)
        await app.pilot.press("f8")  # in mid-answer
        await app.until(lambda: app.screen.query_one(PromptBox).text == "二")
        assert "永远" not in app.transcript
        assert "甲。" in app.transcript
        await app.pilot.press("f8")
        await app.until(lambda: session.turns == [])
        assert app.screen.query_one(PromptBox).text == "二"  # what is in the box stays


async def test_the_answer_is_copied_to_clipboard_and_file(tmp_path):
    session, file = ScriptedSession(["答案🙂"]), tmp_path / "sub" / "copied.txt"
    async with Opening(session, copied=file) as app:
        await app.send("问")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("f9")
        assert app.pilot.app.clipboard == "答案🙂"
        assert file.read_text(encoding="utf-8") == "答案🙂"
        assert str(file) in app.notice
    async with Opening(session, copied=tmp_path) as app:  # a folder cannot be written
        await app.until(lambda: app.ready)
        await app.pilot.press("f9")
        assert str(tmp_path) in app.notice


async def test_notices_do_not_swallow_what_is_written():
    session = ScriptedSession([ENDLESS], can_chat=False)
    async with Opening(session) as app:
        await app.send("写")
        await app.until(lambda: len(app.transcript) > 300)
        await app.pilot.press("ctrl+t")
        length = len(app.transcript)
        await app.until(lambda: len(app.transcript) > length + 300)
        await app.pilot.press("escape")
        await app.until(lambda: app.ready and "已停止" in app.transcript)
        assert f"写{session.turns[0].answer}\n" in app.transcript


async def test_a_question_that_never_came_to_a_turn_is_taken_off_the_screen():
    session = ScriptedSession(["甲。", ModelError("记忆坏了"), "乙。"])
    async with Opening(session) as app:
        await app.send("一")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.send("二")
        await app.until(lambda: "记忆坏了" in app.transcript)
        assert "二" not in app.transcript
        await app.pilot.press("f8")
        await app.until(lambda: session.turns == [])
        assert "甲" not in app.transcript
        assert app.screen.query_one(PromptBox).text == "一"


async def test_continuations_that_were_queued_end_one_another():
    session, arrive = ScriptedSession([ENDLESS, ENDLESS]), threading.Event()

    def open_late(_):
        arrive.wait()
        return session

    async with Opening(open_late) as app:
        await app.pilot.press("ctrl+t")
        await app.send("一")
        await app.send("二")
        arrive.set()
        await app.until(lambda: len(session.turns) == 2 and session.turns[1].characters > 100)
        await app.pilot.press("escape")
        await app.until(lambda: app.ready and app.transcript.count("已停止") == 2)


async def test_what_belongs_to_a_conversation_that_was_left_is_not_shown():
    session = ScriptedSession(["甲。", "乙。"])
    async with Opening(session) as app:
        await app.until(lambda: app.ready)
        box = app.screen.query_one(PromptBox)
        box.insert("旧的")
        box.post_message(PromptBox.Sent(box.take()))
        await app.pilot.pause(0)
        app.screen.action_new_conversation()
        await app.until(lambda: session.resets == 1)
        await app.pilot.pause(0.1)
        assert app.transcript == STRINGS["zh"]["welcome"]
        await app.send("二")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        assert "旧的" not in app.transcript


async def test_full_speed_in_mid_answer():
    session = ScriptedSession(["字" * 3000])
    async with Opening(session, pace=400) as app:
        await app.send("写")
        for _ in range(8):
            await app.pilot.pause(0.02)
            app.screen.action_switch_pace()
        app.screen.talker.pace = 0
        await app.until(lambda: app.ready and "3,000 字" in app.transcript)
        assert "Error" not in app.transcript


async def test_what_was_copied_is_pasted_without_what_steers():
    session = ScriptedSession(["甲\x1b[31m\u202e\ud800乙"])
    async with Opening(session) as app:
        await app.send("问")
        await app.until(lambda: app.ready and "种子" in app.transcript)
        await app.pilot.press("f9", "ctrl+v")
        assert app.screen.query_one(PromptBox).text == "甲[31m?乙"


async def test_a_temperature_changed_in_mid_answer_is_marked():
    turn = Turn(
        "chat",
        "问",
        [
            Change(0, 0, SamplingConfig(temperature=0.8, seed=1), False),
            Change(9, 12, SamplingConfig(temperature=0.8, seed=1, top_k=5), False),
            Change(20, 25, SamplingConfig(temperature=1.2, seed=1), False),
        ],
    )
    assert figures(turn, STRINGS["zh"]).startswith("温度 0.80 → 1.20 （第 26 字起） · 种子 1")
    model = charrnn.load()
    async with Opening(lambda _: model.chat(SamplingConfig(seed=1)), pace=200) as app:
        await app.pilot.press("ctrl+t")
        await app.send("循环神经网络")
        await app.until(lambda: len(app.transcript) > 200)
        await app.pilot.press("alt+up")
        length = len(app.transcript)
        await app.until(lambda: len(app.transcript) > length + 300)
        await app.pilot.press("escape")
        await app.until(lambda: "0.80 → 0.85 （第" in app.transcript)
