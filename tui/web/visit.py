"""A process of the app for one visitor, in a folder of its own that goes with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from aiohttp.web import WebSocketResponse
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from charrnn.config import TOKEN
from tui.strings import Language

PRELUDE = b"__GANGLION__\n"  # what Textual's driver for the web says first
GRACE = 3.0  # seconds to end in, before it is ended


class Downloads(DownloadManager):
    """textual-serve's files that visitors' apps have offered, which forgets those of a visit that has ended."""

    def forget(self, visit: Visit) -> None:
        """What it has offered is there no more."""
        for key in [key for key, offered in self._active_downloads.items() if offered.app_service is visit]:
            del self._active_downloads[key]


class Visit(AppService):
    """textual-serve's way of talking to an app, around a process that no shell starts, and that surely ends."""

    def __init__(self, command: Sequence[str], language: Language, socket: WebSocketResponse, files: Downloads):
        super().__init__(
            command[0],
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=socket.close,  # type: ignore[arg-type]
            download_manager=files,
        )
        self._words, self._language, self._files = command, language, files
        self._room = Path(tempfile.mkdtemp(prefix="charrnn-visitor-"))
        with contextlib.suppress(OSError):
            (self._room / "models").symlink_to(Path("models").absolute())

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        """Conversations, settings and exports are this visitor's alone, and gone with the room."""
        room = str(self._room)
        locale = {"zh": "zh_CN.UTF-8", "en": "en_US.UTF-8"}[self._language]
        own = {"HOME": room, "XDG_DATA_HOME": room, "XDG_CONFIG_HOME": room, "LC_ALL": locale, "PYTHONUTF8": "1"}
        inherited = super()._build_environment(width, height)
        return {name: value for name, value in inherited.items() if name != TOKEN} | own

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            cwd=self._room,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Pass on what the app writes, until it has ended; then the socket is closed."""
        assert self._process is not None
        assert self._process.stdout is not None
        written = self._process.stdout
        kinds = {b"D": self.on_data, b"M": self.on_meta, b"P": self.on_packed}
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await written.readuntil(PRELUDE)
            while True:
                kind = await written.readexactly(1)
                size = int.from_bytes(await written.readexactly(4), "big")
                await kinds[kind](await written.readexactly(size))
        await self.remote_close()

    async def stop(self) -> None:
        """End it, with whatever it has started; more than once does no harm."""
        process = self._process
        if process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(super().stop(), GRACE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        self._files.forget(self)
        await asyncio.to_thread(shutil.rmtree, self._room, ignore_errors=True)
