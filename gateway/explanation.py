"""What would become of a request: the route it takes and why, and the plugins that would act, phase by phase.

The compiled path and router answer, so an explanation is what serving would do. Nothing is sent, no
plugin runs. `agora explain` shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from core._fast.head import PROBLEMS
from core._fast.path import normalise

from core._fast.router import Pattern, Router
from core.config import TCHARS, Config, PluginUse
from core.errors import AgoraError
from core.plugin import PHASES, REVERSED_PHASES
from gateway.plugin_view import plugin_phases
from gateway.route_view import RouteView, route_views

URL = re.compile(r"(?:https?://(?P<host>[^/?#@]+))?(?P<path>/[^?#]*|\*)?(?:\?[^#]*)?")
UNROUTED_PHASES = ("accept", "response", "log")  # what plugins of every route see of a request without one


class RequestInvalid(AgoraError, ValueError):
    """Refuse to explain what is no request."""

    status = 400
    slug = "request-invalid"
    title = "Request invalid"
    source = "client"


class StepView(msgspec.Struct, frozen=True):
    """Be one candidate that the router looked at."""

    host: str
    pattern: str
    routes: tuple[str, ...]  # names
    matched: bool
    reason: str


class Explanation(msgspec.Struct, frozen=True):
    """Be the course of one request."""

    method: str
    host: str
    path: str  # in its normal form, which is matched and forwarded
    status: int  # 0: the target's; else what the gateway answers itself
    reason: str  # why there is no route; empty if there is one
    route: RouteView | None
    parameters: dict[str, str]
    steps: tuple[StepView, ...]
    phases: dict[str, tuple[str, ...]]  # in the order of an exchange; plugins in the order in which they act


def explain_request(config: Config, method: str, url: str, headers: Sequence[str] = ()) -> Explanation:
    """Explain a request; headers are written `Name: value`. Raises RequestInvalid."""
    host, path = _host_and_path(config, method, url, headers)
    normal = normalise(path)
    if isinstance(normal, int):
        status, _, title = PROBLEMS[normal]
        shown = path.decode("utf-8", "replace")
        return Explanation(method, host, shown, status, title, None, {}, (), {})
    router = Router([Pattern(route.path, frozenset(route.methods), route.hosts) for route in config.route])
    request = (host.encode(), method.encode(), normal)
    steps = tuple(
        StepView(
            step.host,
            step.pattern,
            tuple(config.route[index].name for index in step.routes),
            step.matched,
            step.reason,
        )
        for step in router.explain(*request)
    )
    match = router.match(*request)
    shown = normal.decode("utf-8", "replace")
    if isinstance(match, tuple):
        index, parameters = match
        route = route_views(config)[index]
        phases = _phases((*config.plugin, *config.route[index].plugin))
        return Explanation(method, host, shown, 0, "", route, parameters, steps, phases)
    status, reason = 404, "no route matches"
    if match == -2:
        status, reason = 405, "allowed here: " + ", ".join(sorted(router.allowed(request[0], normal)))
    phases = {phase: uses for phase, uses in _phases(config.plugin).items() if phase in UNROUTED_PHASES}
    return Explanation(method, host, shown, status, reason, None, {}, steps, phases)


def _host_and_path(config: Config, method: str, url: str, headers: Sequence[str]) -> tuple[str, bytes]:
    """Take a request apart as its head would hold it."""
    if not re.fullmatch(TCHARS, method):
        raise RequestInvalid(f"{method!r} is no method")
    match = URL.fullmatch(url)
    if not match or not (match["host"] or match["path"]):
        raise RequestInvalid(f"{url!r} is no URL; write http://host/path, or the path alone")
    host = match["host"]
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not re.fullmatch(TCHARS, name):
            raise RequestInvalid(f"{header!r} is no header; write 'Name: value'")
        if name.lower() == "host" and not match["host"]:
            host = value.strip()
    listened = config.server.listen[0]
    return host or (str(listened) if listened.host else "localhost"), (match["path"] or "/").encode()


def _phases(uses: Sequence[PluginUse]) -> dict[str, tuple[str, ...]]:
    """Return the plugins of each phase in the order in which they act."""
    phases: dict[str, tuple[str, ...]] = {}
    for phase in PHASES:
        acting = [use.use for use in uses if phase in plugin_phases(use.plugin)]
        if acting:
            phases[phase] = tuple(reversed(acting) if phase in REVERSED_PHASES else acting)
    return phases
