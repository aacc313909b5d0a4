"""The ASGI door, message by message: what servers seldom do, and what they must not get away with."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from core._fast import asgi_door, asgi_fields, asgi_websocket
from core._fast.asgi_door import ResponseBroken
from core.plugin import Plugin, PluginConfig
from tests.core.fast.asgi_server import GONE, LENGTH_5, Server, body, problem_of, upstream
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage, whole_body
from tests.harness import PATIENCE, Client, Origin, answering, serving


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    received = await whole_body(receive)
    await answer(200, [], received)(scope, receive, send)


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


async def test_a_trusted_proxy_is_believed_about_the_client() -> None:
    fields = [(b"host", b"a"), (b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
    async with playing(answer(), server={"trusted_proxies": ["127.0.0.1"]}) as gateway:
        await Server().serve(gateway, headers=fields)
        await Server().serve(gateway, headers=fields, client=("127.0.0.2", 1))
        await Server().serve(gateway, scheme="https")
    assert [scope["client"][0] for scope in stage.scopes] == ["203.0.113.9", "127.0.0.2", "127.0.0.1"]
    assert [scope["scheme"] for scope in stage.scopes] == ["https", "http", "https"]


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


@pytest.mark.parametrize("accepted", [b"gzip", b"identity"])
async def test_a_body_that_is_compressed_has_no_length_and_any_other_has_its_own(accepted: bytes) -> None:
    text = b"body" * 1000
    app = answer(200, [(b"content-length", b"4000"), (b"content-type", b"text/plain")], text)
    async with playing(app, route={"plugin": [{"use": "compress"}]}) as gateway:
        server = Server()
        await server.serve(gateway, headers=[(b"host", b"a"), (b"accept-encoding", accepted)])
    if accepted == b"gzip":
        assert gzip.decompress(server.body) == text
        assert b"content-length" not in server.fields
    else:
        assert (server.body, server.fields[b"content-length"]) == (text, b"4000")
