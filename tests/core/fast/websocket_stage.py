"""Open WebSockets to the application on the stage: by a library, and frame by frame."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed
from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, TextMessage

from tests.core.fast.stage import Message, Receive, Send, stage
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
