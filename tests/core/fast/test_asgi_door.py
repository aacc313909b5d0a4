"""The ASGI door, message by message: what servers seldom do, and what they must not get away with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core._fast import asgi_door, asgi_fields, asgi_websocket
from core._fast.asgi_door import ResponseBroken, serve_http
from core._fast.asgi_websocket import serve_websocket
from core.plugin import Plugin, PluginConfig
from core.websocket import accept_token
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage, whole_body
from tests.harness import PATIENCE, Client, Gateway, Origin, answering, serving

HTTP: Message = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/a",
    "raw_path": b"/a",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"a")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}
WEBSOCKET: Message = {**HTTP, "type": "websocket", "scheme": "ws", "subprotocols": []}
LENGTH_5 = [(b"host", b"a"), (b"content-length", b"5")]


class Server:
    """Be the ASGI server of one scope: tells what a test says, keeps what it is told."""

    def __init__(self, *told: Message) -> None:
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        for message in told:
            self.coming.put_nowait(message)
        self.heard: list[Message] = []
        self.news = asyncio.Event()
        self.asked = 0
        self.hold: Callable[[], Awaitable[None]] | None = None

    async def receive(self) -> Message:
        self.asked += 1
        return await self.coming.get()

    async def send(self, message: Message) -> None:
        self.heard.append(message)
        self.news.set()
        if self.hold is not None:
            await self.hold()

    async def hears(self, kind: str) -> Message:
        """Wait until a message of this type has come."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for message in self.heard:
                    if message["type"] == kind:
                        return message
                self.news.clear()
                await self.news.wait()

    async def serve(self, gateway: Gateway, scope: Message = HTTP, **items: Any) -> None:
        serve = serve_http if scope["type"] == "http" else serve_websocket
        async with asyncio.timeout(PATIENCE):
            await serve(gateway.plane.door, {**scope, **items}, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.heard[0]["status"])

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(self.heard[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.heard)

    @property
    def complete(self) -> bool:
        return self.heard[-1].get("more_body", False) is False


def body(piece: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": piece, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    received = await whole_body(receive)
    await answer(200, [], received)(scope, receive, send)


def problem_of(server: Server) -> str:
    return str(json.loads(server.body)["type"]).rpartition(":")[2]


def test_the_compiled_modules_are_the_ones_loaded() -> None:
    for module in (asgi_door, asgi_fields, asgi_websocket):
        assert str(module.__file__).endswith(".so")


# -- requests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "status", "slug"),
    [
        ({"headers": [(b"host", b"a"), (b"x", b"1\r\ny: 2")]}, 400, "header-value-character"),
        ({"raw_path": b"/a HTTP/1.1\r\nx: y"}, 400, "header-value-character"),
        ({"headers": []}, 400, "host-missing"),
        ({"headers": [(b"host", b"a"), (b"host", b"b")]}, 400, "host-repeated"),
        ({"headers": [(b"host", b"a"), (b"x y", b"1")]}, 400, "header-name-space"),
        ({"headers": [*LENGTH_5, (b"transfer-encoding", b"chunked")]}, 400, "framing-ambiguous"),
        ({"headers": [(b"host", b"a"), (b"content-length", b"+5")]}, 400, "content-length-malformed"),
        (
            {"headers": [(b"host", b"a"), (b"transfer-encoding", b"gzip, chunked")]},
            501,
            "transfer-encoding-unknown",
        ),
        ({"headers": [(b"host", b"a"), (b"expect", b"more")]}, 417, "expectation-unknown"),
        ({"raw_path": b"/" + b"a" * 9000}, 414, "request-line-too-long"),
        ({"headers": [(b"host", b"a"), *[(b"x", b"1")] * 128]}, 431, "headers-too-many"),
    ],
)
async def test_a_scope_is_held_to_the_same_rules_as_bytes(items: Message, status: int, slug: str) -> None:
    async with playing(answer()) as gateway:
        server = Server()
        await server.serve(gateway, **items)
        assert (server.status, problem_of(server)) == (status, slug)
        assert server.fields[b"content-type"] == b"application/problem+json"
        assert server.fields[b"connection"] == b"close"
    assert stage.scopes == []


async def test_the_body_is_asked_for_only_when_it_is_wanted() -> None:
    go = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with playing(app) as gateway:
        server = Server(body(b"hello"))
        serving_it = asyncio.create_task(
            server.serve(gateway, method="POST", headers=[*LENGTH_5, (b"expect", b"100-continue")])
        )
        async with asyncio.timeout(PATIENCE):
            while not stage.scopes:
                await asyncio.sleep(0)
        assert server.asked == 0
        go.set()
        await serving_it
        assert server.body == b"hello"


async def test_no_more_of_the_body_is_asked_for_while_the_application_does_not_take_it() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        asked = 0
        while (await receive())["more_body"]:
            for _ in range(20):
                await asyncio.sleep(0)  # others run; no time passes
            assert server.asked <= asked + 4
            asked = server.asked
        await answer(200, [], b"done")(scope, receive, send)

    pieces = [body(bytes(32768), more=True) for _ in range(50)]
    async with playing(app) as gateway:
        server = Server(*pieces, body(b""))
        await server.serve(
            gateway, method="POST", headers=[(b"host", b"a"), (b"transfer-encoding", b"chunked")]
        )
        assert server.body == b"done"


@pytest.mark.parametrize(
    "pieces", [[body(b"hell")], [body(b"hello!")], [body(b"hel", more=True), body(b"lo!")]]
)
async def test_a_body_of_another_length_than_announced_is_refused(pieces: list[Message]) -> None:
    async with playing(echo) as gateway:
        server = Server(*pieces)
        await server.serve(gateway, method="POST", headers=LENGTH_5)
        assert (server.status, problem_of(server)) == (400, "content-length-conflict")


async def test_a_body_of_another_length_cuts_an_answer_under_way() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive())["type"] == "http.request":
            pass

    async with playing(app) as gateway:
        server = Server(body(b"hel", more=True))
        serving_it = asyncio.create_task(server.serve(gateway, method="POST", headers=LENGTH_5))
        await server.hears("http.response.body")
        server.coming.put_nowait(body(b"lo!"))
        with pytest.raises(ResponseBroken):
            await serving_it
        assert (server.body, server.complete) == (b"half", False)


async def test_a_body_that_was_not_announced_is_left_alone() -> None:
    async with playing(echo) as gateway:
        server = Server(body(b"hello"))
        await server.serve(gateway)
        assert server.body == b""


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([body(b"")], (None, None, b"")),
        ([body(b"hello")], (b"5", None, b"hello")),
        ([body(b"hel", more=True), body(b"lo")], (None, b"chunked", b"hello")),
    ],
)
async def test_over_http_2_the_first_message_tells_whether_there_is_a_body(
    pieces: list[Message], expected: tuple[bytes | None, bytes | None, bytes]
) -> None:
    async def script(client: Client) -> None:
        head = await client.read_until(b"\r\n\r\n")
        heads.append(head.lower())
        if b"chunked" in heads[0]:
            await client.read_until(b"0\r\n\r\n")
        elif b"content-length" in heads[0]:
            await client.read_exactly(5)
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    heads: list[bytes] = []
    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        server = Server(*pieces)
        await server.serve(gateway, http_version="2", method="POST")
    length, coding, _ = expected
    assert (b"\r\ncontent-length: %b\r\n" % (length or b"none") in heads[0]) is (length is not None)
    assert (b"\r\ntransfer-encoding: chunked\r\n" in heads[0]) is (coding is not None)


async def test_a_client_that_went_before_anything_else_is_nobody() -> None:
    async with playing(answer()) as gateway:
        server = Server(GONE)
        await server.serve(gateway, http_version="2")
    assert server.heard == []


async def test_a_client_without_an_address_came_by_a_unix_socket() -> None:
    async with playing(answer()) as gateway:
        await Server().serve(gateway, client=None)
    assert stage.scopes[0]["client"] is None


# -- answers ------------------------------------------------------------------------------------------


async def test_a_whole_answer_is_two_messages() -> None:
    async with playing(answer(200, [(b"X-A", b"1")], b"body")) as gateway:
        server = Server()
        await server.serve(gateway)
    assert [message["type"] for message in server.heard] == ["http.response.start", "http.response.body"]
    assert server.fields[b"x-a"] == b"1"
    assert server.complete


async def test_leaves_framing_and_the_date_to_the_server() -> None:
    fields = b"Date: today\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nX: 1\r\n"
    response = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n0\r\n\r\n"
    async with Origin(answering(response)) as origin, serving(upstream(origin)) as gateway:
        server = Server()
        await server.serve(gateway)
    assert set(server.fields) == {b"via"}


async def test_a_slow_server_holds_the_application() -> None:
    sent = 0
    go = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(32768), "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    async with playing(app) as gateway:
        server = Server()
        server.hold = lambda: held(go)
        serving_it = asyncio.create_task(server.serve(gateway))
        await server.hears("http.response.start")
        for _ in range(100):
            await asyncio.sleep(0)  # others run; no time passes
        assert sent < 5
        go.set()
        await serving_it
        assert len(server.body) == 100 * 32768


async def held(go: asyncio.Event) -> None:
    await go.wait()


async def test_a_server_that_says_the_client_has_gone_ends_the_exchange_quietly() -> None:
    async def endless(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0)

    async def fail() -> None:
        raise ConnectionResetError

    async with playing(endless) as gateway:
        server = Server()
        server.hold = fail
        await server.serve(gateway)
        await stage.over()
    assert isinstance(stage.errors[0], ConnectionResetError)


async def test_a_server_that_gives_up_ends_the_exchange() -> None:
    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    async with playing(waits) as gateway:
        serving_it = asyncio.create_task(Server().serve(gateway))
        async with asyncio.timeout(PATIENCE):
            while not stage.scopes:
                await asyncio.sleep(0)
        serving_it.cancel()
        await stage.over()
        await asyncio.wait({serving_it})
    assert stage.errors == []


async def test_passes_on_early_hints_and_trailers_to_servers_that_take_them() -> None:
    response = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    extensions: Message = {"http.response.early_hint": {}, "http.response.trailers": {}}
    fields = [(b"host", b"a"), (b"te", b"trailers")]
    async with Origin(answering(response)) as origin, serving(upstream(origin)) as gateway:
        able, unable = Server(), Server()
        await able.serve(gateway, headers=fields, extensions=extensions)
        await unable.serve(gateway, headers=fields)
    assert able.heard[0] == {"type": "http.response.early_hint", "links": [b"</a.css>"]}
    assert able.heard[1]["trailers"] is True
    assert able.heard[-1]["headers"] == [(b"x-sum", b"1")]
    assert [message["type"] for message in unable.heard] == ["http.response.start", "http.response.body"]


class Stretching(Plugin):
    """Changes the length of an answer without saying so."""

    class Config(PluginConfig, frozen=True):
        """Its options."""

        by: int = 0

    rewrites_bodies = True

    def __init__(self, config: Config, site: Any) -> None:
        self.by = config.by

    def chunk(self, exchange: Any, side: str, piece: bytes, last: bool) -> bytes | None:
        return piece[: self.by] if self.by < 0 else piece + b"x" * self.by if not last else None


@pytest.mark.parametrize(("by", "expected"), [(-1, b"bod"), (2, b"bodyxx")])
async def test_a_body_that_plugins_rewrite_has_no_length(by: int, expected: bytes) -> None:
    plugins = [{"use": f"{__name__}:Stretching", "by": by}]
    app = answer(200, [(b"content-length", b"4")], b"body")
    async with playing(app, route={"plugin": plugins}) as gateway:
        server = Server()
        await server.serve(gateway)
    assert server.body == expected
    assert b"content-length" not in server.fields


# -- WebSocket ----------------------------------------------------------------------------------------

CONNECT: Message = {"type": "websocket.connect"}


async def socket_echo(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"date", b"never"), (b"x-a", b"1")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    stage.scopes.append(message)


async def test_a_websocket_passes_in_messages() -> None:
    async with playing(socket_echo) as gateway:
        server = Server(CONNECT, {"type": "websocket.receive", "text": "hello"})
        server.coming.put_nowait({"type": "websocket.receive", "text": None, "bytes": b"bytes"})
        serving_it = asyncio.create_task(server.serve(gateway, WEBSOCKET))
        await server.hears("websocket.send")
        server.coming.put_nowait({"type": "websocket.disconnect", "code": 4001, "reason": "enough"})
        await serving_it
        await stage.over()
    assert server.heard[0] == {"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-a", b"1")]}
    assert {"type": "websocket.send", "text": "hello"} in server.heard
    assert stage.scopes[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"type": "websocket.disconnect", "code": 1006}, 1006),
        ({"type": "websocket.disconnect"}, 1005),
        ({"type": "websocket.disconnect", "code": None, "reason": None}, 1005),
    ],
)
async def test_every_kind_of_going_is_told(told: Message, code: int) -> None:
    async with playing(socket_echo) as gateway:
        server = Server(CONNECT)
        serving_it = asyncio.create_task(server.serve(gateway, WEBSOCKET))
        await server.hears("websocket.accept")
        server.coming.put_nowait(told)
        await serving_it
        await stage.over()
    assert stage.scopes[-1]["code"] == code


async def test_a_client_that_goes_before_the_accept_is_told_to_the_application() -> None:
    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        stage.scopes.append(await receive())

    async with playing(waits) as gateway:
        server = Server(CONNECT, {"type": "websocket.disconnect", "code": 1006})
        await server.serve(gateway, WEBSOCKET)
        await stage.over()
    assert stage.scopes[-1]["type"] == "websocket.disconnect"
    assert server.heard == []


async def test_what_does_not_begin_with_connect_is_not_served() -> None:
    async with playing(socket_echo) as gateway:
        server = Server({"type": "websocket.disconnect", "code": 1006})
        await server.serve(gateway, WEBSOCKET)
    assert server.heard == stage.scopes == []


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_an_answer_that_is_no_websocket_goes_out_as_the_server_can(extensions: Message) -> None:
    async def denies(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"teapot"})

    async with playing(denies) as gateway:
        server, malformed = Server(CONNECT), Server(CONNECT)
        await server.serve(gateway, WEBSOCKET, extensions=extensions)
        await malformed.serve(gateway, WEBSOCKET, extensions=extensions, headers=[(b"host", b"a b")])
    if extensions:
        assert (server.heard[0]["type"], server.status) == ("websocket.http.response.start", 418)
        assert server.body == b"teapot"
        assert (malformed.status, problem_of(malformed)) == (400, "host-malformed")
    else:
        assert server.heard == malformed.heard == [{"type": "websocket.close"}]


async def test_a_target_that_sends_no_close_is_cut() -> None:
    async def script(client: Client) -> None:
        head = await client.read_until(b"\r\n\r\n")
        key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        client.send(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n")
        client.send(b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_token(key))

    async with Origin(script) as origin, serving(upstream(origin)) as gateway:
        server = Server(CONNECT)
        with pytest.raises(ResponseBroken):
            await server.serve(gateway, WEBSOCKET)
    assert [message["type"] for message in server.heard] == ["websocket.accept"]


def upstream(origin: Origin) -> dict[str, Any]:
    """Return a configuration that leads everything to an upstream."""
    return {
        "upstream": [{"name": "u", "targets": [origin.url]}],
        "route": [{"name": "u", "path": "/{rest:path}", "upstream": "u"}],
    }
