"""The pictures of the README: the program itself, with the model that ships, at three sizes.

usage: python -m tests.tui.screenshots

Keys are pressed, answers are waited for, and what is on screen is written to tests/tui/pictures/*.svg. The seeds are
fixed, so the same model writes the same text.
"""

from __future__ import annotations

import asyncio
import html
import re
import tempfile
from pathlib import Path

from rich.cells import cell_len

import charrnn
from charrnn.catalogue import find_models
from tui.app import ChatApp
from tui.backend import Backend
from tui.keys import join_alt_arrows
from tui.screens.sweep import SweepScreen
from tui.widgets.prompt import PromptBox

CONTINUED = ">循环神经网络"  # it has no end of its own
PICTURES = Path(__file__).parent / "pictures"
FONT = re.compile(r"@font-face\s*{[^}]*}\s*")  # of an outside host
TEXT = re.compile(r'textLength="([\d.]+)"([^>]*)>([^<]*)</text>')


def widened(text: re.Match[str]) -> str:
    """Wide characters take two cells; the picture is made as if they took one."""
    said = html.unescape(text[3])
    length = float(text[1]) / max(1, len(said)) * cell_len(said)
    return f'textLength="{length:.1f}"{text[2]}>{text[3]}</text>'


async def picture(name: str, size: tuple[int, int], script: list[str], **settings: str) -> None:
    """Words that begin with `>` are typed and sent, with `+` typed; others are keys. After each a rest until nothing is
    written."""
    model = charrnn.load()
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(
            lambda _: model.chat(charrnn.SamplingConfig(temperature=0.3, seed=3)),
            Path(folder) / "c.sqlite",
            find_models=find_models,
        )
        app = ChatApp(backend, language="en" if settings.get("language") == "en" else "zh", pace=0)
        app.theme = settings.get("theme", "textual-dark")
        async with app.run_test(size=size) as pilot:
            for word in script:
                if word.startswith(">"):
                    app._chat.query_one(PromptBox).insert(word[1:])
                    await pilot.press("enter")
                elif word.startswith("+"):
                    app._chat.query_one(PromptBox).insert(word[1:])
                else:
                    await pilot.press(word)
                await pilot.pause(0.2)
                while app._chat.session is None or app._chat.writing or app._chat._waiting:
                    await pilot.pause(0.02)
                    if word == CONTINUED and app._chat.session and app._chat.session.turns[-1].characters > 800:
                        await pilot.press("escape")
            while isinstance(app.screen, SweepScreen) and app.screen._running:
                await pilot.pause(0.1)
            await pilot.pause(0.3)
            svg = TEXT.sub(widened, FONT.sub("", app.export_screenshot(title="charrnn")))
    (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


async def main() -> None:
    join_alt_arrows()
    cooler = ["alt+down"] * 10
    await picture("chat", (80, 24), [*cooler, ">LSTM有几个门？", ">遗忘门有什么用？"])
    asked = [">什么是梯度消失？", "ctrl+n", ">你好", "ctrl+n", ">梯度爆炸怎么办？"]
    await picture("search", (120, 35), [*cooler, *asked, "f2", "梯"])
    looked = ["f6", *["right"] * 2, "enter", "down", "down"]
    await picture("look", (80, 24), [*["alt+up"] * 8, ">什么是隐藏状态？", *looked])
    await picture("sweep", (160, 40), ["ctrl+t", "+循环神经网络", "f7"])
    script = [*cooler, ">什么是循环神经网络？", "ctrl+r", *["alt+up"] * 10, "ctrl+t", CONTINUED]
    await picture("continue", (200, 60), script, language="en", theme="textual-light")


if __name__ == "__main__":
    asyncio.run(main())
