"""A route as people see it: what it matches, its plugins in order, where it leads.

`agora routes`, `agora explain` and the control API show it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from core.config import Config, RouteConfig
from core.upstream_config import UpstreamConfig


class RouteView(msgspec.Struct, frozen=True):
    """Be one line of the table of routes."""

    route: str  # its name
    methods: tuple[str, ...]  # none: any
    hosts: tuple[str, ...]  # none: any
    path: str
    plugins: tuple[str, ...]  # by their `use` names, those of every route first
    target: str


def route_views(config: Config) -> list[RouteView]:
    """Return the routes in the order of the configuration."""
    upstreams = {upstream.name: upstream for upstream in config.upstream}
    return [route_view(config, route, upstreams) for route in config.route]


def route_view(config: Config, route: RouteConfig, upstreams: Mapping[str, UpstreamConfig]) -> RouteView:
    """Return one route."""
    uses = tuple(use.use for use in (*config.plugin, *route.plugin))
    return RouteView(route.name, route.methods, route.hosts, route.path, uses, _target(route, upstreams))


def _target(route: RouteConfig, upstreams: Mapping[str, UpstreamConfig]) -> str:
    if route.respond:
        return f"respond {route.respond.status}"
    if route.app:
        return f"app {route.app}"
    name = route.upstream or ""
    return f"upstream {name}: {', '.join(map(str, upstreams[name].targets))}"
