"""Answer for the gateway itself: health, metrics, and the control API's status.

The rule it guards: liveness and readiness are open; metrics are for configured networks or the token; all
else under ``/api/v1/`` needs the token. A Starlette application that both doors serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core._fast.app_target import App
from core.errors import PROBLEM_CONTENT_TYPE, Problem
from gateway.access import Guard, unauthorized
from gateway.api_gateway.control import Control
from gateway.api_gateway.routes import api_gateway_routes
from gateway.api_stream import Streams
from gateway.event_sourcing.routes import event_sourcing_routes
from gateway.identity import admin_token
from gateway.system_paths import SYSTEM_PATHS

if TYPE_CHECKING:
    from gateway.data_plane import DataPlane
    from gateway.snapshot import SystemRoute

NO_SUCH_PAGE = Problem(404, "no-such-resource", "There is nothing here")


def control_app(plane: DataPlane) -> Starlette:
    """Return the application that answers for a data plane."""
    token = admin_token(plane.config.admin, plane.config.server.data_dir)[0]
    guard = Guard(token, plane.engines.api_gateway)
    streams = Streams(lambda: not plane.ready)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        state = "ready" if plane.ready else "draining"
        return JSONResponse({"status": state}, status_code=200 if plane.ready else 503)

    async def metrics(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not plane.may_read_metrics(address) and guard.caller(request) is None:
            return unauthorized()
        body, content_type = plane.meters.exposition()
        return Response(body, headers={"content-type": content_type})

    async def nothing(_: Request) -> Response:
        return problem(NO_SUCH_PAGE)

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = Problem(error.status_code, error.detail.lower().replace(" ", "-"), error.detail)
        return problem(told, dict(error.headers or {}))

    return Starlette(
        exception_handlers={HTTPException: http_error},
        routes=[
            Route("/healthz", health),
            Route("/readyz", ready),
            Route("/metrics", metrics),
            *api_gateway_routes(Control(plane.engines.api_gateway, plane), streams, guard),
            *event_sourcing_routes(plane.engines.event_sourcing, streams, guard),
            Route("/api/v1/{rest:path}", guard(nothing)),
        ],
    )


def system_routes(plane: DataPlane) -> list[SystemRoute]:
    """Return the routes that every gateway has, whatever its file says."""
    target = App("agora.control", control_app(plane), {})
    return [(name, path, target) for name, path in SYSTEM_PATHS.items()]


def problem(told: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that reports a problem."""
    return Response(
        told.body(),
        status_code=told.status,
        headers={"content-type": PROBLEM_CONTENT_TYPE.decode(), **(headers or {})},
    )
