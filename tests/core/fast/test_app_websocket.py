"""ASGI applications as targets behind the native door: WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol
from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from core._fast import app_websocket
from core._fast.app_target import App
from tests.core.fast.stage import Message, Receive, Send, answer, playing, stage
from tests.harness import PATIENCE, Client, Gateway

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /chat?q=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)


def websocket(gateway: Gateway, **options: Any) -> Any:
    """Connect with the library's client, without its compression."""
    options.setdefault("compression", None)
    return open_websocket(f"ws://127.0.0.1:{gateway.port}/chat", proxy=None, **options)


async def accept(receive: Receive, send: Send, **extra: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", **extra})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", **{key: message[key] for key in message if key != "type"}})
    stage.scopes.append(message)


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


# -- closing ------------------------------------------------------------------------------------------


async def test_the_clients_close_is_answered_and_told_to_the_application() -> None:
    async with playing(echo) as gateway:
        async with websocket(gateway) as client:
            await client.close(4001, "enough")
        await stage.over()
        assert client.close_code == 4001
    assert stage.scopes[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


async def test_a_close_without_a_code_is_told_as_1005() -> None:
    async with playing(echo) as gateway:
        client, _ = await raw_websocket(gateway)
        client.send(b"\x88\x80\x00\x00\x00\x00")
        assert await client.read_exactly(2) == b"\x88\x00"
        assert await client.closed()
        await stage.over()
        client.abort()
    assert stage.scopes[-1]["code"] == 1005


async def test_the_applications_close_reaches_the_client() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close", "code": 4002, "reason": "bye"})
        stage.scopes.append(await receive())
        with pytest.raises((RuntimeError, OSError)):
            await send({"type": "websocket.send", "text": "late"})
        await send({"type": "websocket.close"})

    async with playing(app) as gateway, websocket(gateway) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4002, "bye")
        await stage.over()
    assert stage.scopes[-1]["type"] == "websocket.disconnect"
    assert stage.errors == []


async def test_an_application_that_returns_closes_with_1000() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)

    async with playing(app) as gateway, websocket(gateway) as client:
        assert await close_code(client) == 1000


async def test_an_application_that_raises_closes_with_1011_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        raise KeyError("broken")

    async with playing(app) as gateway, websocket(gateway) as client:
        assert await close_code(client) == 1011
    assert "broken" in caplog.text


@pytest.mark.parametrize("fails", [True, False])
async def test_an_application_that_ends_before_it_accepts_is_a_500(fails: bool) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if fails:
            raise KeyError("broken")

    async with playing(app) as gateway:
        with pytest.raises(InvalidStatus) as caught:
            await websocket(gateway)
    assert caught.value.response.status_code == 500


async def test_a_client_that_vanishes_is_told_as_1006(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        stage.scopes.append(await receive())
        await send({"type": "websocket.close"})
        await send({"type": "websocket.send", "text": "late"})

    async with playing(app) as gateway:
        client, _ = await raw_websocket(gateway)
        client.abort()
        await stage.over()
    assert stage.scopes[-1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert isinstance(stage.errors[0], OSError)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_client_that_closes_its_half_without_a_word_is_told_as_1006() -> None:
    async with playing(echo) as gateway:
        client, _ = await raw_websocket(gateway)
        client.close_sending()
        assert await client.closed()
        await stage.over()
        client.abort()
    assert stage.scopes[-1]["code"] == 1006


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # unknown opcode
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # reserved bit
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # continues nothing
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # not UTF-8
        (b"\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002),  # a ping that is too long
        (b"\x88\x81\x00\x00\x00\x00\x03", 1002),  # half a close code
    ],
)
async def test_a_client_that_breaks_the_protocol_is_told_why_and_left(frame: bytes, code: int) -> None:
    async with playing(echo) as gateway:
        client, frames = await raw_websocket(gateway)
        client.send(frame)
        event = await next_event(client, frames)
        assert isinstance(event, CloseConnection)
        assert event.code == code
        assert await client.closed()
        await stage.over()
        client.abort()
    assert stage.scopes[-1]["code"] == code


async def test_a_message_over_the_limit_closes_with_1009() -> None:
    async with playing(echo) as gateway:
        client, frames = await raw_websocket(gateway)
        client.send(frames.send(BytesMessage(data=bytes(16 * 1024 * 1024))))
        assert isinstance(await next_event(client, frames), BytesMessage)
        frames = Connection(CLIENT)
        client.send(frames.send(BytesMessage(data=bytes(16 * 1024 * 1024), message_finished=False)))
        client.send(frames.send(BytesMessage(data=b"1", message_finished=True)))
        while not isinstance(event := await next_event(client, frames), CloseConnection):
            pass
        assert event.code == 1009
        client.abort()
        await stage.over()
    assert stage.scopes[-1]["code"] == 1009


async def test_stopping_closes_with_1012() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()

    async with playing(app) as gateway, websocket(gateway) as client:
        target = gateway.plane.snapshot.plans[0].target
        assert isinstance(target, App)
        await target.close(0)
        assert await close_code(client) == 1012


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "early"}],
        [{"type": "http.response.start", "status": 200, "headers": []}],
        [{"type": "websocket.http.response.body", "body": b""}],
        [{"type": "websocket.http.response.trailers", "headers": []}],
        [{"type": "websocket.accept", "headers": [(b"a", b"\n")]}],
        [
            {"type": "websocket.http.response.start", "status": 400, "headers": []},
            {"type": "websocket.accept"},
        ],
    ],
)
async def test_an_event_out_of_order_is_an_error_of_the_application(messages: list[Message]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async with playing(app) as gateway:
        with pytest.raises(InvalidStatus) as caught:
            await websocket(gateway)
    assert caught.value.response.status_code == 500
    assert isinstance(stage.errors[0], RuntimeError | ValueError)


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.http.response.start", "nonsense"])
async def test_an_event_out_of_order_after_the_accept_closes_with_1011(kind: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": kind, "status": 200})

    async with playing(app) as gateway, websocket(gateway) as client:
        assert await close_code(client) == 1011


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


async def raw_websocket(gateway: Gateway) -> tuple[Client, Connection]:
    """Open a WebSocket whose frames the test makes itself."""
    client = await gateway.connect()
    client.send(UPGRADE)
    assert (await client.response()).status == 101
    return client, Connection(CLIENT)


async def next_event(client: Client, frames: Connection) -> Any:
    """Read until a whole message or a control frame has come."""
    data = bytearray()
    while True:
        for event in frames.events():
            if not isinstance(event, TextMessage | BytesMessage):
                return event
            data += event.data.encode() if isinstance(event.data, str) else event.data
            if event.message_finished:
                is_text = isinstance(event, TextMessage)
                return TextMessage(data=data.decode()) if is_text else BytesMessage(data=bytes(data))
        async with asyncio.timeout(PATIENCE):
            frames.receive_data(await client.reader.read(65536) or None)


async def close_code(client: ClientConnection) -> int | None:
    """Wait for the server's close; return its code."""
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(PATIENCE):
            await client.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code
