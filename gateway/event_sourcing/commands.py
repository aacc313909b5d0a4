"""Commands over HTTP: done once under their id, answered when their events are on disk."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import WAIT_SECONDS
from gateway.api_exchange import Query, read_body, shown


async def do_command(engine: EventSourcingEngine, request: Request) -> Response:
    """Do a command; with `wait_for`, answer when those projections know it."""
    query = Query(request, "domain", "timeout", "actor", lists=("wait_for",))
    result = await engine.execute(
        await read_body(request),
        domain=query.text("domain"),
        actor=query.text("actor"),
        wait_for=query.texts("wait_for"),
        seconds=query.seconds("timeout", WAIT_SECONDS),
    )
    content = {"receipt": result.receipt, "position": result.position, "repeated": result.repeated}
    return shown(content, position=result.position)
