"""How long clients and upstreams may take: each waits for the gateway to act, with tiny timeouts."""

import asyncio
from typing import Any

import pytest

from tests.harness import (
    HELLO,
    Client,
    Origin,
    Recorder,
    eventually,
    responding,
    scripted,
    serving,
    turning,
    upstream,
)

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"


def timeouts(**chosen: str) -> dict[str, Any]:
    return {"server": {"timeouts": chosen}}


async def silent(client: Client) -> None:
    """Read and say nothing."""
    await client.read_all()


# -- clients that are slow to ask -------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost: a.test\r\n", GET[:-1], b"\r\n"])
async def test_a_head_that_does_not_end_is_408(begun: bytes) -> None:
    async with serving({**responding(), **timeouts(head="40ms")}) as gateway:
        received = await gateway.exchange(begun)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b"urn:agora:problem:request-timeout" in received
        assert gateway.count("agora_requests_refused_total", reason="request-timeout") == 1


async def test_a_head_that_drips_is_408_however_steadily() -> None:
    async with serving({**responding(), **timeouts(head="60ms")}) as gateway:
        client = await gateway.connect()
        reading = asyncio.create_task(client.response())
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ")
        while not reading.done():
            client.send(b"a")
            await asyncio.sleep(0)
        assert (await reading).status in (408, 431)


async def test_a_head_after_an_answered_request_has_its_own_time() -> None:
    async with serving({**responding(), **timeouts(head="40ms", keep_alive="60s")}) as gateway:
        client = await gateway.connect()
        client.send(GET + GET[:9])
        assert (await client.response()).status == 200
        assert (await client.response()).status == 408
        assert await client.closed()


async def test_a_client_that_says_nothing_is_closed_without_a_word() -> None:
    async with serving({**responding(), **timeouts(head="40ms")}) as gateway:
        assert await gateway.exchange(b"") == b""
        await eventually(lambda: gateway.plane.door.connections == 0)


async def test_an_idle_client_is_closed_without_a_word() -> None:
    async with serving({**responding(), **timeouts(keep_alive="40ms")}) as gateway:
        client = await gateway.connect()
        client.send(GET)
        assert (await client.response()).status == 200
        assert await client.closed()


@pytest.mark.parametrize("head", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_a_body_that_stops_is_408(head: bytes) -> None:
    async with Origin(silent) as origin, serving({**upstream(origin), **timeouts(body="40ms")}) as gateway:
        received = await gateway.exchange(head + b"5\r\nhello")
        assert received.startswith(b"HTTP/1.1 408 ")
        assert received.count(b"HTTP/1.1 ") == 1
        await eventually(lambda: gateway.pool().connections == 0)
        assert gateway.count("agora_upstream_failures_total") == 0, (
            "the upstream was blamed for a slow client"
        )


async def test_a_body_that_drips_is_408() -> None:
    async with Origin(silent) as origin, serving({**upstream(origin), **timeouts(body="100ms")}) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        sent = 0
        async for gone in turning(0.3):
            if sent < gone * 20:
                client.send(b"x")
                sent += 1
        assert (await client.response()).status == 408


async def test_a_body_that_stops_before_a_plugin_has_it_whole_is_408() -> None:
    holding = {"plugin": [scripted(request=lambda exchange: None, request_body_limit=10_000)]}
    async with serving({**responding(), **holding, **timeouts(body="40ms")}) as gateway:
        received = await gateway.exchange(SIZED + b"hello")
        assert received.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_is_only_thrown_away_may_not_take_long_either() -> None:
    async with serving(responding()) as gateway:
        client = await gateway.connect()
        client.send(SIZED + b"hello")
        assert (await client.response()).status == 200
        assert await client.closed()  # after the door's own patience: two seconds


async def test_a_client_that_waits_for_100_continue_is_not_slow() -> None:
    """The clock of the body does not run while it is the gateway that waits."""
    go_on = asyncio.Event()

    async def wait(exchange: object) -> None:
        await go_on.wait()

    config = {"plugin": [scripted(request=wait)], **timeouts(body="40ms")}
    async with Recorder() as origin, serving({**upstream(origin), **config}) as gateway:
        client = await gateway.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        async for _ in turning(0.12):
            assert gateway.count("agora_requests_refused_total") == 0
        go_on.set()
        assert (await client.response()).status == 100
        client.send(b"body")
        assert (await client.response()).status == 200


# -- clients that are slow to read ------------------------------------------------------------------------


async def flood(client: Client) -> None:
    await client.request()
    client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    for _ in range(1000):
        client.send(b"x" * 100_000)
        await client.drain()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with Origin(flood) as origin, serving({**upstream(origin), **timeouts(write="60ms")}) as gateway:
        client = await gateway.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        await eventually(lambda: gateway.plane.door.connections == 1)
        await eventually(lambda: gateway.plane.door.connections == 0)
        await eventually(lambda: gateway.pool().connections == 0 and origin.open == 0)


async def test_a_client_that_reads_slowly_but_steadily_is_served() -> None:
    """A large answer that the gateway holds itself: it is queued, and each piece read buys more time."""
    size = 12_000_000
    big = scripted(request=lambda exchange: response(size))
    async with serving({**responding(), "plugin": [big], **timeouts(write="100ms")}) as gateway:
        client = await gateway.connect(limit=16384)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        async for gone in turning(0.6):
            if received < gone * size:
                received += len(await client.reader.read(65536))
        received += len(await client.read_all())
        assert received > size


def response(size: int) -> Any:
    from core._fast.message import Response

    return Response(200, [], b"x" * size)


async def test_a_client_that_asks_on_without_reading_gets_no_more_answers() -> None:
    """Pipelined requests for large answers: what waits for the reader stays bounded."""
    body = "x" * 60_000
    async with serving({**responding(body), **timeouts(write="200ms")}) as gateway:
        client = await gateway.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET * 20_000)
        await eventually(lambda: gateway.count("agora_requests_total") > 0)
        await eventually(lambda: gateway.plane.door.connections == 0)
        answered = gateway.count("agora_requests_total")
        assert answered * len(body) < 32_000_000


# -- upstreams --------------------------------------------------------------------------------------------


async def test_an_upstream_that_does_not_answer_is_504() -> None:
    async with Origin(silent) as origin, serving(upstream(origin, first_byte_timeout="40ms")) as gateway:
        answer = await gateway.ask(GET)
        assert answer.status == 504
        assert b"urn:agora:problem:upstream-timeout" in answer.body
        await eventually(lambda: gateway.pool().connections == 0)
        assert gateway.count("agora_upstream_failures_total", reason="upstream-timeout") == 1


async def test_an_upstream_that_sends_half_a_head_is_504() -> None:
    async def half(client: Client) -> None:
        await client.request()
        client.send(HELLO[:20])
        await client.read_all()

    async with Origin(half) as origin, serving(upstream(origin, first_byte_timeout="40ms")) as gateway:
        assert (await gateway.ask(GET)).status == 504


async def test_an_upstream_that_only_sends_interim_answers_is_504() -> None:
    async def interim(client: Client) -> None:
        await client.request()
        while not client.writer.is_closing():
            client.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await client.drain()
            await asyncio.sleep(0)

    async with Origin(interim) as origin, serving(upstream(origin, first_byte_timeout="60ms")) as gateway:
        client = await gateway.connect()
        client.send(GET)
        while (answer := await client.response()).status < 200:
            pass
        assert answer.status == 504


async def test_the_time_for_an_answer_runs_from_the_requests_end() -> None:
    """An upload that takes longer than the upstream's time to answer is no reason for a 504."""
    async with Recorder() as origin, serving(upstream(origin, first_byte_timeout="100ms")) as gateway:
        client = await gateway.connect()
        client.send(CHUNKED)
        async for _ in turning(0.25):
            client.send(b"1\r\nx\r\n")
        client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200


async def test_an_upstream_that_falls_silent_within_an_answer_is_cut() -> None:
    async def stalls(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        await client.read_all()

    async with Origin(stalls) as origin, serving(upstream(origin, idle_timeout="40ms")) as gateway:
        client = await gateway.connect()
        client.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await client.response()
        await eventually(lambda: gateway.pool().connections == 0)


async def test_an_upstream_that_keeps_talking_is_not_cut() -> None:
    async def talks(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for _ in turning(0.2):
            client.send(b"1\r\nx\r\n")
        client.send(b"0\r\n\r\n")

    async with Origin(talks) as origin, serving(upstream(origin, idle_timeout="60ms")) as gateway:
        assert set((await gateway.ask(GET)).body) == set(b"x")


async def test_a_slow_client_is_not_the_upstreams_fault() -> None:
    """While the client makes everybody wait, the upstream's idle clock does not run out."""
    async with Origin(flood) as origin:
        config = {**upstream(origin, idle_timeout="40ms"), **timeouts(write="250ms")}
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send(GET)
            await eventually(lambda: gateway.plane.door.connections == 1)
            await eventually(lambda: gateway.plane.door.connections == 0)
            assert gateway.count("agora_upstream_failures_total") == 0


async def test_an_upstream_that_takes_no_body_is_504() -> None:
    async def deaf(client: Client) -> None:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await deafness.wait()

    deafness = asyncio.Event()
    async with Origin(deaf) as origin:
        config = upstream(origin, first_byte_timeout="60ms", idle_timeout="60ms")
        async with serving(config) as gateway:
            client = await gateway.connect()
            client.send(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 30_000_000
            )
            assert (await client.response()).status == 504
            await eventually(lambda: gateway.pool().connections == 0)
            deafness.set()


# -- whole exchanges --------------------------------------------------------------------------------------


async def test_an_exchange_that_takes_too_long_is_504() -> None:
    async with (
        Origin(silent) as origin,
        serving({**upstream(origin), **timeouts(exchange="40ms")}) as gateway,
    ):
        answer = await gateway.ask(GET)
        assert answer.status == 504
        assert b"urn:agora:problem:exchange-timeout" in answer.body
        await eventually(lambda: gateway.pool().connections == 0)


async def test_an_exchange_whose_plugin_waits_too_long_is_504() -> None:
    ended = asyncio.Event()

    async def wait(exchange: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    for phase in ("request", "forward", "response"):
        ended.clear()
        config = {"plugin": [scripted(**{phase: wait})], **timeouts(exchange="40ms")}
        async with Recorder() as origin, serving({**upstream(origin), **config}) as gateway:
            client = await gateway.connect()
            client.send(GET)
            assert await asyncio.wait_for(client.read_until(b" "), 5) == b"HTTP/1.1 "
            assert (await client.read_exactly(3)) == b"504"
            await ended.wait()


async def test_an_answer_that_takes_too_long_is_cut() -> None:
    async def endless(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not client.writer.is_closing():
            client.send(b"more")
            await client.drain()
            await asyncio.sleep(0)

    async with (
        Origin(endless) as origin,
        serving({**upstream(origin), **timeouts(exchange="500ms")}) as gateway,
    ):
        client = await gateway.connect()
        client.send(GET)
        with pytest.raises(asyncio.IncompleteReadError):
            await client.response()


async def test_a_plugin_may_move_the_deadline_of_an_exchange() -> None:
    def hurry(exchange: Any) -> None:
        exchange.total_timeout = 0.04

    config = {"plugin": [scripted(request=hurry)]}
    async with Origin(silent) as origin, serving({**upstream(origin), **config}) as gateway:
        assert (await gateway.ask(GET)).status == 504
