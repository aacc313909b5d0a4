"""What would become of a request: the route it takes and why, and the plugins that would act, phase by phase.

The compiled path and router answer, so an explanation is what serving would do. Nothing is sent, no
plugin runs. `agora explain` shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from core._fast.head import PROBLEMS
from core._fast.path import normalise
from core._fast.router import Pattern, Router
from core.config import TCHARS, Config, PluginUse
from core.errors import AgoraError
from core.plugin import PHASES, REVERSED_PHASES
from gateway.plugin_view import plugin_phases
from gateway.route_view import RouteView, route_views
from gateway.system_paths import SYSTEM_PATHS, system_patterns

URL = re.compile(r"(?:https?://(?P<host>[^/?#@]+))?(?P<path>/[^?#]*|\*)?(?:\?[^#]*)?")
UNMATCHED = tuple(phase for phase in PHASES if phase != "forward")  # phases of a request that no route takes
UNROUTED = ("accept", "response", "chunk", "log")  # phases of one for which no route is looked for
WRONG_METHOD = -2  # what a router answers when only the method is wrong


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


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Be the course of one request."""

    method: str
    host: str
    path: str  # in its normal form, which is matched and forwarded; as it was given, if it has none
    status: int = 0  # 0: the target's; else what the gateway answers itself
    reason: str = ""  # why the gateway answers itself
    route: RouteView | None = None
    parameters: dict[str, str] = {}
    steps: tuple[StepView, ...] = ()
    phases: dict[str, tuple[str, ...]] = {}


def explain_request(config: Config, method: str, url: str, headers: Sequence[str] = ()) -> Explanation:
    """Explain a request; headers are written `Name: value`. Raises RequestInvalid."""
    host, path = _host_and_path(config, method, url, headers)
    normal = normalise(path)
    told = Explanation(method=method, host=host, path=path.decode("utf-8", "replace"))
    if refusal := _refusal(method, normal):
        status, reason = refusal
        return replace(told, status=status, reason=reason, phases=_phases(config.plugin, UNROUTED))
    assert isinstance(normal, bytes)
    patterns = [Pattern(route.path, frozenset(route.methods), route.hosts) for route in config.route]
    names = [*SYSTEM_PATHS, *(route.name for route in config.route)]
    router = Router(system_patterns() + patterns)
    request = (host.encode(), method.encode(), normal)
    steps = tuple(
        StepView(
            step.host, step.pattern, tuple(names[index] for index in step.routes), step.matched, step.reason
        )
        for step in router.explain(*request)
    )
    told = replace(told, path=normal.decode("utf-8", "replace"), steps=steps)
    match = router.match(*request)
    if isinstance(match, tuple):
        index, parameters = match
        return replace(told, parameters=parameters, **_routed(config, index))
    status, reason = 404, "no route matches"
    if match == WRONG_METHOD:
        status, reason = 405, "allowed here: " + ", ".join(sorted(router.allowed(request[0], normal)))
    return replace(told, status=status, reason=reason, phases=_phases(config.plugin, UNMATCHED))


def _refusal(method: str, normal: bytes | int) -> tuple[int, str] | None:
    """Return what the gateway answers before it looks for a route, if it does."""
    if method in ("CONNECT", "TRACE"):
        return 405, "CONNECT and TRACE are not offered"
    if normal == b"*":
        return (
            (204, "it asks about the gateway itself")
            if method == "OPTIONS"
            else (400, "* is for OPTIONS only")
        )
    if isinstance(normal, int):
        status, _, title = PROBLEMS[normal]
        return status, title
    return None


def _routed(config: Config, index: int) -> dict[str, Any]:
    """Return what an explanation says of the route that was found."""
    if index < len(SYSTEM_PATHS):
        name, path = list(SYSTEM_PATHS.items())[index]
        view = RouteView(name, (), (), path, (), "the gateway itself")
        return {"route": view, "phases": _phases(config.plugin, ("accept",))}
    index -= len(SYSTEM_PATHS)
    own = config.route[index].plugin
    phases = {"accept": _phases(config.plugin, ("accept",)).get("accept", ())}
    phases |= _phases((*config.plugin, *own), PHASES[1:])
    return {
        "route": route_views(config)[index],
        "phases": {phase: uses for phase, uses in phases.items() if uses},
    }


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


def _phases(uses: Sequence[PluginUse], phases: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the plugins that act in some phases, in the order in which they act."""
    found: dict[str, tuple[str, ...]] = {}
    for phase in phases:
        acting = [use.use for use in uses if phase in plugin_phases(use.plugin)]
        if acting:
            found[phase] = tuple(reversed(acting) if phase in REVERSED_PHASES else acting)
    return found
