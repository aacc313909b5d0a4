"""What runs on the log, over HTTP: projections, handlers and processes; their state, pauses and rebuilds.

NOTE: each worker has tables of its own. A pause or a rebuild of a projection is that of the worker that is
asked; a handler or a process runs in one process at a time, and is paused wherever that is.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import WAIT_SECONDS
from engines.event_sourcing.handler_runner import HandlerRunner
from engines.event_sourcing.process_runner import ProcessRunner
from gateway.api_exchange import Query, shown
from gateway.event_sourcing.exchange import MOST_EVENTS, Endpoint


async def list_projections(engine: EventSourcingEngine, request: Request) -> Response:
    """List the projections and where they are."""
    Query(request)
    engine.log  # noqa: B018 - raises EngineStopped
    return shown({"projections": engine.status().projections})


async def show_projection(engine: EventSourcingEngine, request: Request) -> Response:
    """Show where a projection is; with `at_least`, once it knows that position."""
    query = Query(request, "at_least", "timeout")
    runner = engine.projection(request.path_params["name"])
    at_least = query.number("at_least", 0)
    if at_least > runner.position:
        await runner.wait_for(at_least, query.seconds("timeout", WAIT_SECONDS))
    return shown(runner.status())


async def pause_projection(engine: EventSourcingEngine, request: Request) -> Response:
    """Stop a projection where it is; its table stays readable."""
    Query(request)
    runner = engine.projection(request.path_params["name"])
    await runner.pause()
    return shown(runner.status())


async def resume_projection(engine: EventSourcingEngine, request: Request) -> Response:
    """Let a projection go on, also one that stopped at an event it could not take."""
    Query(request)
    runner = engine.projection(request.path_params["name"])
    runner.start()
    return shown(runner.status())


async def rebuild_projection(engine: EventSourcingEngine, request: Request) -> Response:
    """Make a table anew while the old one serves; the projection shows how far that is."""
    Query(request)
    runner = engine.projection(request.path_params["name"])
    runner.rebuild()
    place = str(request.url.path).removesuffix("/rebuild")
    return shown(runner.status(), 202, location=place)


async def list_handlers(engine: EventSourcingEngine, request: Request) -> Response:
    """List the handlers and where they are."""
    Query(request)
    engine.log  # noqa: B018 - raises EngineStopped
    return shown({"handlers": engine.status().handlers})


async def show_handler(engine: EventSourcingEngine, request: Request) -> Response:
    """Show where a handler is."""
    Query(request)
    return shown(engine.handler(request.path_params["name"]).status())


async def list_processes(engine: EventSourcingEngine, request: Request) -> Response:
    """List the processes and where they are."""
    Query(request)
    engine.log  # noqa: B018 - raises EngineStopped
    return shown({"processes": engine.status().processes})


async def show_process(engine: EventSourcingEngine, request: Request) -> Response:
    """Show a process and its instances by key."""
    query = Query(request, "after", "limit")
    runner = engine.process(request.path_params["name"])
    limit = query.number("limit", 100, 1, MOST_EVENTS)
    return shown({"status": runner.status(), "instances": runner.instances(query.text("after"), limit)})


Find = Callable[[EventSourcingEngine, str], HandlerRunner | ProcessRunner]


def pausing(find: Find) -> Endpoint:
    """Return the endpoint that lets what is found begin with no other event."""

    async def pause(engine: EventSourcingEngine, request: Request) -> Response:
        Query(request)
        runner = find(engine, request.path_params["name"])
        await runner.pause()
        return shown(runner.status())

    return pause


def resuming(find: Find) -> Endpoint:
    """Return the endpoint that lets what is found go on."""

    async def resume(engine: EventSourcingEngine, request: Request) -> Response:
        Query(request)
        runner = find(engine, request.path_params["name"])
        await runner.resume()
        return shown(runner.status())

    return resume
