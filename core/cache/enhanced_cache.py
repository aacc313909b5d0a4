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
from core.cache.store import Store
from core.errors import CacheValueInvalid

MAX_BYTES = 64 << 20
TTL = 300.0  # seconds
OVERHEAD = 500  # bytes that a slot costs besides key and value, about
AS_BYTES, AS_JSON = b"b", b"j"  # first byte of an encoded value


class _Value(Slot):
    """Hold one encoded value."""

    def __init__(self, key: str, data: bytes, expires: float, tags: tuple[str, ...]) -> None:
        super().__init__(key, OVERHEAD + len(key) + len(data) + sum(map(len, tags)), tags)
        self.data = data
        self.expires = expires


class EnhancedCache:
    """Keep values that JSON can say, and bytes, in memory.

    max_bytes:   of all values with what they cost besides; the least useful leave first
    default_ttl: seconds that a value is kept where `set` does not say
    clock:       seconds, never going back

    A value is encoded when it is put in: what callers do with it afterwards does not change what is kept.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        default_ttl: float = TTL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.default_ttl = default_ttl
        self.hits = self.misses = 0
        self._clock = clock
        self._store: Store[_Value] = Store(max_bytes)

    async def open(self) -> Self:
        """Make it ready; without this it works, in memory alone."""
        return self

    async def close(self) -> None:
        """Let go of everything in memory."""
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
        value = self._store.find(key)
        if value is not None and value.expires > self._clock():
            self.hits += 1
            return _decoded(value.data)
        if value is not None:
            self._store.drop(key)
        self.misses += 1
        return default

    async def set(self, key: str, value: Any, ttl: float | None = None, *, tags: Iterable[str] = ()) -> bool:
        """Keep a value for `ttl` seconds; False: it is larger than the whole cache, and is not kept.

        Raises CacheValueInvalid for what is neither bytes nor JSON; a ttl of 0 only removes the old one.
        """
        data, seconds = _encoded(value), self.default_ttl if ttl is None else ttl
        if seconds <= 0:
            await self.delete(key)
            return True
        return self._store.put(_Value(key, data, self._clock() + seconds, tuple(dict.fromkeys(tags))))

    async def delete(self, key: str) -> bool:
        """Remove a value; tell whether there was one."""
        return self._store.drop(key) is not None

    async def purge(self, prefix: str | None = None, *, tag: str | None = None) -> int:
        """Remove the values whose keys begin so and that have the tag; without both, all. Return how many."""
        store = self._store
        if prefix is None and tag is None:
            return store.clear()
        keys = set(store.items) if tag is None else set(store.keys_named(tag))
        return store.drop_all(key for key in keys if prefix is None or str(key).startswith(prefix))


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
