"""The app in a real browser: `make test-web`. Chromium is the system's; its text is read from what the socket brings.

Not part of `make test`, which needs no browser.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import pyte
import pytest
from playwright.async_api import Page, async_playwright

from tests.tui.web_client import Serving, text_of

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Tab:
    """A page with the app: what was typed goes in by the browser's keys, what comes is drawn on a screen here, too."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.shown: list[int] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda socket: socket.on("framereceived", self._take))
        page.on("websocket", lambda socket: socket.on("framesent", self._resize))

    def _take(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes):
            self._stream.feed(frame)
            self.shown.append(len(self.text.replace(" ", "")))

    def _resize(self, frame: bytes | str) -> None:
        """The size that the page's terminal has found for itself."""
        if isinstance(frame, str) and frame.startswith('["resize"'):
            size = json.loads(frame)[1]
            self.screen.resize(size["height"], size["width"])

    @property
    def text(self) -> str:
        return text_of(self.screen)

    async def until(self, *words: str) -> None:
        for _ in range(400):
            if all(word in self.text for word in words):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(self.text)

    async def type(self, text: str) -> None:
        await self.page.keyboard.insert_text(text)  # as an input method does
        await self.until(text)
        await self.page.keyboard.press("Enter")


@pytest.fixture
async def browser():
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"none of {', '.join(NAMES)} is here; on Debian: apt-get install chromium"
    async with async_playwright() as playwright:
        words = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=program, args=words)
        yield browser
        await browser.close()


async def test_two_people_talk_to_it_each_alone_and_a_closed_tab_ends_its_process(browser, tmp_path):
    with Serving(tmp_path) as serving:
        tabs = []
        for language in ("zh-CN", "en-GB"):
            context = await browser.new_context(locale=language, viewport={"width": 1000, "height": 640})
            tab = Tab(await context.new_page())
            await tab.page.goto(serving.address)
            await tab.page.wait_for_selector("body.-first-byte", state="attached", timeout=30_000)
            tabs.append(tab)
        first, second = tabs
        await first.until("就绪")
        await second.until("ready")
        await first.type("温度有什么作用？")
        before = len(first.shown)
        await first.until("比特/字")
        grown = set(first.shown[before:])
        assert len(grown) > 5  # it streams, and does not come at once
        await second.type("梯度消失是怎么回事")
        await second.until("bits/char")
        assert "梯度消失是" not in first.text
        assert "温度有什么作用" not in second.text
        pictures = [await tab.page.screenshot() for tab in tabs]
        assert pictures[0] != pictures[1]
        for tab in tabs:
            assert not tab.errors
            assert all(url.startswith((serving.address, "data:")) for url in tab.requests)
        assert len(serving.visitors) == 2
        await first.page.close()
        for _ in range(100):
            if len(serving.visitors) == 1:
                break
            await asyncio.sleep(0.1)
        assert len(serving.visitors) == 1
        await second.page.keyboard.press("Control+q")
        await second.page.wait_for_selector("body.-closed .ended", state="visible")
        assert await serving.empty()


async def test_a_page_with_the_token_opens_and_the_address_forgets_it(browser, tmp_path):
    token = "Abcdefgh12345678"
    with Serving(tmp_path, CHARRNN_TOKEN=token) as serving:
        page = await browser.new_page()
        answer = await page.goto(serving.address)
        assert answer.status == 403
        await page.goto(f"{serving.address}?token={token}")
        await page.wait_for_selector("body.-first-byte", state="attached", timeout=30_000)
        assert page.url == serving.address
