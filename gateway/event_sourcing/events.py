"""Events over HTTP: read them in order, one by one, append one."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.errors import EventUnknown
from gateway.api_exchange import LARGEST, Query, read_object, shown
from gateway.event_sourcing.exchange import FILTER, FILTER_LISTS, MOST_EVENTS, WAITS, wait


async def list_events(engine: EventSourcingEngine, request: Request) -> Response:
    """List events after a position; `next` leads on, also when nothing newer is there yet."""
    query = Query(request, *WAITS, *FILTER, "after", "limit", lists=FILTER_LISTS)
    await wait(engine, query)
    page = engine.events(query.number("after", 0), query.filter(), query.number("limit", 100, 1, MOST_EVENTS))
    params = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in ("after", "at_least")
    ]
    following = f"{request.url.path}?{urlencode([*params, ('after', page.reached)])}"
    return shown({"events": page.events, "reached": page.reached, "last": page.last, "next": following})


async def show_event(engine: EventSourcingEngine, request: Request) -> Response:
    """Show the event at a position."""
    Query(request)
    text: str = request.path_params["position"]
    if not (text.isascii() and text.isdigit() and int(text) < LARGEST):
        raise EventUnknown(f"events stand at positions from 1, not at {text!r}")
    return shown(engine.event(int(text)))


async def append_event(engine: EventSourcingEngine, request: Request) -> Response:
    """Append an event that no command made."""
    Query(request)
    event = await engine.create_event(await read_object(request))
    place = f"{request.url.path}/{event.position}"
    return shown(event, 201, position=event.position, location=place)
