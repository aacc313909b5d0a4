"""Write the head of an HTTP/1 request for an ASGI scope.

The rule it guards: requests that come through another server are parsed like all others, by the same parser;
so what a server let pass and we do not is refused, and nothing in a scope can become a second line. Called by
the ASGI door (core/_fast/asgi_door, core/_fast/asgi_websocket).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

Scope = MutableMapping[str, Any]
Pair = tuple[bytes, bytes]

# A WebSocket's own handshake ends at the server; towards the target the gateway makes another.
HANDSHAKE = frozenset(
    (
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    )
)
# NOTE: a scope of type http cannot be upgraded.
UPGRADE = frozenset((b"upgrade",))


PEER = re.compile(r"[0-9A-Za-z.:_%-]{1,255}")


class ScopeMalformed(ValueError):
    """Say that a scope holds what could not stand in a request's head."""


def peer_of(scope: Scope) -> str:
    """Return the peer's address: "unix" where it has none, "unknown" where it is none."""
    client = scope.get("client")
    address = client[0] if client else ""
    if not address:
        return "unix"
    return address if PEER.fullmatch(address) else "unknown"


def is_http_1(scope: Scope) -> bool:
    """Tell whether a scope came over HTTP/1; a test client may leave the version out."""
    return str(scope.get("http_version", "1.1")).startswith("1")


def announces_body(scope: Scope) -> bool:
    """Tell whether the head says if a body follows: in HTTP/2 and later it need not."""
    return is_http_1(scope) or any(name.lower() == b"content-length" for name, _ in scope["headers"])


def request_head(scope: Scope, framing: Iterable[Pair] = ()) -> bytes:
    """Return the head of a scope of type http, with these fields besides; raise ScopeMalformed."""
    version = b"1.0" if scope.get("http_version") == "1.0" else b"1.1"
    fields = [(name, value) for name, value in scope["headers"] if name.lower() not in UPGRADE]
    if not is_http_1(scope):
        fields = _with_one_cookie(fields)
    return _head(scope, _ascii(scope["method"]), version, [*fields, *framing])


def websocket_head(scope: Scope, key: bytes) -> bytes:
    """Return the head of a scope of type websocket, as a handshake with this key; raise ScopeMalformed."""
    fields = [(name, value) for name, value in scope["headers"] if name.lower() not in HANDSHAKE]
    if not is_http_1(scope):
        fields = _with_one_cookie(fields)
    fields += [
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", key),
    ]
    if scope.get("subprotocols"):
        fields.append((b"sec-websocket-protocol", _ascii(", ".join(scope["subprotocols"]))))
    return _head(scope, b"GET", b"1.1", fields)


def _head(scope: Scope, method: bytes, version: bytes, fields: Iterable[Pair]) -> bytes:
    target = _target(scope)
    parts = [b"%b %b HTTP/%b\r\n" % (method, target, version)]
    parts += [b"%b: %b\r\n" % (name, value) for name, value in fields]
    lines = b"".join(parts)
    if lines.count(b"\n") != len(parts) or lines.count(b"\r") != len(parts):
        raise ScopeMalformed("a line end inside a method, target, name or value")
    return lines + b"\r\n"


def _target(scope: Scope) -> bytes:
    """Return the request target below the place that the gateway is mounted at."""
    path: bytes = scope.get("raw_path") or quote(scope["path"], safe="/%:@!$&'()*+,;=~").encode("ascii")
    root = scope.get("root_path", "").rstrip("/").encode("utf-8")
    if root and (path == root or path.startswith(root + b"/")):
        path = path[len(root) :] or b"/"
    query: bytes = scope.get("query_string") or b""
    return path + b"?" + query if query else path


def _with_one_cookie(fields: list[Pair]) -> list[Pair]:
    """Join the cookies that HTTP/2 lets a client split (RFC 9113 8.2.3)."""
    cookies = [value for name, value in fields if name.lower() == b"cookie"]
    if len(cookies) < 2:
        return fields
    return [field for field in fields if field[0].lower() != b"cookie"] + [(b"cookie", b"; ".join(cookies))]


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise ScopeMalformed(f"not ASCII: {text!r}") from None
