"""Which path of the engine's API leads where. gateway/control mounts them, behind the token."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AgoraError
from engines.event_sourcing import EventSourcingEngine
from gateway.api_exchange import Handler, Query, refused, shown
from gateway.api_stream import Streams
from gateway.event_sourcing import aggregates, commands, dead_letters, events, runners
from gateway.event_sourcing.exchange import Endpoint
from gateway.event_sourcing.stream import EventStreams

PREFIX = "/api/v1/event-sourcing"


async def show_status(engine: EventSourcingEngine, request: Request) -> Response:
    """Show how the engine is, running or not."""
    Query(request)
    return shown(engine.status())


async def show_dashboard(engine: EventSourcingEngine, request: Request) -> Response:
    """Show the status and the latest events."""
    return shown(engine.dashboard(Query(request, "events").number("events", 20, 0, 200)))


ENDPOINTS: list[tuple[str, str, Endpoint]] = [
    ("GET", "/status", show_status),
    ("GET", "/dashboard", show_dashboard),
    ("GET", "/events", events.list_events),
    ("POST", "/events", events.append_event),
    ("GET", "/events/{position}", events.show_event),
    ("POST", "/commands", commands.do_command),
    ("GET", "/aggregates", aggregates.list_aggregates),
    ("GET", "/aggregates/{stream:path}", aggregates.show_aggregate),
    ("GET", "/projections", runners.list_projections),
    ("GET", "/projections/{name}", runners.show_projection),
    ("POST", "/projections/{name}/pause", runners.pause_projection),
    ("POST", "/projections/{name}/resume", runners.resume_projection),
    ("POST", "/projections/{name}/rebuild", runners.rebuild_projection),
    ("GET", "/handlers", runners.list_handlers),
    ("GET", "/handlers/{name}", runners.show_handler),
    ("POST", "/handlers/{name}/pause", runners.pausing(EventSourcingEngine.handler)),
    ("POST", "/handlers/{name}/resume", runners.resuming(EventSourcingEngine.handler)),
    ("GET", "/processes", runners.list_processes),
    ("GET", "/processes/{name}", runners.show_process),
    ("POST", "/processes/{name}/pause", runners.pausing(EventSourcingEngine.process)),
    ("POST", "/processes/{name}/resume", runners.resuming(EventSourcingEngine.process)),
    ("GET", "/dead-letters", dead_letters.list_dead_letters),
    ("POST", "/dead-letters/replay", dead_letters.replay_dead_letters),
    ("POST", "/dead-letters/{id:path}/replay", dead_letters.replay_dead_letter),
    ("DELETE", "/dead-letters/{id:path}", dead_letters.drop_dead_letter),
]


def event_sourcing_routes(
    engine: EventSourcingEngine,
    streams: Streams,
    guard: Callable[[Handler], Handler] = lambda endpoint: endpoint,
) -> list[Route]:
    """Return the API of an engine.

    streams: those of this worker
    guard:   wraps each endpoint, to ask for a token first
    """
    table = [*ENDPOINTS, ("GET", "/stream", EventStreams(streams).open)]
    return [Route(PREFIX + path, guard(on(engine, do)), methods=[method]) for method, path, do in table]


def on(engine: EventSourcingEngine, endpoint: Endpoint) -> Handler:
    """Return an endpoint of an engine, whose refusals are problem details."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(engine, request)
        except AgoraError as error:
            return refused(error)

    return answer
