"""The program serving browsers, and a visitor without one: it speaks the page's protocol and keeps the screen."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyte
from aiohttp import ClientSession, ClientWebSocketResponse

from tests.conftest import environment


def text_of(screen: pyte.Screen) -> str:
    """What stands on it; pyte leaves an empty cell behind each wide character."""
    rows = (screen.buffer[y] for y in range(screen.lines))
    return "\n".join("".join(row[x].data for x in range(screen.columns)) for row in rows)


class Serving:
    """`charrnn chat --web` in a folder of its own; its visitors' rooms lie in `rooms`."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.rooms = folder / "rooms"
        self.rooms.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charrnn", "chat", "--web", "--port", "0", *words],
            cwd=folder,
            env=environment(folder) | {"TMPDIR": str(self.rooms), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split("?")[0].split(" ")[0]

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=20)[1]
        assert "Traceback" not in said, said

    @property
    def visitors(self) -> set[int]:
        """The processes of the app."""
        found = set()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
                mine = str(self.rooms).encode() in (place / "environ").read_bytes()
            except OSError:
                continue
            if mine and b"chat" in words and b"--web" not in words:
                found.add(int(place.name))
        return found

    async def empty(self) -> bool:
        """Whether within some seconds nobody is there, and no room is left."""
        until = time.monotonic() + 15
        while time.monotonic() < until and (self.visitors or os.listdir(self.rooms)):  # noqa: PTH208
            await asyncio.sleep(0.05)
        return not (self.visitors or list(self.rooms.iterdir()))


class Visitor:
    """What a person has in front of the browser."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)

    @classmethod
    async def enter(cls, session: ClientSession, address: str, language: str = "zh", **headers: str) -> Visitor:
        """With the origin of the page, unless told otherwise."""
        headers = {"Origin": address.rstrip("/"), **headers}
        return cls(await session.ws_connect(f"{address}ws/{language}?width=80&height=24", headers=headers))

    async def type(self, text: str) -> None:
        await self.socket.send_json(["stdin", text])

    @property
    def text(self) -> str:
        """The screen."""
        return text_of(self.screen)

    async def until(self, *words: str, seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while not all(word in self.text for word in words):
            message = await self.socket.receive(timeout=max(0.01, end - time.monotonic()))
            assert isinstance(message.data, bytes | str), self.text
            if isinstance(message.data, bytes):
                self._stream.feed(message.data)

    async def shown_out(self, seconds: float = 20) -> bool:
        """Whether the server closes the socket."""
        end = time.monotonic() + seconds
        while not self.socket.closed:
            await self.socket.receive(timeout=max(0.01, end - time.monotonic()))
        return True
