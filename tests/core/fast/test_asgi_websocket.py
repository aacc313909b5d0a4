"""WebSockets through the ASGI door, message by message."""

from __future__ import annotations

import asyncio

import pytest

from core._fast.asgi_door import ResponseBroken
from core.websocket import accept_token
from tests.core.fast.asgi_server import WEBSOCKET, Server, problem_of, upstream
from tests.core.fast.stage import Message, Receive, Send, playing, stage
from tests.harness import Client, Origin, serving

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
