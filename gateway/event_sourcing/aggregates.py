"""Aggregates over HTTP: which there are, and the state of one now, at a version or at a time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from gateway.api_exchange import Query, QueryInvalid, shown
from gateway.event_sourcing.exchange import MOST_EVENTS, WAITS, wait


async def list_aggregates(engine: EventSourcingEngine, request: Request) -> Response:
    """List aggregates by name."""
    query = Query(request, *WAITS, "prefix", "after", "limit")
    await wait(engine, query)
    limit = query.number("limit", 100, 1, MOST_EVENTS)
    return shown({"aggregates": engine.aggregates(query.text("prefix"), query.text("after"), limit)})


async def show_aggregate(engine: EventSourcingEngine, request: Request) -> Response:
    """Show the state of an aggregate."""
    query = Query(request, *WAITS, "version", "at")
    await wait(engine, query)
    version, at = query.number("version", 0, 1) or None, query.time("at")
    if version is not None and at is not None:
        raise QueryInvalid("version and at name two moments: give one of them")
    return shown(await engine.aggregate(request.path_params["stream"], version=version, at_ns=at))
