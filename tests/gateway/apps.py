"""ASGI applications that the suite of both doors routes to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Do what the last part of the path says; lifespan leaves a word in the state."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["word"] = "started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    name = scope["path"].rpartition("/")[2]
    await (HTTP if scope["type"] == "http" else WEBSOCKET)[name](scope, receive, send)


async def start(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def tell_scope(scope: Message, receive: Receive, send: Send) -> None:
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": sorted([name.decode(), value.decode("latin-1")] for name, value in scope["headers"]),
        "client": scope["client"][0],
        "scheme": scope["scheme"],
        "server": scope["server"],
        "word": scope["state"]["word"],
    }
    await start(send, 200, (b"content-type", b"application/json"))
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Send each piece of the body back as it comes."""
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def large(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    for number in range(64):
        await send({"type": "http.response.body", "body": bytes([number]) * 65536, "more_body": True})
    await send({"type": "http.response.body"})


async def fails(scope: Message, receive: Receive, send: Send) -> None:
    raise KeyError("broken")


async def fails_late(scope: Message, receive: Receive, send: Send) -> None:
    await start(send)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise KeyError("broken")


async def empty(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 204)
    await send({"type": "http.response.body"})


async def cookies(scope: Message, receive: Receive, send: Send) -> None:
    await start(send, 302, (b"location", b"/elsewhere"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    await send({"type": "http.response.body", "body": b""})


async def socket_echo(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    protocols = scope["subprotocols"]
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": protocols[0] if protocols else None,
            "headers": [(b"x-told", b"yes")],
        }
    )
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4003, "reason": "as asked"})
        elif message.get("text") == "fail":
            raise KeyError("broken")
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def socket_rejects(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def socket_denies(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    headers = [(b"x-reason", b"no")]
    await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"teapot"})


HTTP = {
    "scope": tell_scope,
    "echo": echo,
    "large": large,
    "fails": fails,
    "fails-late": fails_late,
    "empty": empty,
    "cookies": cookies,
}
WEBSOCKET = {"echo": socket_echo, "rejects": socket_rejects, "denies": socket_denies}
