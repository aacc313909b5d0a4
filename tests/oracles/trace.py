"""Read trace context headers as the specification's grammar says, slowly."""

from __future__ import annotations

import re

TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
KEY = rb"[a-z0-9][a-z0-9_\-*/@]{0,255}"
VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
MEMBER = re.compile(KEY + b"=" + VALUE)


def parse_traceparent(value: bytes) -> tuple[bytes, bytes, int] | None:
    """Return trace id, parent id and the two flags that are known; None: not valid."""
    match = TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return trace_id, parent_id, int(flags, 16) & 3


def count_tracestate(value: bytes) -> int | None:
    """Return how many members a tracestate field has; None: not valid."""
    members = [member.strip(b" \t") for member in value.split(b",")]
    members = [member for member in members if member]
    return len(members) if all(MEMBER.fullmatch(member) for member in members) else None
