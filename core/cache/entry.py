"""Be an answer that a shared cache keeps, and what it is to be judged by.

The rule it guards: an entry never changes; one that the server has confirmed is a new one. Kept by
core/cache/http_cache, given by core/cache/answer and the gate.
"""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec

from core._fast.cache_gate import ReadyAnswer
from core.cache.freshness import Kept

OVERHEAD = 1500  # bytes that an entry costs besides its head and body, about
TAGS = re.compile(rb"[^\s,]+")
NOT_RENEWED = frozenset(
    {b"content-length", b"content-encoding", b"content-range", b"content-type", b"age", b"set-cookie"}
)
Pairs = list[tuple[bytes, bytes]]


class Image(msgspec.Struct, array_like=True, frozen=True):
    """Be an entry as it is written down."""

    url: bytes
    status: int
    headers: Pairs
    body: bytes
    kept: Kept


class Entry(ReadyAnswer):
    """Hold a status, headers, a body, and what decides about their use."""

    def __init__(self, key: bytes, url: bytes, status: int, headers: Pairs, body: bytes, kept: Kept) -> None:
        names = [url_name(url), *map(tag_name, tags_of(headers))]
        size = OVERHEAD + len(key) + len(url) + len(body) + sum(len(n) + len(v) + 32 for n, v in headers)
        super().__init__(
            key,
            size,
            tuple(names),
            status,
            headers,
            body,
            born=kept.born,
            fresh_until=0.0 if kept.no_cache else kept.born + kept.lifetime,
            for_cookies=kept.explicit,
        )
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.kept = kept
        self.etag = self.header(b"etag")
        self.last_modified = self.header(b"last-modified")

    def is_for(self, *, credentials: bool, cookies: bool) -> bool:
        """Tell whether a request with credentials, or with cookies, may be answered with it."""
        return (self.kept.shared or not credentials) and (self.kept.explicit or not cookies)

    def header(self, name: bytes) -> bytes | None:
        """Return the first field of that name, given in small letters."""
        return next((value for field, value in self.headers if field.lower() == name), None)

    def renewed(self, headers: Pairs, kept: Kept) -> Entry:
        """Return the entry with what a 304 says in its fields (RFC 9111 section 3.2)."""
        told = [(name, value) for name, value in headers if name.lower() not in NOT_RENEWED]
        names = {name.lower() for name, _ in told}
        left = [(name, value) for name, value in self.headers if name.lower() not in names]
        return Entry(self.key, self.url, self.status, left + told, self.body, kept)

    def encode(self) -> bytes:
        """Return the entry as bytes."""
        return msgspec.msgpack.encode(Image(self.url, self.status, self.headers, self.body, self.kept))

    @classmethod
    def decode(cls, key: bytes, data: bytes) -> Self:
        """Return the entry that was encoded; raise msgspec.MsgspecError."""
        image: Any = msgspec.msgpack.decode(data, type=Image)
        return cls(key, image.url, image.status, image.headers, image.body, image.kept)


def url_name(url: bytes) -> bytes:
    """Return the name under which the answers to a URL are found."""
    return b"url:" + url


def tag_name(tag: bytes) -> bytes:
    """Return the name under which the answers with a tag are found."""
    return b"tag:" + tag


def tags_of(headers: Pairs) -> list[bytes]:
    """Return the tags that an answer gives itself for purges: in Surrogate-Key and Cache-Tag."""
    said = b" ".join(value for name, value in headers if name.lower() in (b"surrogate-key", b"cache-tag"))
    return list(dict.fromkeys(TAGS.findall(said)))
