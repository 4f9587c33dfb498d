"""Pages and sockets: who may have the app, how many at once, and for how long without a word.

textual-serve has the page's terminal and the way to talk to an app; limits, the token, and the checks of host and
origin are here. Nothing is asked of another host.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from aiohttp import WSMsgType, web
from yarl import URL

from charrnn.config import WebConfig
from charrnn.errors import CharRNNError
from tui.strings import STRINGS, Language
from tui.web.visit import Downloads, Visit

COOKIE = "charrnn"
LONGEST_MESSAGE = 1 << 20  # bytes: what may be pasted at once
HEARTBEAT = 15.0  # seconds, after which a tab that does not answer is gone
NARROWEST, WIDEST = 20, 500  # cells
LOCAL = ("localhost", "127.0.0.1", "::1")
HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One application of aiohttp; `command` is the app, as a visitor's process runs it."""

    def __init__(self, command: Sequence[str], settings: WebConfig) -> None:
        self._command, self._settings = command, settings
        self._visits: set[Visit] = set()
        self._files = Downloads()

    def application(self) -> web.Application:
        """Its routes; every answer has the headers, and every question is checked first."""
        application = web.Application(middlewares=[self._check])
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._end)
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/{file:page.css|page.js}", _file),
                web.get("/ws/{language:zh|en}", self._socket),
                web.get("/download/{key}", self._download),
                web.static("/static", Path(str(files("textual_serve") / "static"))),
            ]
        )
        return application

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who listens on loopback is asked by that name only: another one leads here by a trick (DNS rebinding)."""
        settings = self._settings
        if settings.loopback and _url(f"//{request.host}").host not in (*LOCAL, settings.host):
            return _says(request, 403, "web_host")
        if settings.token and request.path == "/" and "token" in request.query:
            if not _same(request.query["token"], settings.token):
                return _says(request, 403, "web_token")
            answer = web.HTTPFound("/")  # so that the token stands in no history of the browser
            answer.set_cookie(COOKIE, settings.token, httponly=True, samesite="Strict")
            return answer
        if settings.token and not _same(request.cookies.get(COOKIE, ""), settings.token):
            return _says(request, 403, "web_token")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        if len(self._visits) >= self._settings.visitors:
            return _says(request, 503, "web_full")
        language = _language(request)
        words = STRINGS[language]
        secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        page = Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
            language=language,
            socket=html.escape(f"{'wss' if secure else 'ws'}://{request.host}/ws/{language}"),
            size=_between(request.query.get("fontsize"), 6, 60, otherwise=16),
            opening=words["web_opening"],
            ended=words["web_ended"],
            again=words["web_again"],
        )
        return web.Response(text=page, content_type="text/html")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if _url(request.headers.get("Origin", "")).authority != request.host:
            return _says(request, 403, "web_host")
        if len(self._visits) >= self._settings.visitors:
            return _says(request, 503, "web_full")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LONGEST_MESSAGE)
        language: Language = "en" if request.match_info["language"] == "en" else "zh"
        visit = Visit(self._command, language, socket, self._files)
        self._visits.add(visit)
        try:
            await socket.prepare(request)
            await visit.start(*(_cells(request.query.get(name)) for name in ("width", "height")))
            await self._pass_on(socket, visit)
        finally:
            await visit.stop()
            self._visits.discard(visit)
            if socket.prepared:
                await socket.close()
        return socket

    async def _end(self, _: web.Application) -> None:
        """With the server all visits end."""
        await asyncio.gather(*(visit.stop() for visit in self._visits))

    async def _pass_on(self, socket: web.WebSocketResponse, visit: Visit) -> None:
        """What the browser says, until it closes, says what makes no sense, or says nothing for too long."""
        until = time.monotonic() + 60 * self._settings.idle
        with contextlib.suppress(TimeoutError, ValueError, TypeError, LookupError, AttributeError):
            while True:
                message = await socket.receive(timeout=max(0.001, until - time.monotonic()))
                if message.type != WSMsgType.TEXT:
                    return
                kind, *given = json.loads(message.data)
                if kind == "stdin":
                    until = time.monotonic() + 60 * self._settings.idle
                    await visit.send_bytes(given[0].encode("utf-8", "replace"))
                elif kind == "resize":
                    await visit.set_terminal_size(_cells(given[0]["width"]), _cells(given[0]["height"]))
                elif kind == "ping":
                    await socket.send_json(["pong", given[0]])
                elif kind in ("focus", "blur"):
                    await (visit.focus() if kind == "focus" else visit.blur())

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that a visitor's app has offered, under a name that nobody guesses."""
        key = request.match_info["key"]
        try:
            offered = await self._files.get_download_metadata(key)
        except KeyError:
            return _says(request, 404, "web_gone")
        answer = web.StreamResponse()
        answer.content_type, answer.charset = offered.mime_type, offered.encoding
        name = "".join(f"%{byte:02X}" for byte in offered.file_name.encode("utf-8", "replace"))
        answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        await answer.prepare(request)
        with contextlib.suppress(KeyError):  # the visit has ended, or another has fetched it
            async for chunk in self._files.download(key):
                await answer.write(chunk)
        await answer.write_eof()
        return answer


async def _file(request: web.Request) -> web.FileResponse:
    return web.FileResponse(HERE / request.match_info["file"])


async def _add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(HEADERS)


def _url(address: str) -> URL:
    """What somebody claims, or nothing where that is no address."""
    try:
        return URL(address)
    except ValueError:
        return URL()


def _same(given: str, token: str) -> bool:
    """Compared in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _language(request: web.Request) -> Language:
    """Chinese, unless the browser asks for another first."""
    first = request.headers.get("Accept-Language", "").split(",")[0].strip().lower()
    return "zh" if first[:2] in ("", "zh", "*") else "en"


def _says(request: web.Request, status: int, name: str) -> web.Response:
    """A page of one sentence."""
    language = _language(request)
    again = '<meta http-equiv="refresh" content="10">' if status == 503 else ""
    text = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>charrnn</title>{again}'
        f'<link rel="stylesheet" href="/page.css"><body class="says"><main><p>{STRINGS[language][name]}</main></html>'
    )
    return web.Response(status=status, text=text, content_type="text/html")


def _cells(given: object) -> int:
    """A width or height that a terminal has."""
    return _between(given, NARROWEST, WIDEST, otherwise=80)


def _between(given: Any, least: int, most: int, *, otherwise: int) -> int:
    try:
        return min(max(int(given), least), most)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _refused(settings: WebConfig, error: OSError | OverflowError) -> str:
    """Why nobody can listen there."""
    if isinstance(error, OSError) and (error.errno or 0) < 0:  # getaddrinfo's, of a name that is none
        return f"cannot listen on {settings.host}: {error.strerror}; --host is an address of this machine"
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"cannot listen on {settings.host}, port {settings.port}: {why}; try another --port"


def serve(command: Sequence[str], settings: WebConfig, say: Callable[[str], None]) -> None:
    """Serve until Ctrl+C or SIGTERM; then all visits have ended. CharRNNError where the port cannot be had."""
    asyncio.run(_serve(Server(command, settings).application(), settings, say))


async def _serve(application: web.Application, settings: WebConfig, say: Callable[[str], None]) -> None:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise CharRNNError(_refused(settings, error)) from None
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"http://{host}:{port}/{'?token=…' if settings.token else ''}")
        await ended.wait()
    finally:
        await runner.cleanup()
