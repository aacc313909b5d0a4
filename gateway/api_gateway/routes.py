"""Which path of the control plane's API leads where, and who may ask. gateway/control mounts them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AgoraError
from engines.api_gateway import Role
from gateway.access import Guard
from gateway.api_exchange import Handler, refused
from gateway.api_gateway import caches, history, overview, requests, secrets, targets
from gateway.api_gateway.control import Control, Endpoint
from gateway.api_gateway.resources import Resources
from gateway.api_stream import Streams

PREFIX = "/api/v1/api-gateway"
CREDENTIAL, TOKEN = secrets.Shown("credential"), secrets.Shown("token")
TARGET = "/targets/{upstream}/{target:path}"

ENDPOINTS: list[tuple[str, str, Endpoint]] = [
    ("GET", "/status", overview.show_status),
    ("GET", "/dashboard", overview.show_dashboard),
    ("GET", "/plugins", overview.list_plugins),
    ("GET", "/plugins/{name}", overview.show_plugin),
    *Resources("route", "/routes").endpoints(),
    *Resources("upstream", "/upstreams").endpoints(),
    *Resources("consumer", "/consumers").endpoints(),
    ("GET", "/targets", targets.list_targets),
    ("POST", TARGET + "/drain", targets.drain_target),
    ("DELETE", TARGET + "/drain", targets.undrain_target),
    ("GET", "/health", targets.show_health),
    ("GET", "/credentials", secrets.list_credentials),
    ("POST", "/credentials", secrets.issue_credential),
    ("GET", "/credentials/{name}", CREDENTIAL.show),
    ("DELETE", "/credentials/{name}", CREDENTIAL.remove),
    ("POST", "/credentials/{name}/rotate", secrets.rotate_credential),
    ("GET", "/caches", caches.list_caches),
    ("POST", "/caches/purge", caches.purge),
    ("GET", "/history", history.show_history),
    ("POST", "/rollback", history.roll_back),
    ("GET", "/requests", requests.list_requests),
    ("POST", "/requests", requests.send_request),
]
FOR_ADMINS: list[tuple[str, str, Endpoint]] = [
    ("GET", "/tokens", secrets.list_tokens),
    ("POST", "/tokens", secrets.make_token),
    ("GET", "/tokens/{name}", TOKEN.show),
    ("DELETE", "/tokens/{name}", TOKEN.remove),
]


def api_gateway_routes(control: Control, streams: Streams, guard: Guard) -> list[Route]:
    """Return the API of the control plane; `guard` asks for a token, and for its role."""
    table = [*ENDPOINTS, ("GET", "/requests/stream", requests.RequestStreams(streams).open)]
    return [
        *(_route(method, path, guard(_on(control, do))) for method, path, do in table),
        *(_route(method, path, guard(_on(control, do), Role.ADMIN)) for method, path, do in FOR_ADMINS),
    ]


def _route(method: str, path: str, endpoint: Handler) -> Route:
    return Route(PREFIX + path, endpoint, methods=[method])


def _on(control: Control, endpoint: Endpoint) -> Handler:
    """Return an endpoint whose refusals are problem details."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(control, request)
        except AgoraError as error:
            return refused(error)

    return answer
