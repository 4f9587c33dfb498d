"""What the states that matter look like, at several sizes, as text; and that it can be read in light and dark.

CHARRNN_DRAW=1 draws the pictures in `pictures/` anew; look at them before they are committed.
"""

from __future__ import annotations

import os
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.color import Color
from textual.screen import ModalScreen

from charrnn.catalogue import Measured, ModelEntry
from charrnn.errors import ModelError
from tests.tui.scripted import ScriptedSession
from tests.tui.test_app import Opening
from tests.tui.test_pages import fill
from tui.screens import conversations

PICTURES = Path(__file__).parent / "pictures"
FRAMES = set("━─●▁▂▃▄▅▆▇█▔╭╮╰╯│▌")
SIZES = ((80, 24), (160, 50))
LABORATORY = ("next", "look", "sweep", "shades")
ANSWER = (
    "隐藏状态是网络的记忆：它每读一个字就更新一次，把读过的东西压成一个向量。Emoji 👩‍👩‍👧 也行，é 也行，שלום 也行。"
)
STRANGE = "隐藏状态是网络的记忆，奇怪的是，它每读一个字就更新一次，绝无例外：奇奇怪怪，怪怪奇奇。"
MODELS = [
    ModelEntry(Path("p"), "附带的模型", True, "mingru 2 × 256", "corpus", 1_234_567, True, 7.31, 6.2, 15_900_000, 900,
           False, (Measured(100, 8.0, ""), Measured(900, 7.31, "样本"))),
    ModelEntry(Path("models/novel"), "novel", False, "gru 1 × 256", "novel.txt", 98_765, False, None, None, 9_000_000,
           5000, True, tuple(Measured(n * 100, 9 - n / 3, f"第{n}次的样本，写得还不太通顺。") for n in range(1, 9))),
]  # fmt: skip


@asynccontextmanager
async def opened(state, size, tmp_path, monkeypatch):
    """The app in one of the states."""
    monkeypatch.setattr(conversations, "when", lambda seconds, now: "2026-11-28")
    arrive, session = threading.Event(), ScriptedSession([ANSWER, ANSWER * 40, "又一个答案。"])
    if state in LABORATORY:
        session = ScriptedSession([STRANGE, STRANGE, STRANGE[:20] + "别的。", "甲乙丙。", STRANGE * 3, "丁" * 9])
    if state != "loading":
        arrive.set()

    def opener(_):
        arrive.wait()
        if state == "failed":
            raise ModelError("models/x: damaged, its bytes are not those that were saved; get the model anew")
        return session

    file = tmp_path / "c.sqlite"
    if state == "conversations":
        fill(
            file,
            ["什么是隐藏状态？", "温度有什么用？", "循环神经网络和普通的网络有什么不同，为什么它能记住前面说过的话？"],
            ANSWER,
        )
    app = Opening(opener, size, conversations=file, find_models=lambda: MODELS)
    async with app as driver:
        press, until = driver.pilot.press, driver.until
        if state == "loading":
            await driver.send("早早发出的问题")
        elif state == "failed":
            await until(lambda: "damaged" in driver.notice)
        elif state in LABORATORY:
            await laboratory(driver, state, session)
        elif state in ("answered", "alternatives"):
            await driver.send("什么是隐藏状态？")
            await until(lambda: driver.ready and "种子" in driver.transcript)
            await press("ctrl+r" if state == "alternatives" else "alt+up")
            if state == "alternatives":
                await until(lambda: driver.ready)
                await press("ctrl+r")
                await until(lambda: driver.ready and "‹3/3›" in driver.transcript)
                await press("left")
                await until(lambda: "‹2/3›" in driver.transcript)
        else:
            await until(lambda: driver.ready)
            key = {"help": "f1", "conversations": "f2", "models": "ctrl+l"}.get(state)
            if key:
                await press(key)
                await driver.pilot.pause()
            if state == "conversations":
                await driver.pilot.press(*"有", "down")
            if state == "models":
                await press("down")
        await driver.pilot.pause(0.1)
        yield driver
        arrive.set()


async def laboratory(driver, state, session):
    """A page of the laboratory, with something on it."""
    press, until = driver.pilot.press, driver.until
    if state == "next":
        await until(lambda: driver.ready)
        await press("ctrl+g")
    if state != "sweep":
        await driver.send("什么是隐藏状态？")
        await until(lambda: driver.ready and "种子" in driver.transcript)
    match state:
        case "shades":
            await press("ctrl+s")
        case "next":
            await press("f3")
            await until(lambda: driver.pilot.app.screen is not driver.screen)
            await press("right", "right", "k", "k", "k")
        case "look":
            await press("f6")
            await until(lambda: driver.pilot.app.screen is not driver.screen)
            await press("down", "right", "right", "enter", "down")
            await until(lambda: driver.pilot.app.screen._seen is not None)
        case _:
            await driver.type("什么是隐藏状态？")
            await press("f7")
            await until(lambda: session.turns and not driver.pilot.app.screen._running)
    await driver.pilot.pause(0.2)


STATES = ("welcome", "loading", "answered", "alternatives", "failed", "help", "conversations", "models")
PICTURED = [(state, size) for size in SIZES for state in (*STATES, *LABORATORY)]
PICTURED += [(state, (120, 35)) for state in LABORATORY]


def strips_of(driver):
    app = driver.pilot.app
    return app.screen._compositor.render_strips(app.size)


@pytest.mark.parametrize(("state", "size"), PICTURED, ids=lambda given: str(given))
async def test_it_looks_as_in_the_picture(state, size, tmp_path, monkeypatch):
    async with opened(state, size, tmp_path, monkeypatch) as driver:
        found = "".join(strip.text.rstrip() + "\n" for strip in strips_of(driver))
        assert all(strip.cell_length == size[0] for strip in strips_of(driver))
    picture = PICTURES / f"{state}-{size[0]}x{size[1]}.txt"
    if os.environ.get("CHARRNN_DRAW"):
        PICTURES.mkdir(exist_ok=True)
        picture.write_text(found, encoding="utf-8")
    assert found == picture.read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("state", [*STATES, *LABORATORY])
async def test_all_of_it_can_be_read(state, theme, tmp_path, monkeypatch):
    """Every character stands out from its ground: a contrast of 3 at least (WCAG 2.1, for what is large or quiet)."""
    async with opened(state, (80, 24), tmp_path, monkeypatch) as driver:
        driver.pilot.app.theme = theme
        await driver.pilot.pause(0.1)
        top = driver.pilot.app.screen
        page = top.children[0].region if isinstance(top, ModalScreen) else top.region  # what lies below is dim
        for strip in [strip.crop(page.x, page.right) for strip in strips_of(driver)[page.y : page.bottom]]:
            for text, style, _ in strip:
                if text.strip() and not set(text) & FRAMES and style and style.color and style.bgcolor:
                    ink, ground = (Color.from_rich_color(c) for c in (style.color, style.bgcolor))
                    assert contrast(ink, ground) >= 3, (text, ink, ground)


def contrast(a: Color, b: Color) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
