"""Hold what is decided about one request on its way through a cache, from its head to its end.

The rule it guards: a body is collected up to its limit and no further; one that is not complete is not kept.
Made by plugins/cache for each request that the gate does not answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.cache.cache_control import Directives
from core.cache.conditions import Conditions
from core.cache.entry import Entry, Pairs, tag_name, tags_of, url_name
from core.cache.flight import Flight
from core.cache.freshness import Kept
from core.cache.redis_store import Kind
from core.exchange import Headers

if TYPE_CHECKING:
    from collections.abc import Sequence


class Turn:
    """Be one request, seen by a cache."""

    def __init__(self, method: str, url: bytes, forward: str, asked: float) -> None:
        self.method = method
        self.url = url
        self.forward = forward  # why the target is asked, in the words of RFC 9211
        self.asked = asked  # when
        self.base_key = self.key = b""  # the variant's key is `key`
        self.headers: Headers = NO_HEADERS  # of the request, as it came here
        self.directives: Directives = {}
        self.conditions = Conditions()
        self.credentials = self.cookies = False
        self.entry: Entry | None = None  # what the server is asked about
        self.confirms = False  # the request has the validators of that, in the place of the client's
        self.flight: Flight | None = None  # whom others wait for: this one
        self.collapsed: bool | None = None  # it waited itself; whether that was of use
        self.void = False  # what it asked for was purged meanwhile
        # Of the target's answer, where it is to be kept:
        self.status = 0
        self.answered: Pairs = []
        self.vary: tuple[bytes, ...] = ()
        self.kept: Kept | None = None
        self.pieces: list[bytes] | None = None
        self.room = 0  # bytes that may still come

    def collect(self, status: int, headers: Pairs, vary: Sequence[bytes], kept: Kept, room: int) -> None:
        """Begin to collect the body of an answer that is to be kept."""
        self.status, self.answered, self.vary, self.kept = status, headers, tuple(vary), kept
        self.pieces, self.room = [], room

    def take(self, piece: bytes) -> bool:
        """Take a piece of the body; False: it has become too large, and is let go of."""
        if self.pieces is None:
            return False
        self.room -= len(piece)
        if self.room < 0:
            self.pieces = None
            return False
        self.pieces.append(piece)
        return True

    def concerned(self, kind: Kind, what: bytes) -> bool:
        """Tell whether its answer is to go in a purge; True also where that cannot be known yet."""
        if kind == "all" or (what.startswith(b"tag:") and self.pieces is None):
            return True
        names = [url_name(self.url), *map(tag_name, tags_of(self.answered))]
        return what in names if kind == "name" else any(name.startswith(what) for name in names)


NO_HEADERS = Headers()
