"""Server-sent events of the control API: bounded in number, ended when the gateway drains.

The rule it guards: a client that does not read holds up nobody, for no more is read for it than it takes; a
client that goes away lets go of what it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from core.errors import AgoraError
from core.event_log.errors import LogClosed
from gateway.api_exchange import LARGEST, Query, QueryInvalid

MOST_STREAMS = 100  # of a worker at once
HEARTBEAT = 15  # looks without an event before a comment is sent
LOOK_SECONDS = 1.0  # between two looks whether the gateway drains


class StreamsTooMany(AgoraError):
    """Refuse another stream."""

    status = 503
    slug = "streams-too-many"
    title = "Too many streams"
    retry_safe = True


class Streams:
    """Be the streams of a worker; `draining` tells whether they are to end."""

    def __init__(self, draining: Callable[[], bool]) -> None:
        self._draining = draining
        self.count = 0  # that are open

    def open(self, request: Request, pages: AsyncGenerator[bytes], greeting: bytes) -> Response:
        """Begin a stream of pages of events, as bytes; an empty page says nothing. Raises StreamsTooMany."""
        if self.count >= MOST_STREAMS:
            raise StreamsTooMany(f"{MOST_STREAMS} streams are open already: try again later")
        headers = {"content-type": "text/event-stream", "cache-control": "no-store"}
        return EventStream(self, self._run(request, pages, greeting), headers)

    async def _run(
        self, request: Request, pages: AsyncGenerator[bytes], greeting: bytes
    ) -> AsyncGenerator[bytes]:
        coming = asyncio.ensure_future(anext(pages))
        quiet = 0
        try:
            yield b": %b\n\n" % greeting
            while not self._draining() and not await request.is_disconnected():
                await asyncio.wait({coming}, timeout=LOOK_SECONDS)
                if coming.done():
                    page = coming.result()
                    coming = asyncio.ensure_future(anext(pages))
                    if page:
                        quiet = 0
                        yield page
                else:
                    quiet += 1
                    if quiet % HEARTBEAT == 0:
                        yield b": waiting\n\n"
        except (LogClosed, StopAsyncIteration):
            pass
        finally:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, LogClosed, StopAsyncIteration):
                await coming
            await pages.aclose()


class EventStream(StreamingResponse):
    """Be the answer that a stream is, counted from its first byte to its end, however that comes."""

    def __init__(self, streams: Streams, events: AsyncGenerator[bytes], headers: dict[str, str]) -> None:
        super().__init__(events, headers=headers)
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client or the gateway ends it."""
        self._streams.count += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.count -= 1
            await self._events.aclose()


def last_seen(request: Request, query: Query, default: int = 0) -> int:
    """Return the id after which a stream begins: Last-Event-ID, or `after`; raise QueryInvalid."""
    last = request.headers.get("last-event-id")
    if last is None:
        return query.number("after", default)
    if not (last.isascii() and last.isdigit() and len(last) < 20 and int(last) <= LARGEST):
        raise QueryInvalid(f"Last-Event-ID is the id of an event, not {last!r}")
    return int(last)
