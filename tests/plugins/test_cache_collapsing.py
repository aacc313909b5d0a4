"""The cache plugin, before real servers: requests that wait for each other, and answers past their time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness import Answer, Client, Origin, Received, eventually, free_port
from tests.plugins.cached import Cached, cached, caching, configured, done, http, request

GOOD = http(cache_control="max-age=60")


class Slow(Origin):
    """Be a server whose every answer the test gives itself."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.requests: list[Received] = []
        self.clients: list[Client] = []

    async def _hold(self, client: Client) -> None:
        while True:
            received = await client.request()
            self.clients.append(client)
            self.requests.append(received)

    def answer(self, number: int, answer: bytes) -> None:
        """Answer the request of that number."""
        self.clients[number].send(answer)

    async def got(self, count: int) -> None:
        """Wait for so many requests."""
        await eventually(lambda: len(self.requests) >= count)
        assert len(self.requests) == count


@contextlib.asynccontextmanager
async def slow(**options: Any) -> AsyncIterator[tuple[Slow, Cached]]:
    async with Slow() as origin, caching(configured(origin, **options)) as served:
        yield origin, served


async def sent(served: Cached, count: int, path: str = "/", **fields: str) -> list[Client]:
    """Send so many requests, each on a connection of its own."""
    clients = [await served.gateway.connect() for _ in range(count)]
    for client in clients:
        client.send(request(path, **fields))
    return clients


async def waiting(served: Cached, count: int) -> None:
    """Wait until so many requests wait for another."""
    await eventually(lambda: sum(map(len, served.cache.flights.values())) == count)


async def answers(clients: list[Client]) -> list[Answer]:
    return [await client.response() for client in clients]


async def test_requests_for_the_same_thing_wait_for_the_first_one() -> None:
    async with slow() as (origin, served):
        (first,) = await sent(served, 1)
        await origin.got(1)
        others = await sent(served, 5)
        await waiting(served, 5)
        origin.answer(0, GOOD)
        assert done(await first.response()) == "fwd=uri-miss; fwd-status=200; stored"
        got = await answers(others)
        assert {(one.status, bytes(one.body), done(one)) for one in got} == {
            (200, b"hello", "fwd=uri-miss; collapsed")
        }
        assert (len(origin.requests), served.cache.flights) == (1, {})


async def test_what_is_not_kept_lets_everyone_go_as_soon_as_that_is_known() -> None:
    async with slow() as (origin, served):
        await sent(served, 1)
        await origin.got(1)
        others = await sent(served, 3)
        await waiting(served, 3)
        origin.answer(0, http(cache_control="no-store")[:-3])
        await origin.got(4)
        for number in (1, 2, 3):
            origin.answer(number, http(cache_control="no-store"))
        got = await answers(others)
        assert {done(one) for one in got} == {"fwd=uri-miss; fwd-status=200; collapsed=?0"}
        await sent(served, 2)
        await origin.got(6)  # nobody waits for long after such an answer
        served.now += 11
        await sent(served, 2)
        await waiting(served, 1)


async def test_another_leads_where_the_first_client_goes() -> None:
    async with slow() as (origin, served):
        (first,) = await sent(served, 1)
        await origin.got(1)
        second, third = await sent(served, 2)
        await waiting(served, 2)
        first.reset()
        await origin.got(2)
        await waiting(served, 1)
        second.reset()
        await origin.got(3)
        origin.answer(2, GOOD)
        assert done(await third.response()) == "fwd=uri-miss; fwd-status=200; stored; collapsed=?0"


async def test_who_waits_and_goes_leaves_nothing_behind() -> None:
    async with slow() as (origin, served):
        (first,) = await sent(served, 1)
        await origin.got(1)
        gone, stays = await sent(served, 2)
        await waiting(served, 2)
        gone.reset()
        await waiting(served, 1)
        origin.answer(0, GOOD)
        assert [done(one) for one in await answers([first, stays])][1] == "fwd=uri-miss; collapsed"


async def test_a_failure_of_the_target_lets_everyone_go() -> None:
    async with slow() as (origin, served):
        (first,) = await sent(served, 1)
        await origin.got(1)
        others = await sent(served, 2)
        await waiting(served, 2)
        origin.clients[0].abort()
        assert (await first.response()).status == 502
        await origin.got(3)
        for number in (1, 2):
            origin.answer(number, GOOD)
        assert [one.status for one in await answers(others)] == [200, 200]


async def test_variants_do_not_wait_for_long() -> None:
    async with slow() as (origin, served):
        await sent(served, 1, accept="a")
        await origin.got(1)
        others = await sent(served, 2, accept="b")
        await waiting(served, 2)
        origin.answer(0, http(cache_control="max-age=60", vary="accept"))
        await origin.got(2)
        await waiting(served, 1)  # one of the others asks, for both
        origin.answer(1, http(cache_control="max-age=60", vary="accept"))
        assert sorted(done(one).partition(";")[0] for one in await answers(others)) == ["fwd=vary-miss"] * 2


@pytest.mark.parametrize(
    "fields",
    [
        {"authorization": "Basic eA=="},
        {"cache_control": "no-store"},
        {"range": "bytes=0-1"},
        {"if_none_match": '"v1"'},
    ],
)
async def test_who_may_get_something_else_does_not_wait(fields: dict[str, str]) -> None:
    async with slow() as (origin, served):
        await sent(served, 1)
        await origin.got(1)
        await sent(served, 2, **fields)
        await origin.got(3)


async def test_nobody_waits_where_that_is_not_wanted() -> None:
    async with slow(collapse_wait=0) as (origin, served):
        await sent(served, 3)
        await origin.got(3)


async def test_nobody_waits_longer_than_told() -> None:
    async with slow(collapse_wait="20ms") as (origin, served):
        await sent(served, 2)
        await origin.got(2)


async def test_requests_for_an_old_answer_wait_for_who_asks_about_it() -> None:
    async with slow() as (origin, served):
        clients = await sent(served, 1)
        await origin.got(1)
        origin.answer(0, http(cache_control="max-age=60", etag='"v1"'))
        await answers(clients)
        served.now += 60
        clients = await sent(served, 3)
        await origin.got(2)
        await waiting(served, 2)
        origin.answer(1, http(304))
        assert sorted((done(one) for one in await answers(clients)), key=len) == [
            "fwd=stale; collapsed",
            "fwd=stale; collapsed",
            "fwd=stale; fwd-status=304",
        ]


# -- past their time --------------------------------------------------------------------------------------


async def test_old_answers_are_given_while_one_request_asks_the_target() -> None:
    async with slow() as (origin, served):
        clients = await sent(served, 1)
        await origin.got(1)
        origin.answer(0, http(cache_control="max-age=60, stale-while-revalidate=30", etag='"v1"'))
        await answers(clients)
        served.now += 80
        (asks,) = await sent(served, 1)
        await origin.got(2)
        old = await served.get()
        assert (old.header(b"cache-status"), old.header(b"age")) == (b"gate; hit; ttl=-20", b"80")
        origin.answer(1, http(304, cache_control="max-age=60"))
        assert done(await asks.response()) == "fwd=stale; fwd-status=304"
        assert (await served.get()).header(b"age") == b"0"
        served.now += 91
        await sent(served, 2)
        await origin.got(3)
        await waiting(served, 1)  # too old: everyone waits


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_old_answer_stands_in_for_an_error(status: int) -> None:
    async with cached(http(cache_control="max-age=60, stale-if-error=30")) as (origin, served):
        await served.get()
        origin.answer = http(status, b"trouble")
        served.now += 89
        answer = await served.get()
        assert (answer.status, answer.body, answer.header(b"age")) == (200, b"hello", b"89")
        assert done(answer) == f"fwd=stale; fwd-status={status}; detail=stale-if-error"
        served.now += 1
        assert (await served.get()).status == status


async def test_an_error_that_is_passed_on_leaves_the_old_answer() -> None:
    async with cached(http(cache_control="max-age=60", etag='"v1"')) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = http(503)
        assert (await served.get()).status == 503
        origin.answer = http(304)
        assert done(await served.get()) == "fwd=stale; fwd-status=304"


async def test_an_old_answer_stands_in_where_the_target_cannot_be_reached() -> None:
    async with cached(GOOD, stale_if_error="1h") as (_, served):
        await served.get()
        config = configured(f"http://127.0.0.1:{free_port()}", stale_if_error="1h")
        await served.gateway.configure(config)
        served.now += 3659
        answer = await served.get()
        assert (answer.status, done(answer)) == (200, "fwd=stale; detail=stale-if-error")
        served.now += 1
        assert (await served.get()).status == 502


async def test_an_answer_that_must_be_confirmed_stands_in_for_nothing() -> None:
    answer = http(cache_control="max-age=60, must-revalidate")
    async with cached(answer, stale_if_error="1h", stale_while_revalidate="1h") as (origin, served):
        await served.get()
        origin.answer = http(503)
        served.now += 60
        assert (await served.get()).status == 503


async def test_answers_from_memory_and_from_targets_keep_their_order_on_a_connection() -> None:
    async with cached(GOOD) as (_, served):
        client = await served.gateway.connect()
        client.send(request("/a") + request("/a") + request("/b") + request("/a"))
        got = [done(await client.response()).partition(";")[0] for _ in range(4)]
        assert got == ["fwd=uri-miss", "hit", "fwd=uri-miss", "hit"]


async def test_two_gateways_have_two_caches() -> None:
    async with cached(GOOD) as (origin, served), caching(configured(origin)) as other:
        await asyncio.gather(served.get(), other.get())
        assert len(origin.requests) == 2
