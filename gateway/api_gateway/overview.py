"""How the gateway is, at a glance, and which plugins there are."""

from __future__ import annotations

import time
from functools import cache
from importlib.metadata import version
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.decode import did_you_mean
from core.plugin import Plugin
from core.plugins import find_plugin
from engines.api_gateway.errors import ResourceUnknown
from gateway.api_exchange import Query, shown
from gateway.api_gateway.control import Control
from gateway.api_gateway.history import entry_view
from gateway.api_gateway.resources import views
from gateway.api_gateway.targets import targets
from gateway.plugin_view import plugin_view, usable_plugins
from gateway.schema import options_schema

STARTED = time.time()


async def show_status(control: Control, request: Request) -> Response:
    """Show how this worker is."""
    Query(request)
    return shown(status(control))


async def show_dashboard(control: Control, request: Request) -> Response:
    """Show the status, the resources, the targets and the latest changes."""
    Query(request)
    engine = control.engine
    return shown(
        {
            "status": status(control),
            "routes": list(views(control, "route").values()) if engine.running else [],
            "targets": list(targets(control)),
            "consumers": len(control.plane.config.consumer),
            "credentials": len(engine.resources("credential")),
            "tokens": len(engine.resources("token")),
            "changes": [entry_view(entry) for entry in engine.history(limit=20)] if engine.running else [],
        }
    )


async def list_plugins(control: Control, request: Request) -> Response:
    """List the plugins with their options."""
    Query(request)
    found, broken = usable_plugins()
    return shown({"plugins": [plugin_view(use, plugin) for use, plugin in found.items()], "broken": broken})


async def show_plugin(control: Control, request: Request) -> Response:
    """Show a plugin with the JSON Schema of its options."""
    Query(request)
    use = request.path_params["name"]
    found, _ = usable_plugins()
    if use not in found:
        raise ResourceUnknown(f"there is no plugin {use!r}; {did_you_mean(use, found)}")
    return shown({**msgspec.to_builtins(plugin_view(use, found[use])), "schema": _schema(use)})


@cache
def _schema(use: str) -> dict[str, Any]:
    return options_schema(cast(type[Plugin], find_plugin(use)))


def status(control: Control) -> dict[str, Any]:
    """Return how this worker is, and what it serves."""
    plane, config, engine = control.plane, control.plane.config, control.engine
    return {
        "name": plane.site.name,
        "version": version("agora"),
        "status": "ready" if plane.ready else "draining",
        "uptime_seconds": round(time.time() - STARTED, 3),
        "workers": plane.workers,
        "worker": plane.worker,
        "connections": plane.door.connections,
        "control": "running" if engine.running else "without an event log: changes in the file alone",
        "position": engine.position,
        "not_in_force": {str(key): why for key, why in plane.declared.left_out().items()},
        "routes": [{"name": route.name, "path": route.path} for route in config.route],
        "upstreams": [
            {"name": item.name, "targets": [str(target) for target in item.targets]}
            for item in config.upstream
        ],
    }
