"""Answer for the gateway itself: health, metrics, and the control API's status.

The rule it guards: liveness and readiness are open; metrics are for configured networks or the token; all
else under ``/api/v1/`` needs the token. A Starlette application that both doors serve.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core._fast.app_target import App
from core.errors import PROBLEM_CONTENT_TYPE, Problem
from gateway.event_sourcing.routes import event_sourcing_routes
from gateway.identity import admin_token
from gateway.system_paths import SYSTEM_PATHS

if TYPE_CHECKING:
    from gateway.data_plane import DataPlane
    from gateway.snapshot import SystemRoute

Endpoint = Callable[[Request], Awaitable[Response]]

UNAUTHORIZED = Problem(401, "unauthorized", "A token is needed")
NO_SUCH_PAGE = Problem(404, "no-such-resource", "There is nothing here")
STARTED = time.time()


def control_app(plane: DataPlane) -> Starlette:
    """Return the application that answers for a data plane."""
    token = admin_token(plane.config.admin, plane.config.server.data_dir)[0].encode()

    def allowed(request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token)

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def check(request: Request) -> Response:
            if not allowed(request):
                return problem(UNAUTHORIZED, {"www-authenticate": 'Bearer realm="agora"'})
            return await endpoint(request)

        return check

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        state = "ready" if plane.ready else "draining"
        return JSONResponse({"status": state}, status_code=200 if plane.ready else 503)

    async def metrics(request: Request) -> Response:
        if not plane.may_read_metrics(request.client.host if request.client else "") and not allowed(request):
            return problem(UNAUTHORIZED, {"www-authenticate": 'Bearer realm="agora"'})
        body, content_type = plane.meters.exposition()
        return Response(body, headers={"content-type": content_type})

    async def status(_: Request) -> Response:
        config = plane.config
        return JSONResponse(
            {
                "name": plane.site.name,
                "version": version("agora"),
                "status": "ready" if plane.ready else "draining",
                "uptime_seconds": round(time.time() - STARTED, 3),
                "workers": plane.workers,
                "worker": plane.worker,
                "connections": plane.door.connections,
                "routes": [{"name": route.name, "path": route.path} for route in config.route],
                "upstreams": [
                    {"name": item.name, "targets": [str(target) for target in item.targets]}
                    for item in config.upstream
                ],
            }
        )

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
            Route("/api/v1/api-gateway/status", guarded(status)),
            *event_sourcing_routes(plane.engines.event_sourcing, lambda: not plane.ready, guarded),
            Route("/api/v1/{rest:path}", guarded(nothing)),
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
