"""Keep a worker's answers: by key and variant, by URL and tag, with what is under way for them.

The rule it guards: an answer that was asked for before a purge is not kept after it. Plugins of all routes
share one over reloads; the API purges it. Every worker has its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from typing import Any

import msgspec

from core._fast.cache_gate import VarySplit, vary_key
from core._fast.cache_slot import Slot
from core.cache.entry import Entry, tag_name, url_name
from core.cache.flight import Flight, Outcome
from core.cache.redis_store import PATIENCE, Kind, RedisStore
from core.cache.store import Store
from core.cache.turn import Turn
from core.errors import CacheUnreachable
from core.exchange import Headers

log = logging.getLogger("agora.cache")

KEY = "http-cache"
MARK_SIZE = 300  # bytes that a mark counts for, besides its key
LONGEST = 86400.0  # seconds that Redis keeps what is only good for being asked about
UNDER_WAY = 1000  # tasks that write to Redis at once; what comes beyond stays in memory
SPLIT, ENTRY = b"v", b"e"  # first byte of what is in Redis
ALONE_FOR = 10.0  # seconds that requests do not wait for each other after an answer that was not kept


class NotKept(Slot):
    """Note that an answer was not kept: the next ones need not wait for each other."""

    def __init__(self, key: bytes, until: float) -> None:
        super().__init__(key, MARK_SIZE + len(key))
        self.until = until


class HttpCache:
    """Find, keep and purge answers.

    limit: bytes of all of them; clock: seconds since 1970
    redis_url: of what workers share; None: each has only its own memory; patience: seconds that it may take
    """

    def __init__(
        self,
        name: str,
        limit: int,
        redis_url: str | None = None,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.redis: RedisStore | None = None
        if redis_url is not None:
            self.redis = RedisStore(redis_url, f"agora:{KEY}:{name}", self.forget, patience=patience)
        self._users = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._forgotten = 0  # purges so far
        self.store: Store[Slot] = Store(limit)
        self.clock = clock
        self.flights: dict[bytes, Flight] = {}
        self.turns: set[Turn] = set()  # those whose answers may come to be kept

    async def open(self) -> None:
        """Begin to use it; as many plugins may as like."""
        self._users += 1
        if self._users == 1 and self.redis is not None:
            await self.redis.open()

    async def close(self) -> None:
        """End the use; the last one lets go of Redis."""
        self._users -= 1
        if self._users == 0 and self.redis is not None:
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self.redis.close()

    def now(self) -> float:
        """Return the time."""
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
            self._share(key, SPLIT + msgspec.msgpack.encode(turn.vary), turn.kept.useful_for(self.now()), ())
            key = vary_key(key, turn.vary, turn.headers)
        entry = Entry(key, turn.url, turn.status, turn.answered, body, turn.kept)
        self._share_entry(entry)
        return entry if self.store.put(entry) else None

    def renew(self, entry: Entry) -> None:
        """Put a confirmed entry in the place of the old one, if that has not been purged meanwhile."""
        if entry.key in self.store.items:
            self.store.put(entry)
            self._share_entry(entry)

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

    # -- what workers share ------------------------------------------------------------------------

    async def fetch(self, key: bytes, headers: Headers) -> None:
        """Take what others have kept for such a request into memory."""
        assert self.redis is not None
        forgotten = self._forgotten
        found = await self.redis.fetch(key)
        if found is not None and found[0][:1] == SPLIT:
            fields = msgspec.msgpack.decode(found[0][1:], type=tuple[bytes, ...])
            split = VarySplit(key, MARK_SIZE + len(key) + sum(map(len, fields)), fields)
            key = vary_key(key, fields, headers)
            found = await self.redis.fetch(key)
            if forgotten == self._forgotten and split.key not in self.store.items:
                self.store.put(split)
        if found is None or found[0][:1] != ENTRY or forgotten != self._forgotten:
            return
        try:
            self.store.put(Entry.decode(key, found[0][1:]))
        except msgspec.MsgspecError as error:
            log.warning("an answer in Redis cannot be read: %s", error)

    def _share_entry(self, entry: Entry) -> None:
        seconds = entry.kept.useful_for(self.now())
        if entry.etag or entry.last_modified:
            seconds = max(seconds, LONGEST)
        self._share(entry.key, ENTRY + entry.encode(), seconds, entry.names)

    def _share(self, key: bytes, data: bytes, seconds: float, names: Iterable[bytes]) -> None:
        if self.redis is not None and seconds > 0:
            self._later(self.redis.put(key, data, seconds, names))

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        if len(self._tasks) >= UNDER_WAY:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- purging -----------------------------------------------------------------------------------

    async def purge(
        self, *, url: str | None = None, prefix: str | None = None, tag: str | None = None
    ) -> int:
        """Let go of the answers to a URL, to all that begin so, or that have a tag; of all, if none is given.

        URLs are as clients ask for them: ``http://host/path?query``. Tags are those in Surrogate-Key and
        Cache-Tag. Return how many answers there were. What is in the memory of other workers goes too if they
        share Redis. Raises CacheUnreachable if Redis does not answer; this worker's memory is purged then.
        """
        kind, what = purged(url, prefix, tag)
        gone = self.forget(kind, what)
        return gone if self.redis is None else max(gone, await self.redis.drop(kind, what))

    def invalidate(self, urls: Iterable[str]) -> None:
        """Let go of what an unsafe request has changed."""
        for url in urls:
            kind, what = purged(url, None, None)
            self.forget(kind, what)
            if self.redis is not None:
                self._later(self._drop(self.redis, kind, what))

    async def _drop(self, redis: RedisStore, kind: Kind, what: bytes) -> None:
        try:
            await redis.drop(kind, what)
        except CacheUnreachable as error:
            log.warning("%s: %s", what.decode(errors="replace"), error)

    def forget(self, kind: Kind, what: bytes = b"") -> int:
        """Let go of what is in memory; return how many answers that were."""
        self._forgotten += 1
        for turn in self.turns:
            turn.void = turn.void or turn.concerned(kind, what)
        if kind == "all":
            count = sum(isinstance(slot, Entry) for slot in self.store.items.values())
            self.store.clear()
            return count
        names = {what} if kind == "name" else self.store.names_from(what)
        return self.store.drop_all({key for name in names for key in self.store.keys_named(name)})


def purged(url: str | None, prefix: str | None, tag: str | None) -> tuple[Kind, bytes]:
    """Return what a purge lets go of, in the words of stores."""
    if url is not None:
        return "name", url_name(url.encode())
    if prefix is not None:
        return "names", url_name(prefix.encode())
    return ("all", b"") if tag is None else ("name", tag_name(tag.encode()))


def http_cache(
    shared: MutableMapping[Any, Any],
    name: str,
    limit: int,
    redis_url: str | None = None,
    patience: float = PATIENCE,
) -> HttpCache:
    """Return the cache of that name among what a worker's plugins share; its limit is the last one given."""
    key = (KEY, name, redis_url, patience)
    cache: HttpCache = shared.get(key) or HttpCache(name, limit, redis_url, patience=patience)
    shared[key] = cache
    cache.store.limit = limit
    return cache


def http_caches(shared: MutableMapping[Any, Any]) -> list[HttpCache]:
    """Return the caches of a worker: for the API that purges."""
    return [cache for key, cache in list(shared.items()) if isinstance(key, tuple) and key[0] == KEY]
