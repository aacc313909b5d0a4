"""ASGI applications as targets behind the native door: how WebSockets end."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, CloseConnection

from core._fast.app_target import App
from tests.core.fast.stage import Message, Receive, Send, playing, stage
from tests.core.fast.websocket_stage import (
    accept,
    close_code,
    echo,
    next_event,
    raw_websocket,
    websocket,
)
from tests.harness import PATIENCE

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


async def test_what_a_client_said_before_it_was_cut_off_can_still_be_read() -> None:
    first, go, read = asyncio.Event(), asyncio.Event(), []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        read.append(len((await receive())["bytes"]))
        first.set()
        await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            read.append(len(message["bytes"]))

    async with playing(app) as gateway:
        client, frames = await raw_websocket(gateway)
        client.send(frames.send(BytesMessage(data=b"x")) + frames.send(BytesMessage(data=bytes(70_000))) * 3)
        async with asyncio.timeout(PATIENCE):
            await first.wait()
        gateway.plane.door.abort()
        assert await client.closed()
        go.set()
        await stage.over()
    assert read[0] == 1
    assert stage.errors == []


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
        [{"type": None}],
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
    assert isinstance(stage.errors[0], RuntimeError | ValueError | AttributeError)


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.http.response.start", "nonsense"])
async def test_an_event_out_of_order_after_the_accept_closes_with_1011(kind: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": kind, "status": 200})

    async with playing(app) as gateway, websocket(gateway) as client:
        assert await close_code(client) == 1011
