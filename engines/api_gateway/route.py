"""The public types of routes, of what limits them, and of requests that are described."""

from __future__ import annotations

from typing import Any

import msgspec

from engines.api_gateway.resource import Document, Resource


class RateLimitRule(msgspec.Struct, frozen=True, kw_only=True):
    """Be a rate-limit of a route, as declared: `limit` requests a period, from each client."""

    route: str
    limit: list[str]
    by: str = "ip"
    shared: str | None = None


class APIRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Be a route that the API has declared.

    document: as in the configuration file; version: for If-Match, the position of its last change in the log
    """

    name: str
    path: str
    version: int
    document: Document
    rate_limits: list[RateLimitRule]


class APIRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a request that is to be sent through the gateway.

    url:     a path with its query, or a whole URL, whose host counts
    body:    text; body_base64: bytes
    client:  the address that it is to come from
    dry_run: stop before the upstream
    """

    method: str = "GET"
    url: str = "/"
    headers: dict[str, str] | list[tuple[str, str]] = {}
    body: str = ""
    body_base64: str = ""
    client: str = "127.0.0.1"
    dry_run: bool = False


def route_of(resource: Resource) -> APIRoute:
    """Return a declared route."""
    document = resource.document
    return APIRoute(
        name=resource.name,
        path=document.get("path", ""),
        version=resource.position,
        document=document,
        rate_limits=[rule_of(resource.name, use) for use in document.get("plugin", []) if limits(use)],
    )


def limits(use: Any) -> bool:
    """Tell whether a plugin of a document is a rate limit."""
    return isinstance(use, dict) and use.get("use") == "rate-limit"


def rule_of(route: str, use: dict[str, Any]) -> RateLimitRule:
    """Return the rule that a plugin of a document is."""
    limit = use.get("limit", [])
    return RateLimitRule(
        route=route,
        limit=[limit] if isinstance(limit, str) else list(limit),
        by=use.get("by", "ip"),
        shared=use.get("shared"),
    )
