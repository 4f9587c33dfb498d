"""What SECURITY.md promises of the whole: no code from data, no connections, files that are their owner's."""

from __future__ import annotations

import ast
import contextlib
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.config import SamplingConfig
from charrnn.export import export, keep_copy
from charrnn.history import Conversations
from charrnn.recording import Recorder
from tests.conftest import environment
from tests.test_generation import writer  # noqa: F401

ROOT = Path(__file__).parents[1]
MODULES = {"pickle", "marshal", "shelve", "dill", "socket", "ssl", "urllib", "http", "requests", "ftplib", "smtplib"}
MODULES |= {"aiohttp", "textual_serve"}
SERVING = ROOT / "tui" / "web"  # asked for by --web, it listens; it connects to nobody
CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("charrnn/**/*.py"), *ROOT.glob("tui/**/*.py")]), ids=lambda p: p.stem
)
def test_no_module_runs_data_or_opens_a_connection(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = MODULES if path.parent != SERVING else MODULES - {"aiohttp", "textual_serve"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in modules
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert name not in CALLS
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            assert (method, getattr(node.func, "value", None) and ast.unparse(node.func.value)) != ("load", "torch")
            assert not any(word.arg == "allow_pickle" and word.value.value for word in node.keywords)


WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event in {events!r} else None)
from charrnn.cli import main
for words in {commands!r}:
    code = main(words)
    assert code == 0, (words, code)
print("SEEN", sorted(set(seen)))
"""
EVENTS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "pickle.find_class"}


def test_commands_open_no_connection_and_read_no_pickle(tmp_path, corpus_file):
    small = ["--layers", "1", "--width", "16", "--steps", "2", "--out", "m"]
    commands = [
        ["train", str(corpus_file), *small],
        ["generate", "床前", "--length", "5", "-m", "m"],
        ["eval", str(corpus_file), "-m", "m"],
        ["info", "-m", "m"],
        ["ask", "什么是隐藏状态？", "--length", "5"],
        ["sweep", "床前", "--length", "3"],
        ["look", "床前", "--length", "3"],
        ["cache"],
    ]
    code = WATCHED.format(events=EVENTS, commands=commands)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "SEEN []"


def test_conversations_exports_and_copies_are_their_owners_and_what_is_deleted_is_gone(tmp_path, writer):  # noqa: F811
    (tmp_path / "c.sqlite").touch(mode=0o644)  # of an earlier version
    base = Conversations(tmp_path / "c.sqlite")
    recorder = Recorder(writer.chat(SamplingConfig(seed=1)), base)
    recorder.session.mode = "continue"
    secrets = "隐私的开头" * 200, "secretive beginning " * 100
    for secret in secrets:
        recorder.reset()
        for _ in zip(recorder.say(secret), range(5), strict=False):
            pass
    export(base, recorder.conversation, tmp_path, "zh")
    keep_copy(tmp_path / "copy.txt", "字")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert len(modes) >= 6
    assert set(modes.values()) == {0o600}, modes
    for entry in base.listed():
        base.delete(entry.id)
    base.close()
    left = (tmp_path / "c.sqlite").read_bytes()
    assert not any(secret[:20].encode() in left for secret in secrets)
    with contextlib.closing(sqlite3.connect(tmp_path / "c.sqlite")) as index:
        assert index.execute("SELECT sum(length(block)) FROM found_data").fetchone()[0] < 50
