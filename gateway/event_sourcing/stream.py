"""Events as they come, over HTTP: server-sent events from any position on, with positions as their ids.

The rule it guards: a client that comes back with Last-Event-ID misses nothing and gets nothing twice; one
that does not read holds up nobody, for no more is read from the log than it takes; and a gateway that drains
ends its streams.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from core.errors import AgoraError
from core.event_log.errors import LogClosed
from core.event_log.filter import Filter
from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import EventPage
from gateway.event_sourcing.exchange import FILTER, FILTER_LISTS, LARGEST, Query, QueryInvalid

MOST_STREAMS = 100  # of a worker at once
PAGE = 100  # events
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

    async def open(self, engine: EventSourcingEngine, request: Request) -> Response:
        """Begin a stream."""
        query = Query(request, *FILTER, "after", lists=FILTER_LISTS)
        after, where = begin_of(request, query), query.filter()
        engine.log  # noqa: B018 - raises EngineStopped
        if self.count >= MOST_STREAMS:
            raise StreamsTooMany(f"{MOST_STREAMS} streams are open already: try again later")
        headers = {"content-type": "text/event-stream", "cache-control": "no-store"}
        return EventStream(self, self._run(engine, request, after, where), headers)

    async def _run(
        self, engine: EventSourcingEngine, request: Request, after: int, where: Filter
    ) -> AsyncGenerator[bytes]:
        pages = engine.follow(after, where, PAGE)
        coming = asyncio.ensure_future(anext(pages))
        quiet = 0
        try:
            yield b": events follow\n\n"
            while not self._draining() and not await request.is_disconnected():
                await asyncio.wait({coming}, timeout=LOOK_SECONDS)
                if coming.done():
                    page = coming.result()
                    coming = asyncio.ensure_future(anext(pages))
                    if page.events:
                        quiet = 0
                        yield told(page)
                else:
                    quiet += 1
                    if quiet % HEARTBEAT == 0:
                        yield b": waiting\n\n"
        except LogClosed:
            pass
        finally:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, LogClosed, StopAsyncIteration):
                await coming


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


def begin_of(request: Request, query: Query) -> int:
    """Return the position after which a stream begins; raise QueryInvalid."""
    last = request.headers.get("last-event-id")
    if last is None:
        return query.number("after", 0)
    if not (last.isascii() and last.isdigit() and len(last) < 20 and int(last) <= LARGEST):
        raise QueryInvalid(f"Last-Event-ID is the position of an event, not {last!r}")
    return int(last)


def told(page: EventPage) -> bytes:
    """Return events as server-sent ones."""
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n"
        % (event.position, one_line(event.type), msgspec.json.encode(event))
        for event in page.events
    )


def one_line(text: str) -> bytes:
    """Return a type as the name of a server-sent event, which ends at a line feed."""
    return text.replace("\r", " ").replace("\n", " ").encode()
