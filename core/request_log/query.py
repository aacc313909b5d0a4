"""Which records are wanted: the filters of `agora requests` and of the API, read from words.

Rule: a filter that is not understood is refused, never ignored.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property

import msgspec

from core._fast.record_scan import RecordFilter
from core.errors import AgoraError

STATUS = re.compile(r"([1-9])xx|(\d{1,3})(?:-(\d{1,3}))?", re.IGNORECASE)
DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(us|ms|s|m|h|d)")
NANOSECONDS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
EXACT = ("method", "host", "route", "upstream", "client", "consumer", "request_id", "trace_id", "problem")
ANY_STATUS = (0, 0xFFFFFFFF)


class QueryInvalid(AgoraError, ValueError):
    """Refuse a filter that cannot be understood."""

    status = 400
    slug = "query-invalid"
    title = "Query invalid"
    source = "client"


class RequestQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Be the conditions that a record must meet, all of them; the default is met by any."""

    status: tuple[int, int] = ANY_STATUS  # closed range
    method: str = ""
    path_prefix: str = ""
    host: str = ""
    route: str = ""
    upstream: str = ""
    client: str = ""
    consumer: str = ""
    request_id: str = ""
    trace_id: str = ""
    problem: str = ""
    min_duration_ns: int = 0
    since_ns: int = 0  # wall clock; records that began then or later; 0: no beginning
    until_ns: int = 0  # wall clock; records that began before; 0: no end

    @cached_property
    def filter(self) -> RecordFilter:
        """Return the compiled conditions."""
        texts = {name: getattr(self, name).encode() for name in EXACT}
        return RecordFilter(
            {name: text for name, text in texts.items() if text},
            path_prefix=self.path_prefix.encode() or None,
            status=self.status,
            min_duration_ns=self.min_duration_ns,
            since_ns=self.since_ns,
            until_ns=self.until_ns,
        )

    def excludes(self, oldest_ns: int, newest_ns: int) -> bool:
        """Tell whether no record between two times can be wanted."""
        too_old = self.since_ns and newest_ns < self.since_ns
        return bool(too_old or (self.until_ns and oldest_ns >= self.until_ns))


def parse_status(text: str) -> tuple[int, int]:
    """Read "404", "5xx" or "400-499"; raise QueryInvalid."""
    match = STATUS.fullmatch(text.strip())
    if match is None:
        raise QueryInvalid(f"status {text!r} is not understood; write 404, 5xx or 400-499")
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    low = int(match[2])
    high = int(match[3] or low)
    if low > high:
        raise QueryInvalid(f"status {text!r} is an empty range; write the smaller one first")
    return low, high


def parse_duration(text: str) -> int:
    """Read a duration such as "250ms", "1.5s" or "2h" and return nanoseconds; raise QueryInvalid."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise QueryInvalid(f"duration {text!r} is not understood; write 250ms, 1.5s, 10m, 2h or 7d")
    return round(float(match[1]) * NANOSECONDS[match[2]])


def parse_time(text: str, now_ns: int) -> int:
    """Read a time, or how long ago ("15m"), and return wall-clock nanoseconds; raise QueryInvalid.

    A time is RFC 3339 or a part of it ("2031-05-01", "2031-05-01 12:30"); without an offset it is local time.
    """
    if DURATION.fullmatch(text.strip()):
        return max(0, now_ns - parse_duration(text))
    try:
        return round(datetime.fromisoformat(text.strip()).astimezone().timestamp() * 10**6) * 1000
    except (ValueError, OverflowError):
        raise QueryInvalid(
            f"time {text!r} is not understood; write how long ago (15m, 2h, 7d) or when (2031-05-01 12:30)"
        ) from None
