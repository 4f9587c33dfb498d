"""What a long conversation, and a long list of them, cost the person at the keys.

usage: python tests/bench/app.py [--rounds 60]

Without a model: a scripted session writes. Milliseconds of the processor, medians of rounds that alternate between a
short and a long one: from a key to the screen that shows it, from a piece of an answer to its screen, for a whole
repaint; for the list of conversations to open, to turn a page, to search as one types; and for the bars of what may
come next to follow the slider. Resident memory along a long answer.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from generation import resident
from table import show
from textual.pilot import Pilot
from textual.widgets import Input

from charrnn.config import SamplingConfig
from charrnn.history import Conversations
from charrnn.prospects import Prospects
from charrnn.turns import Change, Next, Turn
from tests.tui.scripted import ScriptedSession
from tui.app import ChatApp
from tui.backend import Backend
from tui.layout import shade
from tui.screens.next import NextScreen
from tui.widgets.conversation import Conversation
from tui.widgets.prompt import PromptBox
from tui.widgets.rows import Rows

Act = Callable[[], Any]
LENGTHS = (100, 100_000)  # characters of a conversation
LISTED = (10, 10_000)
VOCABULARIES = (1_000, 8_000)
SENTENCE = "循环神经网络把读过的东西压进隐藏状态，再从那里写出下一个字。"


def text_of(characters: int) -> str:
    return "".join(itertools.islice(itertools.cycle(SENTENCE + "\n"), characters))


def turn_of(prompt: str, answer: str) -> Turn:
    turn = Turn("chat", prompt, [Change(0, 0, SamplingConfig(seed=1), False)], "m", 1.0, characters=len(answer))
    turn.write(answer)
    return turn


def fill(path: Path, conversations: int) -> Path:
    base = Conversations(path)
    for n in range(conversations):
        turn = turn_of(f"第{n}个问题", text_of(200))
        base.save_answer(base.add(base.begin(turn.prompt), turn)[1], turn, whole=True)
    base.close()
    return path


def alternately(one: Act, other: Act) -> Act:
    acts = itertools.cycle((one, other))
    return lambda: next(acts)()


async def milliseconds(pilot: Pilot[None], act: Act) -> float:
    start = time.process_time()
    done = act()
    if inspect.iscoroutine(done):
        await done
    await pilot.pause()
    return (time.process_time() - start) * 1000


async def compare(names: list[str], acts: dict[str, list[tuple[Pilot[None], Act]]], rounds: int) -> None:
    rows = [["milliseconds", *names, "ratio"]]
    for name, each in acts.items():
        taken: list[list[float]] = [[] for _ in each]
        for _ in range(rounds):
            for found, (pilot, act) in zip(taken, each, strict=True):
                found.append(await milliseconds(pilot, act))
        short, long = (statistics.median(found[2:]) for found in taken)
        rows.append([name, f"{short:.1f}", f"{long:.1f}", f"{long / short:.2f}"])
    show(rows)
    print()


async def conversations(rounds: int) -> None:
    acts: dict[str, list[tuple[Pilot[None], Act]]] = {}
    async with AsyncExitStack() as stack:
        for length in LENGTHS:
            app = ChatApp(Backend(lambda _: ScriptedSession([])), language="zh")
            pilot = await stack.enter_async_context(app.run_test(size=(120, 40)))
            await pilot.pause(0.2)
            shown, box = app.screen.query_one(Conversation), app.screen.query_one(PromptBox)
            shown.show([turn_of("问", text_of(length))], app._chat.words)
            shown.begin("chat", "再问")
            for name, act in {
                "a key": partial(box.insert, "字"),
                "a piece of an answer": partial(shown.extend, [("字", shade(3.0))]),
                "a whole repaint": app.screen.refresh,
            }.items():
                acts.setdefault(name, []).append((pilot, act))
        await compare([f"{n:,} characters" for n in LENGTHS], acts, rounds)


async def lists(rounds: int, folder: Path) -> None:
    acts: dict[str, list[tuple[Pilot[None], Act]]] = {}
    async with AsyncExitStack() as stack:
        for count in LISTED:
            path = fill(folder / f"{count}.sqlite", count)
            app = ChatApp(Backend(lambda _: ScriptedSession([]), path), language="zh")
            pilot = await stack.enter_async_context(app.run_test(size=(120, 40)))
            await pilot.pause(0.5)
            await pilot.press("f2")

            def search(words: str, app: ChatApp = app) -> None:
                app.screen.query_one(Input).value = words

            def page(pages: int, app: ChatApp = app) -> None:
                app.screen.query_one(Rows).page(pages)

            for name, act in {
                "close and open the list": partial(pilot.press, "escape", "f2"),
                "a page down or up": alternately(partial(page, 1), partial(page, -1)),
                "search for 题, or nothing": alternately(partial(search, "题"), partial(search, "")),
                "search for 第7个, or nothing": alternately(partial(search, "第7个"), partial(search, "")),
            }.items():
                acts.setdefault(name, []).append((pilot, act))
        await compare([f"{n:,} conversations" for n in LISTED], acts, rounds)


async def bars(rounds: int) -> None:
    """The laboratory's bars while the temperature moves, from logits that are there."""
    acts: dict[str, list[tuple[Pilot[None], Act]]] = {}
    async with AsyncExitStack() as stack:
        for size in VOCABULARIES:
            app = ChatApp(Backend(lambda _: ScriptedSession([])), language="zh")
            pilot = await stack.enter_async_context(app.run_test(size=(120, 40)))
            await pilot.pause(0.2)
            logits = np.random.default_rng(1).normal(0, 3, size).astype(np.float32)
            page = NextScreen(Next(Prospects(logits), {}), SamplingConfig(top_p=0.95), "zh", lambda _: None)
            app.push_screen(page)
            await pilot.pause(0.2)
            moves = alternately(partial(page.action_warmer, 1), partial(page.action_warmer, -1))
            acts.setdefault("the slider, and the bars", []).append((pilot, moves))
        await compare([f"{n:,} tokens" for n in VOCABULARIES], acts, rounds)


async def memory(characters: int = 100_000, each: int = 20_000) -> None:
    session = ScriptedSession([text_of(characters + 10)])
    app = ChatApp(Backend(lambda _: session), language="zh", pace=0)
    rows = [["characters of an answer", "resident MB"]]
    async with app.run_test(size=(120, 40)) as pilot:
        app.screen.query_one(PromptBox).insert("写")
        await pilot.press("enter")
        for mark in range(each, characters + 1, each):
            while not session.turns or session.turns[-1].characters < mark:
                await pilot.pause(0.05)
            rows.append([f"{mark:,}", f"{resident():.1f}"])
    show(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    asyncio.run(conversations(given.rounds))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(lists(given.rounds, Path(folder)))
    asyncio.run(bars(given.rounds))
    asyncio.run(memory())


if __name__ == "__main__":
    main()
