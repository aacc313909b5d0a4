"""The one tree of errors: each knows its HTTP status, who caused it and whether a retry is safe.

Errors are translated once at each boundary: to problem details (RFC 9457) for HTTP clients, to a line on
stderr for the command line. Names are ``<Thing><Problem>``.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

Source = Literal["client", "upstream", "internal"]
PROBLEM_TYPE = "urn:agora:problem:"
PROBLEM_CONTENT_TYPE = b"application/problem+json"


class AgoraError(Exception):
    """Be the root of every error that Agora raises on purpose."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    source: ClassVar[Source] = "internal"
    retry_safe: ClassVar[bool] = False


class HeaderInvalid(AgoraError, ValueError):
    """Refuse a header name or value that would break the message's framing."""

    slug = "header-invalid"
    title = "Header invalid"


class PluginInvalid(AgoraError, TypeError):
    """Refuse a plugin class that breaks the contract of the phases; names class, method and cure."""

    slug = "plugin-invalid"
    title = "Plugin invalid"


class PluginUnknown(AgoraError, LookupError):
    """Refuse a plugin name that no built-in, entry point or import path answers to."""

    slug = "plugin-unknown"
    title = "Plugin unknown"


class CacheValueInvalid(AgoraError, TypeError):
    """Refuse a value that a cache could not give back as it was."""

    slug = "cache-value-invalid"
    title = "Cache value invalid"


class CacheUnreachable(AgoraError):
    """Say that what caches share could not be changed."""

    status = 503
    slug = "cache-unreachable"
    title = "Cache unreachable"
    retry_safe = True


class DataDirInUse(AgoraError):
    """Refuse to start on a data directory that another gateway holds."""

    slug = "data-dir-in-use"
    title = "Data directory in use"


class Problem(msgspec.Struct, frozen=True):
    """Be an answer that reports a problem to a client (RFC 9457)."""

    status: int  # HTTP status of the answer
    slug: str  # short, stable name: the end of the problem's type, a metric's label, a log's field
    title: str  # the same sentence for every occurrence
    source: Source = "client"
    retry_safe: bool = False

    def body(self, detail: str = "") -> bytes:
        """Return the JSON body, with ``detail`` when this occurrence has more to say."""
        document = {"type": PROBLEM_TYPE + self.slug, "title": self.title, "status": self.status}
        if detail:
            document["detail"] = detail
        return msgspec.json.encode(document)
