"""The cache plugin with a real Redis behind it, in two gateways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import CacheUnreachable
from tests.core.cache.redis_server import RedisServer, redis_server
from tests.harness import PATIENCE, Recorder, eventually
from tests.plugins.cached import Cached, caching, configured, done, http

VARIED = http(cache_control="max-age=60", vary="accept", etag='"v1"', cache_tag="red")
MISS = "fwd=uri-miss; fwd-status=200; stored"


@contextlib.asynccontextmanager
async def two(origin: Recorder, server: RedisServer, **options: Any) -> AsyncIterator[tuple[Cached, Cached]]:
    """Serve two gateways that share a Redis."""
    config = configured(origin, redis=server.url, redis_timeout="10s", **options)
    async with caching(config) as one, caching(config) as other:
        for served in (one, other):
            assert served.cache.redis is not None
            served.cache.redis._rest = 0.01
            await eventually(lambda served=served: served.cache._forgotten > 0)  # type: ignore[misc]
        yield one, other


async def written(*caches: Cached) -> None:
    """Wait until everything is in Redis."""
    for served in caches:
        await eventually(lambda served=served: not served.cache._tasks)  # type: ignore[misc]


async def test_what_one_has_fetched_the_other_need_not() -> None:
    async with redis_server() as server, Recorder(VARIED) as origin, two(origin, server) as (one, other):
        assert done(await one.get(accept="a")) == MISS
        await written(one)
        other.now += 7
        answer = await other.get(accept="a")
        assert (answer.body, answer.header(b"age"), done(answer)) == (b"hello", b"7", "hit")
        assert done(await other.get(accept="b")) == "fwd=vary-miss; fwd-status=200; stored"
        await written(other)
        assert done(await one.get(accept="b")) == "hit"
        assert len(origin.requests) == 2


async def test_an_answer_past_its_time_can_still_be_asked_about_by_the_other() -> None:
    async with redis_server() as server, Recorder(VARIED) as origin, two(origin, server) as (one, other):
        await one.get()
        await written(one)
        origin.answer = http(304)
        other.now += 60
        answer = await other.get()
        assert (done(answer), answer.body) == ("fwd=stale; fwd-status=304", b"hello")


@pytest.mark.parametrize("purge", [{"url": "http://a/"}, {"prefix": "http://a"}, {"tag": "red"}, {}])
async def test_a_purge_reaches_everyone(purge: dict[str, str]) -> None:
    async with redis_server() as server, Recorder(VARIED) as origin, two(origin, server) as (one, other):
        await one.get()
        await written(one)
        await other.get()
        heard = other.cache._forgotten
        assert await one.cache.purge(**purge) >= 1
        await eventually(lambda: other.cache._forgotten > heard)
        assert "stored" in done(await other.get())


async def test_an_unsafe_request_at_one_lets_go_at_the_other() -> None:
    async with redis_server() as server, Recorder(VARIED) as origin, two(origin, server) as (one, other):
        await one.get()
        await written(one)
        await other.get()
        heard = other.cache._forgotten
        await one.get(method="POST")
        await eventually(lambda: other.cache._forgotten > heard)
        assert "stored" in done(await other.get())


async def test_goes_on_without_redis_and_with_it_again() -> None:
    async with redis_server() as server, Recorder(VARIED) as origin, two(origin, server) as (one, other):
        await one.get()
        await written(one)
        await server.kill()
        assert done(await one.get()) == "hit"
        assert done(await other.get()) == MISS
        assert done(await other.get()) == "hit"
        with pytest.raises(CacheUnreachable):
            await one.cache.purge(tag="red")
        assert len(one.cache.store) == 1  # the mark of what Vary is for
        await server.start()
        await eventually(lambda: not one.cache.store and not other.cache.store)
        async with asyncio.timeout(PATIENCE):
            while done(await other.get()) != "hit":
                for served in (one, other):
                    served.cache.forget("all")
                await one.get()
                await written(one)


async def test_a_reload_keeps_the_connection_to_redis() -> None:
    async with redis_server() as server, Recorder(VARIED) as origin:
        config = configured(origin, redis=server.url)
        async with caching(config) as served:
            await served.get()
            await served.gateway.configure(config)
            assert done(await served.get()) == "hit"
            assert served.cache._users == 1
            await served.cache.purge()
