"""Both doors carry WebSockets alike, to applications and to upstreams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from core.websocket import Closed, WebSocketFrames, accept_token
from tests.gateway.both_doors import DOORS, SERVERS, Backend, Door, Request, agree, request
from tests.harness import PATIENCE, Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


# -- WebSocket ----------------------------------------------------------------------------------------


async def websocket_upstream(client: Client, asked: Request) -> None:
    """Be an upstream's WebSocket: echo, close or cut, as the messages say."""
    key = asked.header(b"sec-websocket-key")
    assert key is not None
    protocol = b"Sec-WebSocket-Protocol: b\r\n" if asked.header(b"sec-websocket-protocol") else b""
    client.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Told: yes\r\n"
        + protocol
        + b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_token(key)
    )
    frames = WebSocketFrames(client=False)
    while data := await client.reader.read(65536):
        events, reply = frames.receive(data)
        for event in events:
            if isinstance(event, Closed) or event == "cut":
                client.send(reply)
                raise ConnectionError
            client.send(frames.close(4003, "as asked") if event == "close" else frames.message(event))
        client.send(reply)
    raise ConnectionError


def websocket(door: Door, path: str, **options: Any) -> Any:
    return open_websocket(f"ws://127.0.0.1:{door.port}{path}", proxy=None, **options)


async def close_of(client: ClientConnection) -> tuple[int | None, str | None]:
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            await client.recv()
    return client.close_code, client.close_reason


SOCKETS = ("/app/echo", "/up/socket")


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_websocket_carries_text_and_bytes(
    doors: dict[str, Door], backend: Backend, name: str, path: str
) -> None:
    backend.scripts["/up/socket"] = websocket_upstream
    payloads: list[str | bytes] = ["", "żółć", b"", bytes(range(256)), "x" * 100_000, bytes(1_000_000)]
    async with websocket(doors[name], path) as client:
        for payload in payloads:
            await client.send(payload)
            async with asyncio.timeout(PATIENCE):
                assert await client.recv() == payload


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(("path", "chosen"), [("/app/echo", "a"), ("/up/socket", "b")])
async def test_a_websocket_agrees_on_a_subprotocol_and_tells_headers(
    doors: dict[str, Door], backend: Backend, name: str, path: str, chosen: str
) -> None:
    backend.scripts["/up/socket"] = websocket_upstream
    async with websocket(doors[name], path, subprotocols=[Subprotocol("a"), Subprotocol("b")]) as client:
        assert client.subprotocol == chosen
        if name != "granian":  # it sends no headers of an accept
            assert client.response.headers["x-told"] == "yes"


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_targets_close_reaches_the_client(
    doors: dict[str, Door], backend: Backend, name: str, path: str
) -> None:
    backend.scripts["/up/socket"] = websocket_upstream
    async with websocket(doors[name], path) as client:
        await client.send("close")
        assert await close_of(client) == (4003, "as asked")


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_clients_close_is_answered(
    doors: dict[str, Door], backend: Backend, name: str, path: str
) -> None:
    backend.scripts["/up/socket"] = websocket_upstream
    async with websocket(doors[name], path) as client:
        async with asyncio.timeout(PATIENCE):
            await client.close(4004, "enough")
        assert client.close_code == 4004


@pytest.mark.parametrize("name", DOORS)
async def test_a_clients_close_reaches_the_upstream(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(client: Client, asked: Request) -> None:
        try:
            await websocket_upstream(client, asked)
        finally:
            heard.put_nowait(b"over")

    backend.scripts["/up/socket"] = script
    async with websocket(doors[name], "/up/socket") as client:
        await client.close(4004, "enough")
    async with asyncio.timeout(PATIENCE):
        assert await heard.get() == b"over"


@pytest.mark.parametrize("name", DOORS)
async def test_an_application_that_fails_closes_its_websocket(doors: dict[str, Door], name: str) -> None:
    async with websocket(doors[name], "/app/echo") as client:
        await client.send("fail")
        assert await close_of(client) == (1011, "")


@pytest.mark.parametrize("name", DOORS)
async def test_a_websocket_whose_upstream_dies_is_ended(
    doors: dict[str, Door], backend: Backend, name: str
) -> None:
    backend.scripts["/up/socket"] = websocket_upstream
    async with websocket(doors[name], "/up/socket") as client:
        await client.send("cut")
        code, _ = await close_of(client)
        # The connection is cut; some servers say goodbye of their own accord.
        assert code in {"hypercorn": (1011,), "granian": (1005,)}.get(name, (1006,))


DENIED = {
    "/app/rejects": 403,
    "/app/denies": 418,
    "/app/fails-to-be-found": 500,
    "/fixed": 200,
    "/moved": 308,
    "/denied": 403,
    "/nowhere": 404,
    "/up/plain": 200,
}


# NOTE: some servers leave words of the handshake in, or add a content type.
HANDSHAKE = (b"upgrade", b"sec-websocket-accept", b"content-type")


def handshake(path: str) -> bytes:
    """Return the bytes of a WebSocket's handshake."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return request(
        f"GET {path}", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key
    )


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("path", DENIED)
async def test_an_answer_to_a_handshake_that_is_no_websocket_is_the_same(
    doors: dict[str, Door], backend: Backend, name: str, path: str
) -> None:
    async def script(client: Client, asked: Request) -> None:
        client.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nplain")

    backend.scripts["/up/plain"] = script
    answer = await doors[name].ask(handshake(path))
    agree(await doors["native"].ask(handshake(path)), answer, *HANDSHAKE)
    assert answer.status == DENIED[path]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    "answer",
    [
        b"Sec-WebSocket-Accept: wrong\r\n",
        b"",
        b"Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: never-offered\r\n",
        b"Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    ],
)
async def test_an_upstream_that_does_not_answer_the_handshake_is_a_502(
    doors: dict[str, Door], backend: Backend, name: str, answer: bytes
) -> None:
    async def script(client: Client, asked: Request) -> None:
        key = asked.header(b"sec-websocket-key")
        assert key is not None
        client.send(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n")
        client.send(answer.replace(b"{}", accept_token(key)) + b"\r\n")
        assert await client.closed()

    backend.scripts["/up/liar"] = script
    got = await doors[name].ask(handshake("/up/liar"))
    assert got.status == 502
    assert json.loads(got.body)["type"] == "urn:agora:problem:upstream-malformed"
