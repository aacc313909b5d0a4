"""Keep a worker's answers: by key and variant, by URL and tag, with what is under way for them.

The rule it guards: an answer that was asked for before a purge is not kept after it. Plugins of all routes
share one over reloads; the API purges it. Every worker has its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from core._fast.cache_gate import VarySplit, vary_key
from core._fast.cache_slot import Slot
from core.cache.entry import Entry
from core.cache.flight import Flight, Outcome
from core.cache.store import Store
from core.cache.turn import Turn
from core.exchange import Headers

KEY = "http-cache"
MARK_SIZE = 300  # bytes that a mark counts for, besides its key
ALONE_FOR = 10.0  # seconds that requests do not wait for each other after an answer that was not kept


class NotKept(Slot):
    """Note that an answer was not kept: the next ones need not wait for each other."""

    def __init__(self, key: bytes, until: float) -> None:
        super().__init__(key, MARK_SIZE + len(key))
        self.until = until


class HttpCache:
    """Find, keep and purge answers.

    limit: bytes of all of them; clock: seconds since 1970
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self.store: Store[Slot] = Store(limit)
        self.clock = clock
        self.flights: dict[bytes, Flight] = {}
        self.turns: set[Turn] = set()  # those whose answers may come to be kept

    def now(self) -> float:
        """Return the time; also what gates ask."""
        return self.clock()

    def variant(self, key: bytes, headers: Headers) -> bytes:
        """Return what the answer to a request with these headers is kept under."""
        split = self.store.find(key)
        return vary_key(key, split.fields, headers) if isinstance(split, VarySplit) else key

    def find(self, key: bytes) -> Entry | None:
        """Return an answer."""
        found = self.store.find(key)
        return found if isinstance(found, Entry) else None

    def is_uncertain(self, key: bytes, now: float) -> bool:
        """Tell whether the last answer was not kept, a moment ago."""
        found = self.store.items.get(key)
        return isinstance(found, NotKept) and now < found.until

    def keep(self, turn: Turn, body: bytes) -> Entry | None:
        """Keep the answer of a turn; None: it is too large, or something was purged meanwhile."""
        self.turns.discard(turn)
        if turn.void or turn.kept is None:
            return None
        key = turn.base_key
        if turn.vary:
            split = self.store.items.get(key)
            if not (isinstance(split, VarySplit) and split.fields == turn.vary):
                size = MARK_SIZE + len(key) + sum(map(len, turn.vary))
                self.store.put(VarySplit(key, size, turn.vary))
            key = vary_key(key, turn.vary, turn.headers)
        entry = Entry(key, turn.url, turn.status, turn.answered, body, turn.kept)
        return entry if self.store.put(entry) else None

    def renew(self, entry: Entry) -> None:
        """Put a confirmed entry in the place of the old one, if that has not been purged meanwhile."""
        if entry.key in self.store.items:
            self.store.put(entry)

    def note_not_kept(self, key: bytes) -> None:
        """Let the next requests not wait for each other."""
        if not isinstance(self.store.items.get(key), VarySplit):
            self.store.put(NotKept(key, self.now() + ALONE_FOR))

    def land(self, turn: Turn, outcome: Outcome) -> None:
        """End what others wait for."""
        flight, turn.flight = turn.flight, None
        if flight is None:
            return
        if outcome is Outcome.LEAD and flight.hand_over():
            return
        if self.flights.get(turn.key) is flight:
            del self.flights[turn.key]
        flight.land(Outcome.ALONE if outcome is Outcome.LEAD else outcome)

    # -- purging -----------------------------------------------------------------------------------

    def purge_url(self, url: str) -> int:
        """Let go of all answers to a URL, as clients ask for it; return how many there were."""
        wanted = url.encode()
        return self._purge({("url", wanted)}, lambda turn: turn.url == wanted)

    def purge_prefix(self, prefix: str) -> int:
        """Let go of the answers to all URLs that begin so."""
        wanted = prefix.encode()
        names = {
            name
            for name in self.store.names()
            if isinstance(name, tuple) and name[0] == "url" and name[1].startswith(wanted)
        }
        return self._purge(names, lambda turn: turn.url.startswith(wanted))

    def purge_tag(self, tag: str) -> int:
        """Let go of the answers that have a tag, in Surrogate-Key or Cache-Tag."""
        wanted = tag.encode()
        return self._purge({("tag", wanted)}, lambda turn: turn.may_have(wanted))

    def purge_all(self) -> int:
        """Let go of everything."""
        for turn in self.turns:
            turn.void = True
        count = sum(isinstance(slot, Entry) for slot in self.store.items.values())
        self.store.clear()
        return count

    def _purge(self, names: set[Any], concerns: Callable[[Turn], bool]) -> int:
        for turn in self.turns:
            turn.void = turn.void or concerns(turn)
        keys = {key for name in names for key in self.store.keys_named(name)}
        return self.store.drop_all(keys)


def http_cache(shared: MutableMapping[Any, Any], name: str, limit: int) -> HttpCache:
    """Return the cache of that name among what a worker's plugins share; its limit is the last one given."""
    cache: HttpCache = shared.setdefault((KEY, name), HttpCache(limit))
    cache.store.limit = limit
    return cache


def http_caches(shared: MutableMapping[Any, Any]) -> dict[str, HttpCache]:
    """Return the caches of a worker by name: for the API that purges."""
    return {
        key[1]: cache for key, cache in shared.items() if isinstance(key, tuple) and key and key[0] == KEY
    }
