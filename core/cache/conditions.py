"""Read the conditions and ranges of requests, and hold an answer against them (RFC 9110 sections 13 and 14).

The rule it guards: a part is only given of what is the same to the last byte. Pure. Used by core/cache/answer
and plugins/cache.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from core.cache.http_date import read_date
from core.exchange import Headers

TAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
RANGE = re.compile(rb"bytes\s*=\s*(\d{0,18})-(\d{0,18})", re.IGNORECASE)
CONDITIONAL = (b"if-none-match", b"if-modified-since", b"range", b"if-range")
OF_THE_SERVER = (
    b"if-match",
    b"if-unmodified-since",
)  # only the server itself can hold them against what it has


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Hold what a request makes its answer depend on."""

    none_match: bytes = b""
    modified_since: bytes | None = None
    range: bytes | None = None
    if_range: bytes | None = None
    of_the_server: bool = False

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """Read a request's headers."""
        return cls(
            none_match=b",".join(headers.get_all(b"if-none-match")),
            modified_since=headers.get(b"if-modified-since"),
            range=headers.get(b"range"),
            if_range=headers.get(b"if-range"),
            of_the_server=any(name in headers for name in OF_THE_SERVER),
        )

    def __bool__(self) -> bool:
        return bool(
            self.none_match or self.modified_since or self.range or self.if_range or self.of_the_server
        )

    def is_known(self, etag: bytes | None, modified: bytes | None, date: bytes | None) -> bool:
        """Tell whether the client has the answer with these fields already: 304 will do."""
        if self.none_match:
            if self.none_match.strip() == b"*":
                return True
            return etag is not None and weak(etag) in map(weak, TAG.findall(self.none_match))
        since = read_date(self.modified_since)
        changed = read_date(modified if modified is not None else date)
        return since is not None and changed is not None and changed <= since

    def wanted_part(self, size: int, etag: bytes | None, modified: bytes | None) -> tuple[int, int] | None:
        """Return the first and last byte wanted, last < first: there is no such part; None: all is wanted.

        Of several ranges, none is given but the whole: that is allowed, and what clients can all deal with.
        """
        match = RANGE.fullmatch(self.range or b"")
        if match is None or not (match[1] or match[2]) or not self._same(etag, modified):
            return None
        if not match[1]:
            count = min(int(match[2]), size)
            return size - count, size - 1
        first, last = int(match[1]), int(match[2]) if match[2] else size - 1
        if match[2] and last < first:
            return None
        return (first, min(last, size - 1)) if first < size else (size, size - 1)

    def _same(self, etag: bytes | None, modified: bytes | None) -> bool:
        if self.if_range is None:
            return True
        if self.if_range.startswith((b'"', b"W/")):
            return self.if_range == etag and not self.if_range.startswith(b"W/")
        return self.if_range == modified


def weak(tag: bytes) -> bytes:
    """Return a tag as weak comparison sees it."""
    return tag.removeprefix(b"W/")
