"""Events as they come, over HTTP: server-sent events from any position on, with positions as their ids.

The rule it guards: a client that comes back with Last-Event-ID misses nothing and gets nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.event_log.filter import Filter
from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import EventPage
from gateway.api_exchange import Query
from gateway.api_stream import Streams, last_seen
from gateway.event_sourcing.exchange import FILTER, FILTER_LISTS

PAGE = 100  # events


class EventStreams:
    """Be the endpoint that streams events."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def open(self, engine: EventSourcingEngine, request: Request) -> Response:
        """Begin a stream."""
        query = Query(request, *FILTER, "after", lists=FILTER_LISTS)
        after, where = last_seen(request, query), query.filter()
        engine.log  # noqa: B018 - raises EngineStopped
        return self._streams.open(request, _pages(engine, after, where), b"events follow")


async def _pages(engine: EventSourcingEngine, after: int, where: Filter) -> AsyncGenerator[bytes]:
    async for page in engine.follow(after, where, PAGE):
        yield told(page)


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
