"""The targets of all upstreams over HTTP: how they are, and letting one finish.

What is shown is this worker's view; draining holds for all workers, and survives restarts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engines.api_gateway.control_state import ControlState
from engines.api_gateway.errors import ResourceUnknown
from engines.api_gateway.resource import Change, Key
from gateway.access import caller_of
from gateway.api_exchange import Query, shown
from gateway.api_gateway.control import Control


async def list_targets(control: Control, request: Request) -> Response:
    """List the targets of all upstreams, or of one."""
    upstream = Query(request, "upstream").text("upstream")
    found = [target for target in targets(control) if upstream in ("", target["upstream"])]
    if upstream and not found:
        raise ResourceUnknown(f"there is no upstream {upstream!r}")
    return shown({"targets": found})


async def show_health(control: Control, request: Request) -> Response:
    """Tell how many targets of each upstream can be chosen, and how each is."""
    Query(request)
    upstreams: dict[str, list[dict[str, Any]]] = {}
    for target in targets(control):
        upstreams.setdefault(target.pop("upstream"), []).append(target)
    return shown(
        {
            "worker": control.plane.worker,
            "upstreams": [
                {"name": name, "available": sum(one["state"] == "available" for one in own), "targets": own}
                for name, own in upstreams.items()
            ],
        }
    )


async def drain_target(control: Control, request: Request) -> Response:
    """Let a target finish its exchanges, and give it no new ones."""
    Query(request)
    upstream, target = _named(control, request)
    document = {"upstream": upstream, "target": target}

    def decide(_: ControlState) -> list[Change]:
        return [Change("drain", _name(upstream, target), document)]

    await control.engine.change(decide, caller_of(request).name)
    return shown(_found(control, upstream, target))


async def undrain_target(control: Control, request: Request) -> Response:
    """Give a target new exchanges again."""
    Query(request)
    upstream, target = _named(control, request)

    def decide(state: ControlState) -> list[Change]:
        name = _name(upstream, target)
        return [Change("drain", name, None)] if Key("drain", name) in state.declared else []

    await control.engine.change(decide, caller_of(request).name)
    return shown(_found(control, upstream, target))


def targets(control: Control) -> Iterator[dict[str, Any]]:
    """Yield each target with its state."""
    for settings, upstream in control.plane.upstreams():
        for state in upstream.states():
            yield {"upstream": settings.name, "state": _state(state), **state}


def _state(state: dict[str, Any]) -> str:
    """Return in one word whether a target can be chosen, and why not."""
    if state["draining"]:
        return "drained" if not state["active"] else "draining"
    if not state["healthy"]:
        return "unhealthy"
    return "ejected" if state["ejected"] else "available"


def _named(control: Control, request: Request) -> tuple[str, str]:
    """Return the upstream and the URL of the target that a path names by its host and port, or its URL."""
    upstream, target = request.path_params["upstream"], request.path_params["target"]
    return upstream, _found(control, upstream, target)["url"]


def _found(control: Control, upstream: str, target: str) -> dict[str, Any]:
    """Return a target; raise ResourceUnknown."""
    known = [one for one in targets(control) if one["upstream"] == upstream]
    for one in known:
        if target in (one["url"], one["url"].partition("://")[2]):
            return one
    names = ", ".join(one["url"] for one in known)
    raise ResourceUnknown(
        f"upstream {upstream!r} has no target {target!r}; it has {names}"
        if known
        else f"there is no upstream {upstream!r}"
    )


def _name(upstream: str, target: str) -> str:
    return f"{upstream} {target}"
