"""The cache for application code, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from core.cache import EnhancedCache, enhanced_cache
from core.errors import CacheValueInvalid


class Clock:
    """Be a clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("value", [b"\x00bytes", "text", 7, 1.5, True, None, [1, "a"], {"a": {"b": []}}])
async def test_gives_back_what_was_put_in(value: Any) -> None:
    async with EnhancedCache() as cache:
        assert await cache.set("key", value)
        assert await cache.get("key", "nothing") == value
        assert await cache.get("other", "nothing") == "nothing"
        assert (cache.hits, cache.misses) == (1, 1)


async def test_what_the_caller_does_later_does_not_change_it() -> None:
    cache, value = EnhancedCache(), {"list": [1]}
    await cache.set("key", value)
    value["list"].append(2)
    (await cache.get("key"))["list"].append(3)
    assert await cache.get("key") == {"list": [1]}


async def test_a_value_is_gone_after_its_time() -> None:
    clock = Clock()
    cache = EnhancedCache(clock=clock)
    await cache.set("default", 1)
    await cache.set("short", 2, 10)
    clock.now += 10
    assert (await cache.get("default"), await cache.get("short")) == (1, None)
    clock.now += 290
    assert await cache.get("default") is None
    assert cache.used_bytes == 0


async def test_no_time_at_all_removes_the_value() -> None:
    cache = EnhancedCache()
    await cache.set("key", 1)
    await cache.set("key", 2, ttl=0)
    assert await cache.get("key") is None


async def test_deletes_one_and_purges_many() -> None:
    cache = EnhancedCache()
    for key, tags in {"user:1": ["a"], "user:2": ["a", "b"], "order:1": ["b"], "order:2": []}.items():
        await cache.set(key, key, tags=tags)
    assert await cache.delete("order:2")
    assert not await cache.delete("order:2")
    assert await cache.purge("user:", tag="b") == 1
    assert await cache.purge("user:") == 1
    assert await cache.purge(tag="b") == 1
    await cache.set("left", 1)
    assert (await cache.purge(), len(cache)) == (1, 0)


async def test_keeps_to_its_bytes() -> None:
    cache = EnhancedCache(max_bytes=10_000)
    assert not await cache.set("large", bytes(10_000))
    for number in range(100):
        await cache.set(str(number), bytes(1000))
        assert cache.used_bytes <= cache.max_bytes
    assert len(cache) == 6
    cache.max_bytes = 2000
    assert len(cache) == 1


@pytest.mark.parametrize("value", [object(), {1, object()}, lambda: None])
async def test_refuses_what_it_could_not_give_back(value: Any) -> None:
    with pytest.raises(CacheValueInvalid, match="give bytes, or what JSON can say"):
        await EnhancedCache().set("key", value)


async def test_there_is_one_for_the_process() -> None:
    await enhanced_cache.set("key", 1)
    assert await enhanced_cache.get("key") == 1
    await enhanced_cache.purge()
