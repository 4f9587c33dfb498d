"""The app served to browsers: who comes in, what they have, and that nothing of them stays."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.tui.web_client import Serving, Visitor

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="it looks at the processes of Linux")
TOKEN = "Abcdefgh12345678"


async def test_two_visitors_each_have_an_app_of_their_own_that_goes_with_them(tmp_path):
    async with ClientSession() as session:
        with Serving(tmp_path) as serving:
            async with session.get(serving.address, headers={"Accept-Language": "en-GB,zh;q=0.5"}) as page:
                assert page.status == 200
                assert "script-src 'self'" in page.headers["Content-Security-Policy"]
                assert "http" not in (await page.text()).replace(f"ws://{page.url.authority}/ws/en", "")
            first = await Visitor.enter(session, serving.address)
            second = await Visitor.enter(session, serving.address, "en")
            await first.until("就绪")
            await second.until("ready")
            assert len(serving.visitors) == 2
            await first.type("温度是什么\r")
            await first.until("温度是什么", "比特/字")
            await second.type("你好\r")
            await second.until("你好", "bits/char")
            assert "温度是什么" not in second.text
            await first.socket.close()
            await second.type("\x11")  # Ctrl+Q
            assert await second.shown_out()
            assert await serving.empty()


async def test_a_file_that_is_exported_comes_to_the_browser(tmp_path):
    async with ClientSession() as session:
        with Serving(tmp_path) as serving:
            visitor = await Visitor.enter(session, serving.address)
            await visitor.until("就绪")
            await visitor.type("你好\r")
            await visitor.until("比特/字")
            await visitor.type("\x0f")  # Ctrl+O: conversations
            await visitor.until("Ctrl+S 导出")
            await visitor.type("\x13")  # Ctrl+S
            keys = []
            while len(keys) < 2:
                message = await visitor.socket.receive(timeout=20)
                if isinstance(message.data, str):
                    kind, key = message.json()
                    assert kind == "deliver_file_start"
                    keys.append(key)
            files = {}
            for key in keys:
                async with session.get(f"{serving.address}download/{key}") as answer:
                    files[answer.content_disposition.filename] = await answer.text()
            assert "你好" in files["你好.md"]
            await visitor.type("\x13")  # once more, and nobody takes it
            while not isinstance((message := await visitor.socket.receive(timeout=20)).data, str):
                pass
            await visitor.socket.close()
            assert await serving.empty()
            async with session.get(f"{serving.address}download/{message.json()[1]}") as answer:
                assert answer.status == 404
            async with session.get(f"{serving.address}download/x") as answer:
                assert answer.status == 404


async def test_behind_a_proxy_that_encrypts_the_socket_is_asked_for_so(tmp_path):
    headers = {"X-Forwarded-Proto": "https"}
    with Serving(tmp_path) as serving:
        async with (
            ClientSession() as session,
            session.get(f"{serving.address}?fontsize={'9' * 5000}", headers=headers) as page,
        ):
            text = await page.text()
            assert f'"wss://{page.url.authority}/ws/zh"' in text
            assert 'data-font-size="16"' in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[x"},
        {"Host": "[x"},
        {"Host": "evil.example"},
    ],
)
async def test_pages_of_others_do_not_come_in(serving, headers):
    async with ClientSession() as session:
        with pytest.raises(WSServerHandshakeError) as refused:
            await Visitor.enter(session, serving.address, **headers)
        assert refused.value.status == 403
    assert not serving.visitors


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with Serving(tmp_path_factory.mktemp("web"), "--visitors", "1", "--idle", "0.1") as serving:
        yield serving


async def test_there_is_a_limit_and_who_says_nothing_is_shown_out(serving):
    async with ClientSession() as session:
        visitor = await Visitor.enter(session, serving.address)
        async with session.get(serving.address) as page:
            assert page.status == 503
            assert "人满了" in await page.text()
        with pytest.raises(WSServerHandshakeError) as refused:
            await Visitor.enter(session, serving.address)
        assert refused.value.status == 503
        assert await visitor.shown_out()  # after six seconds
        assert await serving.empty()


@pytest.mark.parametrize("said", ["", "{}", "[]", "3", '["stdin"]', '["stdin", 3]', '["resize", 3]', '["ping"]', "["])
async def test_what_makes_no_sense_ends_the_visit(serving, said):
    async with ClientSession() as session:
        visitor = await Visitor.enter(session, serving.address)
        await visitor.socket.send_str(said)
        assert await visitor.shown_out(5)
        assert await serving.empty()


async def test_no_screen_is_larger_than_a_terminal(tmp_path):
    with Serving(tmp_path, "--host", "127.0.0.2") as serving:  # this machine, too, under another name
        async with ClientSession() as session:
            visitor = await Visitor.enter(session, serving.address)
            await visitor.until("就绪")
            for width, height in ((10**9, 10**9), (-1, 0), (80, 24)):
                await visitor.socket.send_json(["resize", {"width": width, "height": height}])
            await visitor.type("\ud800写")
            await visitor.until("写")


async def test_who_has_no_token_does_not_come_in(tmp_path):
    with Serving(tmp_path, "--host", "0.0.0.0", CHARRNN_TOKEN=TOKEN) as serving:
        address = serving.address.replace("0.0.0.0", "127.0.0.1")
        async with ClientSession() as session:
            for path in ("", "?token=wrong", "ws/zh", "page.css", "static/js/textual.js", "download/x"):
                async with session.get(address + path) as answer:
                    assert answer.status == 403
            async with session.get(f"{address}?token={TOKEN}", allow_redirects=False) as answer:
                assert answer.headers["Location"] == "/"
                cookie = answer.cookies["charrnn"]
                assert cookie["httponly"]
                assert cookie["samesite"] == "Strict"
            headers = {"Cookie": f"charrnn={cookie.value}"}
            async with session.get(address, headers=headers) as page:
                assert page.status == 200
            visitor = await Visitor.enter(session, address, **headers)
            await visitor.until("就绪")
            (pid,) = serving.visitors
            assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_with_the_server_all_visits_end(number, tmp_path):
    async with ClientSession() as session:
        with Serving(tmp_path) as serving:
            visitor = await Visitor.enter(session, serving.address)
            await visitor.until("就绪")
            await visitor.type("\x14写\r")  # Ctrl+T: without end
            serving.process.send_signal(number)
            assert serving.process.wait(20) == (0 if number == signal.SIGINT else -number)
            if number == signal.SIGKILL:
                for room in serving.rooms.iterdir():  # which only the server would have taken away
                    room.rename(tmp_path / room.name)
            assert await serving.empty()


def test_where_nobody_should_listen_it_does_not(charrnn, serving):
    for words in (["--host", "0.0.0.0"], ["--host", "0.0.0.0", "--token", "short"], ["--port", "70000"]):
        done = charrnn("chat", "--web", *words, check=2)
        assert len(done.stderr.decode().strip().splitlines()) == 1
    assert "go with --web" in charrnn("chat", "--port", "1", check=2).stderr.decode()
    port = serving.address.rstrip("/").split(":")[-1]
    assert "another --port" in charrnn("chat", "--web", "--port", port, check=1).stderr.decode()
    words = ["--host", "no.such.invalid", "--token", "a" * 16]
    assert "--host is an address" in charrnn("chat", "--web", *words, check=1).stderr.decode()
