"""The dead-letter list over HTTP: events that handlers and processes gave up; replay them, or let them go."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from gateway.api_exchange import Query, QueryInvalid, shown
from gateway.event_sourcing.exchange import MOST_EVENTS


async def list_dead_letters(engine: EventSourcingEngine, request: Request) -> Response:
    """List dead letters by handler and position."""
    query = Query(request, "handler", "after", "limit")
    limit = query.number("limit", 100, 1, MOST_EVENTS)
    return shown({"dead_letters": engine.dead_letters(query.text("handler"), query.text("after"), limit)})


async def replay_dead_letter(engine: EventSourcingEngine, request: Request) -> Response:
    """Have an event handled once more, by the process that runs its handler."""
    Query(request)
    return shown(await engine.replay_dead_letter(request.path_params["id"]), 202)


async def replay_dead_letters(engine: EventSourcingEngine, request: Request) -> Response:
    """Have all events handled once more that a handler gave up."""
    handler = Query(request, "handler").text("handler")
    if not handler:
        raise QueryInvalid("name the handler: ?handler=NAME")
    return shown({"asked": await engine.replay_dead_letters(handler)}, 202)


async def drop_dead_letter(engine: EventSourcingEngine, request: Request) -> Response:
    """Take an event off the list for good."""
    Query(request)
    await engine.drop_dead_letter(request.path_params["id"])
    return Response(status_code=204)
