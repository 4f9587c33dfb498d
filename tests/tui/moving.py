"""The moving picture of the README: the program itself, with the model that ships, as an SVG that plays by itself.

usage: python -m tests.tui.moving

Keys are pressed at a person's pace, and what is on screen is kept some times a second. A line is drawn once wherever it
stands, with the times at which it is seen there (SMIL), so half a minute takes little more than some stills.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import charrnn
from tests.tui.screenshots import FONT, PICTURES, TEXT, widened
from tui.app import ChatApp
from tui.backend import Backend
from tui.keys import join_alt_arrows
from tui.widgets.prompt import PromptBox

BETWEEN = 0.2  # seconds between two frames
LINE, ROWS = 24.4, 24  # the height of a line in Rich's pictures, and how many
GROUND = "#121212"  # of the dark theme
RULE = re.compile(r"\.(\S+?)-(r\d+|matrix|title) \{([^}]*)\}")
SVG = "{http://www.w3.org/2000/svg}"

Frame = tuple[float, str]
"""Seconds since the beginning, and Rich's picture of the screen."""


def lines_of(picture: str) -> dict[int, str]:
    """What stands in each line, with its style written out, as if it were the first."""
    styles = {name: " ".join(rule.split()) for _, name, rule in RULE.findall(picture)}
    found: dict[int, str] = {}
    terminal = ElementTree.fromstring(picture).find(f"{SVG}g[@clip-path]")
    assert terminal is not None
    for item in terminal.iter():
        if item.tag == f"{SVG}rect" and item.attrib["fill"] != GROUND:
            words = [f"{name}={quoteattr(item.attrib[name])}" for name in ("x", "width", "height", "fill")]
            first, drawn = 1.5, f'<rect y="1.5" {" ".join(words)}/>'
        elif item.tag == f"{SVG}text" and (item.text or "").strip("\xa0\n"):
            style = styles[item.attrib["class"].rpartition("-")[2]]
            words = [f"{name}={quoteattr(item.attrib[name])}" for name in ("x", "textLength")]
            first, drawn = 20, f'<text y="20" style="{style}" {" ".join(words)}>{escape(item.text or "")}</text>'
        else:
            continue
        line = round((float(item.attrib["y"]) - first) / LINE)
        found[line] = found.get(line, "") + drawn
    return found


def woven(frames: Sequence[Frame], end: float) -> str:
    """One picture that plays the frames, each until the next, and begins again at the end."""
    seen: dict[tuple[int, str], list[tuple[float, bool]]] = {}  # of a line and its content, when it comes and goes
    before: set[tuple[int, str]] = set()
    for when, picture in frames:
        now = set(lines_of(picture).items())
        for line in now - before:
            seen.setdefault(line, [] if when == 0 else [(0.0, False)]).append((when, True))
        for line in before - now:
            seen[line].append((when, False))
        before = now
    names = {content: f"l{number}" for number, content in enumerate(dict.fromkeys(content for _, content in seen))}
    drawn = [f'<g id="{name}">{content}</g>' for content, name in names.items()]
    drawn = ["<defs>", *drawn, "</defs>"]
    for (line, content), changes in sorted(seen.items(), key=lambda item: (item[0][0], item[1])):
        use = f'<use href="#{names[content]}" y="{line * LINE:.1f}"'
        if changes == [(0.0, True)]:
            drawn.append(f"{use}/>")
            continue
        times = ";".join(f"{when / end:.4f}".rstrip("0").rstrip(".") for when, _ in changes)
        values = ";".join("inline" if shown else "none" for _, shown in changes)
        drawn.append(
            f'{use} display="none"><animate attributeName="display" values="{values}" keyTimes="{times}" '
            f'dur="{end:.1f}s" calcMode="discrete" repeatCount="indefinite"/></use>'
        )
    head = re.search(r"<svg [^>]*>", frames[0][1])
    around = re.search(
        r'<rect fill="#292929".*?</text>\s*<g transform="translate\(26,22\)">.*?</g>', frames[0][1], re.DOTALL
    )
    assert head is not None
    assert around is not None
    window = re.sub(r'class="[^"]*-title"', 'style="font: bold 18px arial"', around[0])
    font = "font-family: Fira Code, monospace; font-size: 20px; font-variant-east-asian: full-width; white-space: pre"
    ground = f'<rect width="976" height="{LINE * ROWS}" fill="{GROUND}"/>'
    inside = "\n".join([ground, *drawn])
    return f'{head[0]}{window}<g transform="translate(9, 41)" style="{font}">\n{inside}\n</g></svg>\n'


class Camera:
    """An app on a small screen, played by a script and looked at all the time."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._began = time.monotonic()
        self.frames: list[Frame] = []

    def look(self) -> None:
        picture = TEXT.sub(widened, FONT.sub("", self._app.export_screenshot(title="charrnn")))
        self.frames.append((time.monotonic() - self._began if self.frames else 0.0, picture))

    async def rest(self, seconds: float) -> None:
        """Look on while nothing is pressed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(BETWEEN)
            self.look()

    async def written(self) -> None:
        """Look on until the answer has ended."""
        await self.rest(0.3)
        while self._app._chat.writing:
            await self.rest(BETWEEN)


async def main() -> None:
    join_alt_arrows()
    model = charrnn.load()
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(
            lambda _: model.chat(charrnn.SamplingConfig(temperature=0.8, seed=3)), Path(folder) / "c.sqlite"
        )
        app = ChatApp(backend, language="zh", pace=30)
        async with app.run_test(size=(80, 24)) as pilot:
            while app._chat.session is None:
                await pilot.pause(0.02)
            camera = Camera(app)
            camera.look()
            await camera.rest(1)
            for words in ("什么", "是", "梯度", "消失", "？"):  # as an input method gives them
                app._chat.query_one(PromptBox).insert(words)
                await camera.rest(0.3)
            await pilot.press("enter")
            await camera.written()
            await camera.rest(2)
            await pilot.press("ctrl+t")
            for words in ("循环", "神经", "网络"):
                app._chat.query_one(PromptBox).insert(words)
                await camera.rest(0.3)
            await pilot.press("enter")
            await camera.rest(3)
            for _ in range(16):  # in mid-answer
                await pilot.press("alt+up")
                await camera.rest(BETWEEN)
            await camera.rest(4)
            await pilot.press("escape")
            await camera.rest(3)
    picture = woven(camera.frames, camera.frames[-1][0] + 1)
    (PICTURES / "moving.svg").write_text(picture, encoding="utf-8")
    print(f"{len(camera.frames)} frames, {camera.frames[-1][0]:.0f} seconds, {len(picture.encode()) / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
