"""Balancing over real servers: shares, health, ejection and draining."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core._fast.upstream import Upstream
from tests.harness import Gateway, Origin, Recorder, eventually, free_port, serving, upstream

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


def named(name: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(name), name)


def the_upstream(gateway: Gateway) -> Upstream:
    assert gateway.plane._built is not None
    (found,) = gateway.plane._built.upstreams.values()
    return found


async def asked(gateway: Gateway, count: int, *headers: bytes) -> Counter[bytes]:
    request = b"GET /x HTTP/1.1\r\nhost: a\r\n" + b"".join(headers) + b"\r\n"
    return Counter([bytes((await gateway.ask(request)).body) for _ in range(count)])


async def test_weights_are_shares() -> None:
    async with Recorder(named(b"one")) as one, Recorder(named(b"two")) as two:
        config = upstream(one, balance="weighted")
        config["upstream"][0]["targets"] = [{"url": one.url, "weight": 3}, two.url]
        async with serving(config) as gateway:
            assert await asked(gateway, 40) == {b"one": 30, b"two": 10}


async def test_a_hash_goes_by_header_or_cookie() -> None:
    async with Recorder(named(b"one")) as one, Recorder(named(b"two")) as two:
        for key, line in (("header:x-user", b"x-user: u%d\r\n"), ("cookie:s", b"cookie: a=b; s=u%d\r\n")):
            async with serving(upstream(one, two, balance="consistent-hash", hash_by=key)) as gateway:
                found = [await asked(gateway, 3, line % number) for number in range(20)]
                assert all(len(answers) == 1 for answers in found)
                assert len({next(iter(answers)) for answers in found}) == 2


async def test_a_draining_server_finishes_what_it_has_and_gets_nothing_new() -> None:
    async with Recorder(named(b"one")) as one, Recorder(named(b"two")) as two:
        config = upstream(one, two)
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
            await eventually(lambda: one.connections + two.connections == 1)
            busy, other = (0, b"two") if one.connections else (1, b"one")
            the_upstream(gateway).set_draining(busy, True)
            assert await asked(gateway, 6) == {other: 6}
            client.send(b"cd")
            assert (await client.response()).body == (b"one", b"two")[busy]
            the_upstream(gateway).set_draining(busy, False)
            assert len(await asked(gateway, 6)) == 2
            the_upstream(gateway).set_draining(0, True)
            the_upstream(gateway).set_draining(1, True)
            assert (await gateway.ask(GET)).status == 503


async def test_a_server_that_fails_is_left_out() -> None:
    async with Recorder(named(b"good")) as good, Recorder(named(b"bad", 500)) as bad:
        settings: dict[str, Any] = {"eject": {"after": 3, "on": "5xx", "time": "1h"}}
        async with serving(upstream(bad, good, **settings)) as gateway:
            assert (await asked(gateway, 20))[b"bad"] == 3
            assert [state["ejected"] for state in the_upstream(gateway).states()] == [True, False]


async def test_one_that_cannot_be_reached_is_left_out() -> None:
    async with Recorder(named(b"good")) as good:
        settings: dict[str, Any] = {"eject": {"after": 2, "time": "1h"}}
        async with serving(upstream(f"http://127.0.0.1:{free_port()}", good, **settings)) as gateway:
            statuses = Counter([(await gateway.ask(GET)).status for _ in range(20)])
            assert statuses == {200: 18, 502: 2}


async def test_checks_take_servers_out_and_in() -> None:
    async with Recorder(named(b"one")) as one, Recorder(named(b"two")) as two:
        health = {"path": "/health", "interval": "20ms", "unhealthy_after": 2, "healthy_after": 2}
        async with serving(upstream(one, two, health=health)) as gateway:
            found = the_upstream(gateway)
            two.answer = named(b"ill", 503)
            await eventually(lambda: not found.states()[1]["healthy"])
            assert await asked(gateway, 6) == {b"one": 6}
            assert {seen.target for seen in two.requests} >= {b"/health"}
            two.answer = named(b"two")
            await eventually(lambda: bool(found.states()[1]["healthy"]))
            assert await asked(gateway, 6) == {b"one": 3, b"two": 3}


async def test_checks_by_connecting_find_a_server_that_is_not_there() -> None:
    async with Recorder(named(b"one")) as one:
        health = {"interval": "20ms", "unhealthy_after": 1}
        gone = f"http://127.0.0.1:{free_port()}"
        async with serving(upstream(one, gone, health=health, panic=0)) as gateway:
            found = the_upstream(gateway)
            await eventually(lambda: not found.states()[1]["healthy"])
            assert await asked(gateway, 6) == {b"one": 6}


async def test_checks_end_with_their_upstream() -> None:
    async with Recorder(named(b"one")) as one, Origin(lambda client: client.closed()) as other:  # type: ignore[arg-type,return-value]
        async with serving(upstream(one, health={"interval": "20ms"})) as gateway:
            checks = the_upstream(gateway).checks
            await gateway.configure(upstream(other))
            await eventually(lambda: all(task.done() for task in checks._tasks))
