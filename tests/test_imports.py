"""What is not needed is not imported: an answer is on screen before torch would be."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import environment
from tests.test_cli import writer  # noqa: F401


def imported(code: str, tmp_path) -> set[str]:
    code += "\nimport sys; print('\\nMODULES', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        timeout=120,
        cwd=tmp_path,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


@pytest.mark.parametrize(
    "words",
    [["generate", "床前", "--length=5"], ["eval", "a.txt"], ["info"], ["generate", "--help"], ["ask", "你好"]],
)
def test_commands_that_do_not_train_import_no_torch(words, writer, tmp_path):  # noqa: F811
    (tmp_path / "a.txt").write_text("床前明月光", encoding="utf-8")
    model = [] if "--help" in words or "ask" in words else ["-m", str(writer)]  # only that which ships can be asked
    loaded = imported(f"from charrnn.cli import main; assert main({[*words, *model]!r}) == 0", tmp_path)
    assert "torch" not in loaded
    assert "textual" not in loaded


HEAVY = {"numpy", "torch", "textual", "sentencepiece"}


def test_the_package_is_light(tmp_path):
    assert imported("import charrnn", tmp_path).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["generate", "--help"], ["train", "--help"], [], ["nonsense"], ["generate", "--nonsense"],
     ["generate", "a", "--temperature", "hot"], ["generate", "a", "--top-p", "7"], ["train"], ["chat", "--nonsense"]],
)  # fmt: skip
def test_help_and_wrong_calls_need_nothing_heavy(words, tmp_path):
    assert imported(f"from charrnn.cli import main; main({words!r})", tmp_path).isdisjoint(HEAVY)


def test_the_chat_needs_no_parser(tmp_path):
    """Here it finds no terminal, and says so."""
    loaded = imported("from charrnn.cli import main; assert main(['chat']) == 2", tmp_path)
    assert loaded.isdisjoint(HEAVY | {"cyclopts", "rich", "json", "charrnn.config"})


def test_the_first_screen_needs_no_numpy(tmp_path):
    code = """
import asyncio, sys, threading
import tui
from tui.app import ChatApp
async def main():
    app = ChatApp(tui.Backend(lambda _: threading.Event().wait()))
    async with app.run_test() as pilot:
        await pilot.pause()
asyncio.run(main())
"""
    loaded = imported(code, tmp_path)
    assert "textual" in loaded
    assert loaded.isdisjoint({*HEAVY - {"textual"}, "charrnn.model", "charrnn.config", "sqlite3", "cyclopts"})
