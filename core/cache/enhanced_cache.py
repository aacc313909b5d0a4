"""A cache for application code: values under keys, for a time, within a number of bytes.

The rule it guards: a value comes back as it was put in, or not at all; never after its time, never changed by
who got it before. `enhanced_cache` in core/cache is the process's own; services and plugins call it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import msgspec

from core._fast.cache_slot import Slot
from core.cache.redis_store import PATIENCE, Kind, RedisStore
from core.cache.store import Store
from core.errors import CacheValueInvalid

MAX_BYTES = 64 << 20
TTL = 300.0  # seconds
OVERHEAD = 500  # bytes that a slot costs besides key and value, about
AS_BYTES, AS_JSON = b"b", b"j"  # first byte of an encoded value


class _Value(Slot):
    """Hold one encoded value."""

    def __init__(self, key: bytes, data: bytes, expires: float, tags: tuple[bytes, ...]) -> None:
        super().__init__(key, OVERHEAD + len(key) + len(data) + sum(map(len, tags)), tags)
        self.data = data
        self.expires = expires


class _Image(msgspec.Struct, array_like=True, frozen=True):
    """Be a value as Redis keeps it."""

    data: bytes
    tags: tuple[bytes, ...]


class EnhancedCache:
    """Keep values that JSON can say, and bytes, in memory and perhaps in Redis.

    max_bytes:   of all values in memory with what they cost besides; the least useful leave first
    default_ttl: seconds that a value is kept where `set` does not say
    redis_url:   of a Redis that other processes share; None: memory alone, each process its own
    patience:    seconds that Redis may take; what takes longer is not there
    space:       what tells values in Redis from those of others
    clock:       seconds, never going back

    A value is encoded when it is put in: what callers do with it afterwards does not change what is kept.
    While Redis does not answer, memory goes on by itself.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        default_ttl: float = TTL,
        redis_url: str | None = None,
        patience: float = PATIENCE,
        space: str = "agora:cache",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.default_ttl = default_ttl
        self.hits = self.misses = 0
        self._clock = clock
        self._redis_url = redis_url
        self._patience = patience
        self._space = space
        self._store: Store[_Value] = Store(max_bytes)
        self._redis: RedisStore | None = None
        self._forgotten = 0  # times that something was let go of by name

    async def open(self, redis_url: str | None = None) -> Self:
        """Begin to share values by Redis, if a URL is given here or was before; memory works without this."""
        url = redis_url or self._redis_url
        if url is not None and self._redis is None:
            self._redis = RedisStore(url, self._space, self._forget, patience=self._patience)
            await self._redis.open()
        return self

    async def close(self) -> None:
        """Let go of everything in memory, and of Redis; what is there stays."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.close()
        self._store.clear()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def max_bytes(self) -> int:
        """Give the limit; setting it lower lets values go at once."""
        return self._store.limit

    @max_bytes.setter
    def max_bytes(self, limit: int) -> None:
        self._store.limit = limit

    @property
    def used_bytes(self) -> int:
        """Give what the values in memory count for."""
        return self._store.used

    def __len__(self) -> int:
        return len(self._store)

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value; the default, if there is none or its time is over."""
        name = key.encode()
        value = self._store.find(name)
        if value is not None and value.expires <= self._clock():
            self._store.drop(name)
            value = None
        if value is None and self._redis is not None:
            value = await self._fetch(self._redis, name)
        if value is None:
            self.misses += 1
            return default
        self.hits += 1
        return _decoded(value.data)

    async def set(self, key: str, value: Any, ttl: float | None = None, *, tags: Iterable[str] = ()) -> bool:
        """Keep a value for `ttl` seconds; False: it is larger than the whole memory, and is not kept there.

        Raises CacheValueInvalid for what is neither bytes nor JSON; a ttl of 0 only removes the old one.
        """
        name, data, seconds = key.encode(), _encoded(value), self.default_ttl if ttl is None else ttl
        names = tuple(dict.fromkeys(tag.encode() for tag in tags))
        if seconds <= 0:
            await self.delete(key)
            return True
        kept = self._store.put(_Value(name, data, self._clock() + seconds, names))
        if self._redis is not None:
            await self._redis.put(name, msgspec.msgpack.encode(_Image(data, names)), seconds, names)
            await self._redis.tell("key", name)
        return kept

    async def delete(self, key: str) -> bool:
        """Remove a value; tell whether there was one. Raises CacheUnreachable as `purge` does."""
        name = key.encode()
        there = self._store.drop(name) is not None
        self._forgotten += 1
        return (self._redis is not None and await self._redis.drop("key", name) > 0) or there

    async def purge(self, prefix: str | None = None, *, tag: str | None = None) -> int:
        """Remove the values whose keys begin so and that have the tag; without both, all. Return how many.

        Raises CacheUnreachable if Redis does not answer; memory is purged then, and the call can be repeated.
        """
        if prefix is not None and tag is not None:
            return await self._purge_both(prefix.encode(), tag.encode())
        kind: Kind = "prefix" if prefix is not None else "name" if tag is not None else "all"
        what = (prefix or tag or "").encode()
        gone = self._forget(kind, what)
        return gone if self._redis is None else max(gone, await self._redis.drop(kind, what))

    async def _purge_both(self, prefix: bytes, tag: bytes) -> int:
        keys = {key for key in self._store.keys_named(tag) if isinstance(key, bytes)}
        if self._redis is not None:
            keys |= await self._redis.keys_named(tag)
        return sum([await self.delete(key.decode()) for key in keys if key.startswith(prefix)])

    def _forget(self, kind: Kind, what: bytes) -> int:
        """Let go of values in memory."""
        self._forgotten += 1
        store = self._store
        if kind == "all":
            return store.clear()
        if kind == "key":
            return int(store.drop(what) is not None)
        if kind == "name":
            return store.drop_all(store.keys_named(what))
        return store.drop_all(key for key in store.items if isinstance(key, bytes) and key.startswith(what))

    async def _fetch(self, redis: RedisStore, name: bytes) -> _Value | None:
        """Take a value from Redis into memory."""
        forgotten = self._forgotten
        found = await redis.fetch(name)
        if found is None:
            return None
        image = msgspec.msgpack.decode(found[0], type=_Image)
        value = _Value(name, image.data, self._clock() + found[1], image.tags)
        if forgotten == self._forgotten:
            self._store.put(value)
        return value


def _encoded(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return AS_BYTES + bytes(value)
    try:
        return AS_JSON + msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise CacheValueInvalid(
            f"a {type(value).__name__} cannot be kept: {error}; give bytes, or what JSON can say"
        ) from None


def _decoded(data: bytes) -> Any:
    return data[1:] if data[:1] == AS_BYTES else msgspec.json.decode(data[1:])
