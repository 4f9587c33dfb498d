"""The chat in a terminal of its own, with a model of its own: what a person's keys and eyes have of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte
import pytest

from tests.conftest import environment
from tests.test_cli import talker, writer  # noqa: F401


class Terminal:
    """A pseudo-terminal, the program in it, and what it shows."""

    def __init__(self, words: list[str], home, columns=80, rows=24) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execve(
                sys.executable,
                [sys.executable, "-m", "charrnn", *words],
                {**environment(home), "TERM": "xterm-256color", "LANG": "zh_CN.UTF-8"},
            )
        self.resize(columns, rows)
        self.raw = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        self.screen.reset()

    def keys(self, text: str | bytes) -> None:
        os.write(self.file, text.encode() if isinstance(text, str) else text)

    @property
    def text(self) -> str:
        """The screen; pyte leaves an empty cell behind each wide character."""
        return "\n".join(
            "".join(line[x].data for x in range(self.screen.columns))
            for line in map(self.screen.buffer.__getitem__, range(self.screen.lines))
        )

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
        os.close(self.file)
        return os.waitstatus_to_exitcode(ended[1])


@pytest.fixture
def chat(tmp_path):
    open_ones = []

    def start(*words, **size) -> Terminal:
        terminal = Terminal(["chat", *map(str, words)], tmp_path, **size)
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
    terminal.until(lambda screen: "种子" in screen)
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
