"""Be an ASGI server for one scope, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from core._fast.asgi_door import serve_http
from core._fast.asgi_websocket import serve_websocket
from tests.core.fast.stage import Message
from tests.harness import PATIENCE, Gateway, Origin

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


def problem_of(server: Server) -> str:
    return str(json.loads(server.body)["type"]).rpartition(":")[2]


def upstream(origin: Origin) -> dict[str, Any]:
    """Return a configuration that leads everything to an upstream."""
    return {
        "upstream": [{"name": "u", "targets": [origin.url]}],
        "route": [{"name": "u", "path": "/{rest:path}", "upstream": "u"}],
    }
