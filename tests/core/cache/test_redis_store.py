"""What caches share by Redis, with a real server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.cache import EnhancedCache
from core.cache.redis_store import RedisStore
from core.errors import CacheUnreachable
from tests.core.cache.redis_server import RedisServer, redis_server
from tests.harness import PATIENCE, eventually


@contextlib.asynccontextmanager
async def two(server: RedisServer) -> AsyncIterator[tuple[EnhancedCache, EnhancedCache]]:
    """Give two caches, as two processes would have them."""
    options: dict[str, Any] = {"redis_url": server.url, "patience": PATIENCE}
    async with EnhancedCache(**options) as one, EnhancedCache(**options) as other:
        for cache in (one, other):
            await listening(cache)
        yield one, other


async def listening(cache: EnhancedCache) -> None:
    heard = cache._forgotten
    await eventually(lambda: heard < cache._forgotten or heard > 0)


async def test_what_one_keeps_the_other_finds() -> None:
    async with redis_server() as server, two(server) as (one, other):
        await one.set("key", {"a": [1]}, 60, tags=["t"])
        await one.set("bytes", b"\x00\xff")
        assert (await other.get("key"), await other.get("bytes")) == ({"a": [1]}, b"\x00\xff")
        assert other.used_bytes > 0
        assert await other.get("nothing") is None


async def test_a_new_value_and_a_purge_reach_the_memory_of_others() -> None:
    async with redis_server() as server, two(server) as (one, other):
        for change in ("set", "delete", "tag", "prefix", "both", "all"):
            await one.set("key:1", "old", tags=["t"])
            await eventually(lambda: len(other) == 0)
            assert await other.get("key:1") == "old"
            match change:
                case "set":
                    await one.set("key:1", "new")
                case "delete":
                    assert await one.delete("key:1")
                case "tag":
                    assert await one.purge(tag="t") == 1
                case "prefix":
                    assert await one.purge("key:") == 1
                case "both":
                    assert await one.purge("key", tag="t") == 1
                case "all":
                    assert await one.purge() == 1
            await eventually(lambda: len(other) == 0)
            assert await other.get("key:1") == ("new" if change == "set" else None)


async def test_a_prefix_is_no_pattern() -> None:
    async with redis_server() as server, two(server) as (one, other):
        for key in ("a*b", "axb", "a[b"):
            await one.set(key, key)
        assert await one.purge("a*") == 1
        assert await one.purge("a[") == 1
        assert await other.get("axb") == "axb"


async def test_values_in_redis_have_their_time() -> None:
    heard: list[str] = []
    async with redis_server() as server:
        store = RedisStore(server.url, "test", lambda kind, what: heard.append(kind), patience=PATIENCE)
        assert await store.put(b"key", b"data", 100, [b"name"])
        found = await store.fetch(b"key")
        assert found is not None
        assert found[0] == b"data"
        assert 99 < found[1] <= 100
        assert await store.put(b"key", b"data", 0.001, [])
        while await store.fetch(b"key") is not None:
            pass
        await store.close()


async def test_goes_on_without_redis_and_with_it_again() -> None:
    async with redis_server() as server, two(server) as (one, other):
        for cache in (one, other):
            assert cache._redis is not None
            cache._redis._rest = 0.01
        await one.set("key", 1)
        assert await other.get("key") == 1
        await server.kill()
        await one.set("key", 2)
        assert await one.get("key") == 2
        assert await other.get("unknown", "nothing") == "nothing"
        with pytest.raises(CacheUnreachable, match="purge again later"):
            await one.purge()
        assert len(one) == 0
        await server.start()
        await eventually(lambda: len(other) == 0)  # who has missed something lets go of all
        assert await other.get("key") is None
        while not await other.get("key"):
            await one.set("key", 3)
        assert await other.get("key") == 3


async def test_works_where_redis_was_never_there() -> None:
    async with EnhancedCache(redis_url="redis://127.0.0.1:1/0") as cache:
        await cache.set("key", 1)
        assert await cache.get("key") == 1
        assert await cache.get("other") is None
