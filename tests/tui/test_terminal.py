"""The chat in a terminal of its own, with a model of its own: what a person's keys and eyes have of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
import unicodedata
from pathlib import Path

import pyte
import pytest

from charrnn.history import Conversations
from tests.conftest import environment
from tests.test_cli import talker, writer  # noqa: F401
from tests.tui.web_client import text_of

ROOT = Path(__file__).parents[2]
# What Textual may write beside text: CSI, OSC of the clipboard and of the pointer's shape, and DCS of queries.
SEQUENCES = re.compile(r"\x1b(?:\[[0-9;?<>=:]*[ -/]*[@-~]|\](?:52;c;[A-Za-z0-9+/=]*|22;[a-z-]*)(?:\x07|\x1b\\)|[=>78])")


class Terminal:
    """A pseudo-terminal, the program in it, and what it shows."""

    def __init__(self, words: list[str], home, columns=80, rows=24, module="charrnn") -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execve(
                sys.executable,
                [sys.executable, "-m", module, *words],
                {"PYTHONPATH": str(ROOT), **environment(home), "TERM": "xterm-256color", "LC_ALL": "zh_CN.UTF-8"},
            )
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(self.file)
        self.raw = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        self.screen.reset()

    def keys(self, text: str | bytes) -> None:
        os.write(self.file, text.encode() if isinstance(text, str) else text)

    @property
    def text(self) -> str:
        """The screen."""
        return text_of(self.screen)

    def until(self, true, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.05)
            if true(self.text):
                return
        raise AssertionError(f"it never came; on screen:\n{self.text}")

    def _read(self, seconds: float) -> bool:
        """Take in what the program has written; False once it has ended."""
        if not select.select([self.file], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.file, 1 << 16)
        except OSError:
            return False
        self.raw += data
        # pyte knows neither Kitty's nor xterm's queries, and would print their ends.
        self._stream.feed(data.replace(b"\x1b[>4;1m", b"").replace(b"\x1b[?1u", b""))
        return bool(data)

    def end(self, seconds: float = 20) -> int:
        """Wait for the end; the exit code."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._read(0.1):
            pass
        while (ended := os.waitpid(self.pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.05)
        if ended == (0, 0):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError(f"it did not end; on screen:\n{self.text}")
        assert termios.tcgetattr(self.file) == self.modes, "the terminal's modes were not restored"
        os.close(self.file)
        return os.waitstatus_to_exitcode(ended[1])


@pytest.fixture
def chat(tmp_path):
    open_ones = []

    def start(*words, module=None, **size) -> Terminal:
        words = [*map(str, words)]
        terminal = Terminal(words, tmp_path, module=module, **size) if module else Terminal(["chat", *words], tmp_path)
        open_ones.append(terminal)
        return terminal

    yield start
    for terminal in open_ones:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
            os.close(terminal.file)
        except (ProcessLookupError, ChildProcessError, OSError):
            pass


def test_a_question_in_chinese_is_typed_and_answered(chat, talker):  # noqa: F811
    terminal = chat("-m", talker)
    terminal.until(lambda screen: "F1" in screen)
    terminal.keys("三加一是几？")
    terminal.until(lambda screen: "三加一是几？" in screen)
    terminal.keys("\r")
    terminal.until(lambda screen: "比特/字" in screen)
    assert "是" in terminal.text.split("三加一是几？")[1]
    terminal.keys("\x1b[1;3A")  # Alt+Up
    terminal.until(lambda screen: "0.85" in screen)
    terminal.keys("\x11")  # Ctrl+Q
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.raw, "the terminal was not restored"


def test_a_continuation_is_stopped_and_the_window_resized(chat, writer):  # noqa: F811
    terminal = chat("-m", writer)
    terminal.until(lambda screen: "只能续写" in screen)
    terminal.keys(b"\x1b[200~" + "床前明月光\r\n疑是".encode() + b"\x1b[201~")  # a paste
    terminal.until(lambda screen: "疑是" in screen)
    terminal.keys("\r")
    terminal.until(lambda screen: "生成中" in screen)
    time.sleep(0.5)
    terminal.resize(100, 30)
    terminal.until(lambda screen: "▍" in screen)
    terminal.keys("\x1b")
    terminal.until(lambda screen: "已停止" in screen)
    terminal.keys("\x11")
    assert terminal.end() == 0


def test_a_model_that_is_not_there_is_said_before_the_screen_changes(chat):
    terminal = chat("-m", "nowhere")
    assert terminal.end() == 1
    assert "there is no model" in terminal.text
    assert b"\x1b[?1049h" not in terminal.raw


def test_a_damaged_model_is_said_on_the_screen(chat, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    terminal = chat("-m", folder)
    terminal.until(lambda screen: "没有模型" in screen)
    terminal.keys("\x11")
    assert terminal.end() == 1


def test_sigterm_restores_the_terminal(chat, writer):  # noqa: F811
    terminal = chat("-m", writer)
    terminal.until(lambda screen: "就绪" in screen)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert b"\x1b[?1049l" in terminal.raw


def saved(tmp_path):
    """The last conversation, as the database has it."""
    (file,) = tmp_path.rglob("c*.sqlite")
    base = Conversations(file)
    turns = [turn.standing for turn in base.turns(base.latest() or 0)]
    base.close()
    return turns


def test_a_closed_terminal_ends_it_and_loses_nothing(chat, writer, tmp_path):  # noqa: F811
    terminal = chat("-m", writer)
    terminal.until(lambda screen: "就绪" in screen)
    terminal.keys("床前\r")

    def shown() -> str:
        return "".join(terminal.text.partition("床前")[2].partition("▍")[0].split())

    terminal.until(lambda screen: "▍" in screen and len(shown()) > 20)
    seen = shown()
    os.close(terminal.file)
    end = time.monotonic() + 20
    while (ended := os.waitpid(terminal.pid, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < end, "it lives on without a terminal"
        time.sleep(0.05)
    # Python makes it 120 where something was left to write to the terminal that is gone.
    assert os.waitstatus_to_exitcode(ended[1]) in (128 + signal.SIGHUP, -signal.SIGHUP, 120)
    assert "".join(saved(tmp_path)[0].answer.split()).startswith(seen)


def test_a_killed_app_has_saved_what_it_wrote(chat, writer, tmp_path):  # noqa: F811
    terminal = chat("-m", writer)
    terminal.until(lambda screen: "就绪" in screen)
    terminal.keys("床前\r")
    terminal.until(lambda screen: "生成中" in screen)
    time.sleep(2)
    os.kill(terminal.pid, signal.SIGKILL)
    assert len(saved(tmp_path)[0].answer) > 40
    again = chat("-m", writer)
    again.until(lambda screen: "床前" in screen and "就绪" in screen)
    again.keys("\x11")
    assert again.end() == 0


def test_a_mistake_in_a_widget_restores_the_terminal_and_loses_nothing(chat, tmp_path):
    terminal = chat(tmp_path, module="tests.tui.crashing")
    terminal.until(lambda screen: "就绪" in screen)
    terminal.keys("问\r")
    terminal.until(lambda screen: "写。写。写。" in screen)
    terminal.keys("\x1b[1;3A")
    assert terminal.end() == 1
    assert b"\x1b[?1049l" in terminal.raw
    assert "a mistake in a widget" in terminal.text
    assert saved(tmp_path)[0].answer.startswith("写。写。写。")


def test_the_laboratory_in_a_terminal(chat):
    """By the model that ships: an answer, another character in one place, and temperatures side by side."""
    terminal = chat()
    terminal.until(lambda screen: "就绪" in screen)
    for key in ("\t", "\t", "1", "\x1b[Z", "\x1b[Z"):  # a seed
        terminal.keys(key)
        time.sleep(0.2)
    terminal.until(lambda screen: "种子 1" in screen)
    terminal.keys("什么是隐藏状态？\r")
    terminal.until(lambda screen: "比特/字" in screen and "就绪" in screen)
    terminal.keys("\x1b[17~")  # F6
    terminal.until(lambda screen: "随机数" in screen)
    for key in ("\x1b[C", "\x1b[C", "\r", "\x1b[B"):
        terminal.keys(key)
        time.sleep(0.2)
    terminal.keys("\r")
    terminal.until(lambda screen: "‹2/2›" in screen and "就绪" in screen)
    terminal.keys("\x1b[18~")  # F7, of the last prompt
    terminal.until(lambda screen: "温度 0" in screen and "最长重复" in screen)
    terminal.keys("\x1b")
    time.sleep(0.5)
    terminal.keys("\x1b")
    terminal.until(lambda screen: "就绪" in screen and "/7›" in screen)
    terminal.keys("\x1bOR")  # F3
    terminal.until(lambda screen: "其余" in screen)
    terminal.keys("\x1b")
    time.sleep(0.5)
    terminal.keys("\x11")
    assert terminal.end() == 0


def test_nothing_that_steers_reaches_the_terminal(chat, tmp_path):
    """All control and format characters of Unicode in every place that shows text, and the bytes that are written."""
    terminal = chat(tmp_path, module="tests.tui.hostile", columns=160, rows=50)
    terminal.until(lambda screen: "旧答" in screen and "就绪" in screen)
    terminal.keys("问\x1b[200~\x1b[31m\u202e\x07贴\x1b[201~\r")
    terminal.until(lambda screen: "完了" in screen and "就绪" in screen)
    for keys, sign in (
        ("又问\r", "错"),  # an error of the model
        ("\x1b[20~", "已复制"),  # F9
        ("\x13", "意外"),  # shades
        ("\x1bOR", "其余"),  # F3
        ("\x1b", "就绪"),
        ("\x1b[17~", "随机数"),  # F6
        ("\x1b[B\x1b[C\r\x1b[B", "随机数"),
        ("\x1b", "就绪"),
        ("扫\x1b[18~", "┊扫"),  # F7
        ("\x13", "已写入"),
        ("\x1b", "就绪"),  # stop
        ("\x1b", "F1 帮助"),
        ("\x1bOQ", "旧一"),  # F2
        ("旧二", "旧二"),  # search
        ("\x13", "已写入"),  # export
        ("\x1b[19~", "再按一次"),  # F8
        ("\x1bOQ", "新标题"),  # rename
        ("\x1b", "旧二"),
        ("\x1b", "就绪"),
        ("\x0c", "样本"),  # models
        ("\r", "打不开"),
        ("\x11", ""),
    ):
        terminal.keys(keys)
        if sign:
            terminal.until(lambda screen, sign=sign: sign in screen)
            time.sleep(0.2)
    assert terminal.end() == 0
    text = SEQUENCES.sub("", terminal.raw.decode("utf-8"))
    left = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} - set("\r\n\u200c\u200d")
    assert left == set(), [(hex(ord(c)), text[max(0, text.index(c) - 20) : text.index(c) + 20]) for c in left]
