"""Make the answer to a request from what a cache keeps: whole, a part, or that it has not changed.

The rule it guards: Age and Cache-Status are those of this moment. Used by plugins/cache.
"""

from __future__ import annotations

from core.cache.conditions import Conditions
from core.cache.entry import Entry
from core.exchange import Response

OF_304 = frozenset(
    {b"cache-control", b"cdn-cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"}
)


def answer_from(entry: Entry, conditions: Conditions, method: str, now: float, said: bytes) -> Response:
    """Return an answer; `said` is the value of Cache-Status, empty: there is to be none."""
    response = _fitting(entry, conditions, method)
    response.headers.set(b"age", b"%d" % max(0, int(now - entry.born)))
    if said:
        response.headers.add(b"cache-status", said)
    return response


def _fitting(entry: Entry, conditions: Conditions, method: str) -> Response:
    if entry.status != 200 or not conditions:
        return Response(entry.status, entry.headers, entry.body)
    if conditions.is_known(entry.etag, entry.last_modified, entry.header(b"date")):
        return Response(304, [(name, value) for name, value in entry.headers if name.lower() in OF_304])
    size = len(entry.body)
    part = conditions.wanted_part(size, entry.etag, entry.last_modified) if method == "GET" else None
    if part is None:
        return Response(200, entry.headers, entry.body)
    first, last = part
    if last < first:
        return Response(416, [(b"content-range", b"bytes */%d" % size)])
    response = Response(206, entry.headers, entry.body[first : last + 1])
    response.headers.set(b"content-range", b"bytes %d-%d/%d" % (first, last, size))
    return response
