"""Put an ASGI application of a test behind the native door."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from tests.harness import PATIENCE, Gateway, serving

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Stage:
    """Be the application that the configuration names; a test says which one plays."""

    def __init__(self) -> None:
        self.app: Application
        self.scopes: list[Message] = []
        self.errors: list[Exception] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Play; lifespan is not spoken."""
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.scopes.append(scope)
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.set()

    async def over(self) -> None:
        """Wait for the end of the call."""
        async with asyncio.timeout(PATIENCE):
            await self.ended.wait()


stage = Stage()


@contextlib.asynccontextmanager
async def playing(app: Application, **config: Any) -> AsyncIterator[Gateway]:
    """Serve one application for everything; `stage` knows what became of it."""
    stage.__init__()  # type: ignore[misc]
    stage.app = app
    route = {"name": "stage", "path": "/{rest:path}", "app": f"{__name__}:stage", **config.pop("route", {})}
    async with serving({"route": [route], **config}) as gateway:
        yield gateway


def answer(
    status: int = 200, headers: list[tuple[bytes, bytes]] | None = None, *pieces: bytes
) -> Application:
    """Return an application that reads nothing and answers in these pieces."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1] if pieces else b""})

    return app


async def whole_body(receive: Receive) -> bytes:
    """Read a request's body to its end."""
    body = bytearray()
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)
