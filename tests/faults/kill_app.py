"""Conversations whose program is killed: what was finished is there, and what streamed is, up to the last second."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import charrnn as package
from charrnn.config import SamplingConfig
from charrnn.generation import text_of
from charrnn.history import Conversations
from charrnn.model import LanguageModel
from charrnn.recording import Recorder
from charrnn.turns import Turn
from tests.faults.kill_processes import Part, Process, charrnn

ADDITIONS = [{"ask": [f"{n}加一是几", f"比{n}大一的数"], "answer": [f"是{n + 1}。"]} for n in range(30)]
AT_RISK = 1.0  # second of an answer
REPLAYED = 200  # tokens
PROMPTS = ("3加一是几", "比7大一的数", "床前", "")
PACE = 0.001  # seconds between two pieces: a screen has it, too


def a_model(folder: Path) -> LanguageModel:
    """One that answers, and continues, of a second of training."""
    folder.mkdir(parents=True)
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in ADDITIONS), "utf-8")
    small = ["--layers=1", "--width=24", "--batch=4", "--window=16", "--threads=1", "--steps=150", "--contrast=0"]
    run = charrnn(["train", "sums.jsonl", "--out", "talker", *small, "--tokenizer=char"], folder)
    if run.wait():
        raise SystemExit(run.said())
    run.said()
    return package.load(folder / "talker")


@dataclass
class Heard:
    """What a process has told of its conversation before it was killed."""

    finished: dict[float, tuple[int, list[int], str]] = field(default_factory=dict)
    """By the time when an answer began: its conversation, tokens and text."""
    streamed: list[tuple[float, float, int]] = field(default_factory=list)
    """Of the answer that was streaming: when it began, the time, and its tokens then."""


def app(folder: Path, count: int, seed: int) -> Part:
    """So many kills, one in ten of the app itself in a terminal."""
    part, rng, model = Part("app"), random.Random(seed), a_model(folder)
    file, finished, terminals = folder / "c.sqlite", Heard().finished, count // 10
    for n in range(count - terminals):
        seconds = rng.uniform(0, 2.5)
        run = Process(lambda n=n: _converse(file, model, seed * 1000 + n), folder)
        time.sleep(seconds)
        run.kill()
        said = run.said()
        heard = _heard(said)
        finished |= heard.finished
        problem = said[-800:] if "Traceback" in said else _database(file) or _kept(file, model, heard)
        kind = (
            "in an answer" if heard.streamed else "before the first answer" if not heard.finished else "between answers"
        )
        part.add(f"headless, {kind}", problem and f"seed {seed}, kill {n} after {seconds:.3f} s: {problem} ({file})")
    base = Conversations(file)
    for began, (conversation, *_) in finished.items():
        if began not in _answers(base, conversation):
            part.fail(f"an answer of conversation {conversation} is lost ({file})")
    base.close()
    part.ends["finished answers, all there at the end"] = len(finished)
    for n in range(terminals):
        seconds = rng.uniform(0, 3)
        problem, end = _app_in_a_terminal(folder / "home", folder / "talker", n, seconds)
        part.add(f"app in a terminal, {end}", problem and f"seed {seed}, app {n} after {seconds:.3f} s: {problem}")
    return part


def _converse(file: Path, model: LanguageModel, seed: int) -> int:
    """Say one thing after another, telling of each, until killed: short answers, long ones and ones without end."""
    rng, base = random.Random(seed), Conversations(file)
    recorder, latest = Recorder(model.chat(SamplingConfig(temperature=1.2)), base), base.latest()
    if latest is not None and rng.random() < 0.5:
        recorder.open(latest, base.turns(latest))
    for n in range(10**9):
        recorder.session.mode = rng.choice(("chat", "continue"))
        most = rng.choice((3, 30, 300, 10**9))
        again = n > 0 and rng.random() < 0.2
        pieces = recorder.say_again() if again else recorder.say(rng.choice(PROMPTS))
        for number, _ in enumerate(pieces, 1):
            began = recorder.session.turns[-1].began
            print(json.dumps(["streamed", began, time.monotonic(), number]), flush=True)
            if number == most:
                break
            time.sleep(PACE)
        pieces.close()
        turn = recorder.session.turns[-1]
        told = [turn.began, recorder.conversation, turn.tokens.tolist(), turn.answer]
        print(json.dumps(["finished", *told]), flush=True)
        if recorder.trouble:
            raise RuntimeError(recorder.trouble)
    return 0


def _heard(said: str) -> Heard:
    heard = Heard()
    for line in said.splitlines(keepends=True):
        if line.endswith("\n") and line.startswith("["):
            kind, *told = json.loads(line)
            if kind == "finished":
                heard.finished[told[0]] = told[1], told[2], told[3]
                heard.streamed = []
            else:
                heard.streamed.append(tuple(told))
    return heard


def _database(file: Path) -> str:
    """What SQLite itself finds wrong."""
    if not file.exists():
        return ""
    base = sqlite3.connect(file)
    found = base.execute("PRAGMA integrity_check").fetchone()[0]
    base.close()
    return "" if found == "ok" else f"integrity_check: {found}"


def _answers(base: Conversations, conversation: int) -> dict[float, tuple[Turn, list[Turn]]]:
    """All answers of a conversation, by when they began, with the turns before."""
    turns = base.turns(conversation)
    return {
        answer.began: (answer, [before.standing for before in turns[:n]])
        for n, turn in enumerate(turns)
        for answer in turn.answers.values()
    }


def _kept(file: Path, model: LanguageModel, heard: Heard) -> str:
    """What the next start misses of what was told; empty where it is all there, and can be written again."""
    base = Conversations(file)
    try:
        if base.set_aside is not None:
            return "the database was set aside"
        for began, (conversation, tokens, text) in heard.finished.items():
            found, _ = _answers(base, conversation).get(began, (None, []))
            if found is None or found.tokens.tolist() != tokens or found.answer != text:
                return f"a finished answer of conversation {conversation} is not as it was"
        if not heard.streamed:
            return ""
        began, last, _ = heard.streamed[-1]
        due = max((number for _, at, number in heard.streamed if at <= last - AT_RISK), default=1)
        found, before = _answers(base, base.latest() or 0).get(began, (None, []))
        if found is None or len(found.tokens) < due:
            there = None if found is None else len(found.tokens)
            return f"of the streaming answer there are {there} tokens, of {due} a second before"
        return _replayed(model, found, before)
    finally:
        base.close()


def _replayed(model: LanguageModel, turn: Turn, before: list[Turn]) -> str:
    """Whether tokens and text of an answer belong together, and its record writes its beginning again."""
    decoder = model.tokenizer.decoder()
    text = "".join(text_of(token, model.tokenizer, decoder) for token in turn.tokens)
    if turn.answer != text or not turn.detailed:
        return f"tokens and text part: {text[:50]!r}, {turn.answer[:50]!r}"
    session = model.chat(turn.changes[0].sampling, turn.drafts)
    session.restore(before)
    session.mode = turn.mode
    wanted = turn.tokens.tolist()[:REPLAYED]
    found = [piece.token for piece, _ in zip(session.say(turn.prompt), wanted, strict=False)]
    return "" if found == wanted else f"written again, it is another: {found[:20]}, {wanted[:20]}"


def _app_in_a_terminal(home: Path, model: Path, number: int, seconds: float) -> tuple[str, str]:
    """The app is opened where it was left, asked for a text without end, and killed; what is wrong, and how it was."""
    from tests.tui.test_terminal import Terminal

    home.mkdir(exist_ok=True)
    terminal, prompt = Terminal(["chat", "-m", str(model)], home, columns=100, rows=50), f"第{number}问"
    seen: list[tuple[float, str]] = []
    try:
        terminal.until(lambda screen: "就绪" in screen)
        terminal.keys("\x0e")  # Ctrl+N
        if number == 0:
            terminal.keys("\x14")  # Ctrl+T: without end
        terminal.until(lambda screen: "续写" in screen.partition("\n")[0])
        terminal.keys(prompt + "\r")
        terminal.until(lambda screen: "▍" in screen)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            terminal._read(0.02)
            seen.append((time.monotonic(), _letters(terminal.text.partition(prompt)[2].partition("▍")[0])))
    except AssertionError as error:
        return str(error), "not as far as an answer"
    finally:
        killed = time.monotonic()
        os.kill(terminal.pid, 9)
        os.waitpid(terminal.pid, 0)
        os.close(terminal.file)
    (file,) = home.rglob("conversations.sqlite")
    if problem := _database(file):
        return problem, "damaged"
    base = Conversations(file)
    turns = [turn.standing for turn in base.turns(base.latest() or 0)]
    others = base.count()
    base.close()
    due = [shown for at, shown in seen if at <= killed - AT_RISK]
    if others != number + 1 or len(turns) != 1 or turns[0].prompt != prompt:
        return f"{others} conversations, the last with {[turn.prompt for turn in turns]}", "lost"
    if due and not _letters(turns[0].answer).startswith(due[-1]):
        return f"seen a second before: {due[-1]!r}; saved: {turns[0].answer!r}", "lost"
    return _replayed(package.load(model), turns[0], []), "in an answer"


def _letters(text: str) -> str:
    """What a screen shows as it is."""
    return "".join(filter(str.isalnum, text))
