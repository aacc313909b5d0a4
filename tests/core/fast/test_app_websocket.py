"""ASGI applications as targets behind the native door: WebSocket handshakes, messages, compression."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol
from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, Ping, Pong, TextMessage

from core._fast import app_websocket
from core._fast.app_target import App
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage
from tests.core.fast.websocket_stage import (
    KEY,
    UPGRADE,
    accept,
    close_code,
    echo,
    next_event,
    raw_websocket,
    websocket,
)
from tests.harness import PATIENCE


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert app_websocket.__file__.endswith(".so")


# -- the handshake ------------------------------------------------------------------------------------


async def test_shows_the_handshake_as_asgi_prescribes() -> None:
    async with playing(echo) as gateway:
        protocols = [Subprotocol("a"), Subprotocol("b")]
        async with websocket(gateway, subprotocols=protocols, origin=Origin("http://o")) as client:
            await client.close()
        await stage.over()
    scope = stage.scopes[0]
    assert scope["type"] == "websocket"
    assert scope["scheme"] == "ws"
    assert scope["path"] == "/chat"
    assert scope["subprotocols"] == ["a", "b"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    names = [name for name, _ in scope["headers"]]
    assert b"origin" in names
    assert b"upgrade" not in names
    assert b"connection" not in names


async def test_answers_the_key_and_passes_on_subprotocol_and_headers() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send, subprotocol="b", headers=[(b"x-a", b"1")])
        await send({"type": "websocket.close"})

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        got = await client.response()
        assert got.status == 101
        assert got.header(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert got.header(b"sec-websocket-protocol") == b"b"
        assert got.header(b"x-a") == b"1"
        assert got.header(b"upgrade") == b"websocket"
        client.abort()


@pytest.mark.parametrize(
    ("old", "new", "status", "slug"),
    [
        (b"Version: 13", b"Version: 12", 426, "websocket-version"),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426, "websocket-version"),
        (KEY, b"short", 400, "websocket-key"),
        (KEY, KEY + b"\r\nSec-WebSocket-Key: " + KEY, 400, "websocket-key"),
        (b"Host: a", b"Host: a\r\nContent-Length: 1", 400, "websocket-body"),
    ],
)
async def test_refuses_a_handshake_it_cannot_take(old: bytes, new: bytes, status: int, slug: str) -> None:
    async with playing(echo) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE.replace(old, new))
        got = await client.response()
        assert (got.status, json.loads(got.body)["type"]) == (status, f"urn:agora:problem:{slug}")
        if status == 426:
            assert got.header(b"sec-websocket-version") == b"13"
        client.abort()
    assert stage.scopes == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UPGRADE.replace(b"GET", b"POST"),
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: other"),
        UPGRADE.replace(b"Connection: Upgrade\r\n", b""),
    ],
)
async def test_what_does_not_ask_for_a_websocket_is_a_plain_request(request_bytes: bytes) -> None:
    async with playing(answer(200, [], b"plain")) as gateway:
        client = await gateway.connect()
        client.send(request_bytes)
        assert (await client.response()).body == b"plain"
        client.abort()
    assert stage.scopes[0]["type"] == "http"


async def test_a_rejected_websocket_is_a_403() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.close", "code": 4000})
        assert (await receive())["type"] == "websocket.disconnect"

    async with playing(app) as gateway:
        with pytest.raises(InvalidStatus) as caught:
            await websocket(gateway)
        await stage.over()
    assert caught.value.response.status_code == 403
    assert stage.errors == []


async def test_an_application_may_answer_the_handshake_over_http() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        start = {"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-a", b"1")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"tea", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"pot"})

    async with playing(app) as gateway:
        client = await gateway.connect()
        client.send(UPGRADE)
        got = await client.response()
        assert (got.status, got.header(b"x-a"), bytes(got.body)) == (418, b"1", b"teapot")
        client.abort()


# -- messages -----------------------------------------------------------------------------------------


async def test_echoes_text_and_bytes_of_every_frame_size() -> None:
    payloads: list[str | bytes] = [
        "",
        b"",
        "żółć",
        bytes(125),
        "x" * 126,
        bytes(65535),
        bytes(65536),
        "y" * 10**6,
    ]
    async with playing(echo) as gateway, websocket(gateway) as client:
        for payload in payloads:
            await client.send(payload)
            assert await client.recv() == payload


async def test_puts_fragments_together_and_answers_pings_between_them() -> None:
    async with playing(echo) as gateway:
        client, frames = await raw_websocket(gateway)
        client.send(frames.send(TextMessage(data="fr", message_finished=False)))
        client.send(frames.send(Ping(payload=b"now")))
        client.send(frames.send(TextMessage(data="", message_finished=False)))
        client.send(frames.send(TextMessage(data="ag", message_finished=True)))
        assert await next_event(client, frames) == Pong(payload=b"now")
        assert await next_event(client, frames) == TextMessage(data="frag")
        client.abort()


async def test_takes_frames_that_came_with_the_handshake() -> None:
    async with playing(echo) as gateway:
        client, frames = await gateway.connect(), Connection(CLIENT)
        client.send(UPGRADE + frames.send(BytesMessage(data=b"early")))
        assert (await client.response()).status == 101
        assert await next_event(client, frames) == BytesMessage(data=b"early")
        client.abort()


async def test_a_slow_application_holds_the_sender() -> None:
    total, piece = 32 * 1024 * 1024, bytes(65536)
    received = 0
    ahead = 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal received
        await accept(receive, send)
        while received < total:
            for _ in range(20):
                await asyncio.sleep(0)  # others run; no time passes
            received += len((await receive())["bytes"])
        await send({"type": "websocket.send", "text": "done"})

    async with playing(app) as gateway:
        client, frames = await raw_websocket(gateway)
        for sent in range(0, total, len(piece)):
            client.send(frames.send(BytesMessage(data=piece)))
            await client.drain()
            ahead = max(ahead, sent - received)
        assert await next_event(client, frames) == TextMessage(data="done")
        client.abort()
    assert ahead < 16 * 1024 * 1024  # what two sockets hold


async def test_a_slow_reader_holds_the_application() -> None:
    total, piece = 64 * 1024 * 1024, bytes(65536)
    read, ahead = 0, 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal ahead
        await accept(receive, send)
        for sent in range(0, total, len(piece)):
            await send({"type": "websocket.send", "bytes": piece})
            ahead = max(ahead, sent - read)

    async with playing(app) as gateway:
        client, _ = await raw_websocket(gateway)
        while read < total:
            async with asyncio.timeout(PATIENCE):
                read += len(await client.reader.read(65536))
        client.abort()
    assert ahead < 24 * 1024 * 1024  # what two sockets and the client's reader hold


# -- compression --------------------------------------------------------------------------------------


async def test_compression_is_not_offered_unless_asked_for() -> None:
    async with playing(echo) as gateway, websocket(gateway, compression="deflate") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_compression_is_agreed_on_where_it_is_switched_on() -> None:
    async with playing(echo) as gateway:
        target = gateway.plane.snapshot.plans[0].target
        assert isinstance(target, App)
        target.compress = True
        async with websocket(gateway, compression="deflate") as client:
            assert client.response is not None
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            for payload in ("", "text" * 10000, b"bytes" * 100000):
                await client.send(payload)
                assert await client.recv() == payload


async def test_a_message_that_inflates_over_the_limit_closes_with_1009() -> None:
    async with playing(echo) as gateway:
        target = gateway.plane.snapshot.plans[0].target
        assert isinstance(target, App)
        target.compress = True
        target.message_limit = 100_000
        async with websocket(gateway, compression="deflate") as client:
            await client.send(bytes(10**8))
            assert await close_code(client) == 1009
