"""The paths that every gateway answers itself, whatever its configuration says: health, metrics, control API.

They stand in the router before the configured routes, and like any route they take methods and hosts that no
narrower route takes. `agora check` refuses a route that cannot be told from one of them.
"""

from __future__ import annotations

from core.route_pattern import Pattern

SYSTEM_PATHS: dict[str, str] = {
    "agora.healthz": "/healthz",
    "agora.readyz": "/readyz",
    "agora.metrics": "/metrics",
    "agora.api": "/api/v1/{rest:path}",
}


def system_patterns() -> list[Pattern]:
    """Return what the router matches for them, in the order of the table."""
    return [Pattern(path) for path in SYSTEM_PATHS.values()]
