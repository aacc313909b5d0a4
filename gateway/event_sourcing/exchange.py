"""What the endpoints of the engine's API share beside gateway/api_exchange: waiting for the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import WAIT_SECONDS
from gateway.api_exchange import Query
from gateway.event_sourcing.waiting import wait_for_position

Endpoint = Callable[[EventSourcingEngine, Request], Awaitable[Response]]
MOST_EVENTS = 1_000  # in an answer
WAITS = ("at_least", "timeout")
FILTER = ("since", "until")
FILTER_LISTS = ("type", "stream", "tag")


async def wait(engine: EventSourcingEngine, query: Query) -> None:
    """Return when the log has the position that a query asks for; raise PositionAhead."""
    at_least, seconds = query.number("at_least", 0), query.seconds("timeout", WAIT_SECONDS)
    await wait_for_position(engine, at_least, seconds)
