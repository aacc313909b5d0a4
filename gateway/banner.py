"""Say at start-up where to look: addresses, routes, a curl line for each, the control API's token."""

from __future__ import annotations

import re
import socket

from core.config import Config, RouteConfig
from gateway.listeners import address_text

EXAMPLES = {"int": "1", "float": "1.5", "uuid": "0190b5a2-7b1c-7def-8a3b-1c2d3e4f5a6b", "path": "some/path"}


def print_banner(config: Config, listeners: list[socket.socket], new_token: str | None) -> None:
    """Print the addresses, a curl line for each route, and the token if it was made just now."""
    scheme = "https" if config.server.tls is not None else "http"
    addresses = [address_text(listener) for listener in listeners]
    lines = [f"Agora listens on {', '.join(f'{scheme}://{address}' for address in addresses)}", ""]
    base = next((f"{scheme}://{address}" for address in addresses if not address.startswith("unix:")), None)
    for route in config.route:
        lines.append(f"  {route.name:<16} {_target(route)}")
        if base is not None:
            lines.append(f"  {'':<16} {_curl(base, route)}")
    lines.append("")
    if base is not None:
        lines.append(f"  health           {base}/healthz, {base}/readyz")
        lines.append(f"  metrics          {base}/metrics")
        lines.append(f"  control API      {base}/api/v1/api-gateway/status (Authorization: Bearer TOKEN)")
        if config.event_log is not None:
            lines.append(f"  event log        {base}/api/v1/event-sourcing/status (with the token too)")
    token_file = config.server.data_dir / "admin-token"
    if new_token is not None:
        lines.append(f"  its token        {new_token} (shown once; kept in {token_file})")
    elif config.admin.token is None:
        lines.append(f"  its token        in {token_file}")
    print("\n".join(lines), flush=True)


def _target(route: RouteConfig) -> str:
    methods = ",".join(route.methods) or "any method"
    where = "fixed answer"
    if route.upstream or route.app:
        where = f"upstream {route.upstream}" if route.upstream else f"app {route.app}"
    return f"{methods} {route.path} -> {where}"


def _curl(base: str, route: RouteConfig) -> str:
    path = re.sub(r"\{\w+(?::(\w+))?\}", lambda match: EXAMPLES.get(match[1] or "", "7"), route.path)
    method = f" -X {route.methods[0]}" if route.methods and route.methods[0] not in ("GET", "HEAD") else ""
    host = f" -H 'Host: {route.hosts[0].replace('*', 'www')}'" if route.hosts else ""
    return f"curl -i{method}{host} {base}{path}"
