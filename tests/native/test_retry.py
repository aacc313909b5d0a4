"""Further tries: where a request goes when a server fails, and when it goes nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.harness import Client, Gateway, Origin, Recorder, eventually, free_port, serving, upstream

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"
PUT = b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
POST = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"


def answer(status: int, body: bytes = b"", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def retrying(*servers: Origin | str, balance: str = "round-robin", **options: Any) -> dict[str, Any]:
    config = upstream(*servers, balance=balance)
    config["route"][0]["plugin"] = [{"use": "retry", "backoff": "1ms", **options}]
    return config


def left(gateway: Gateway) -> tuple[int, int, int]:
    """Return exchanges, further tries, and exchanges at servers that the upstream thinks are under way."""
    assert gateway.plane._built is not None
    (found,) = gateway.plane._built.upstreams.values()
    return found.active, found.retrying, sum(state["active"] for state in found.states())


async def close_at_once(client: Client) -> None:
    await client.request()


async def break_off(client: Client) -> None:
    await client.request()
    client.send(b"HTTP/1.1 200 OK\r\ncontent-le")
    await client.drain()


async def silent(client: Client) -> None:
    await client.request()
    await client.closed()


@pytest.mark.parametrize("request_", [GET, PUT, POST], ids=["GET", "PUT", "POST"])
async def test_what_could_not_be_sent_goes_to_another_server(request_: bytes) -> None:
    async with (
        Recorder(answer(200, b"good")) as good,
        serving(retrying(f"http://127.0.0.1:{free_port()}", good)) as gateway,
    ):
        for _ in range(4):
            got = await gateway.ask(request_)
            assert (got.status, got.body) == (200, b"good")
        assert all(seen.body == request_.partition(b"\r\n\r\n")[2] for seen in good.requests)
        assert gateway.count("agora_retries_total") == 4  # a further try takes the good one's turn
        await eventually(lambda: left(gateway) == (0, 0, 0))


@pytest.mark.parametrize("script", [close_at_once, break_off], ids=["closes", "breaks off"])
@pytest.mark.parametrize("request_", [GET, PUT], ids=["GET", "PUT"])
async def test_what_may_be_sent_twice_goes_to_another_server_when_one_fails(
    script: Any, request_: bytes
) -> None:
    async with (
        Origin(script) as bad,
        Recorder(answer(200, b"good")) as good,
        serving(retrying(bad, good)) as gateway,
    ):
        for _ in range(4):
            assert (await gateway.ask(request_)).body == b"good"
        assert all(seen.body == request_.partition(b"\r\n\r\n")[2] for seen in good.requests)
        await eventually(lambda: left(gateway) == (0, 0, 0))


async def test_what_was_sent_and_may_not_be_sent_twice_is_not() -> None:
    async with Origin(close_at_once) as bad, Recorder() as good, serving(retrying(bad, good)) as gateway:
        assert (await gateway.ask(POST)).status == 502
        assert good.requests == []
        assert gateway.count("agora_retries_total") == 0


async def test_an_answer_of_a_status_is_tried_again_and_the_last_one_is_passed_on() -> None:
    async with (
        Recorder(answer(503, b"busy 1")) as first,
        Recorder(answer(503, b"busy 2")) as second,
        serving(retrying(first, second)) as gateway,
    ):
        got = await gateway.ask(GET)
        assert (got.status, got.body[:4]) == (503, b"busy")
        assert len(first.requests) + len(second.requests) == 3
        second.answer = answer(200, b"good")
        assert (await gateway.ask(GET)).body == b"good"
        await eventually(lambda: left(gateway) == (0, 0, 0))


async def test_a_post_gets_the_real_error_of_its_server() -> None:
    async with (
        Recorder(answer(503, b"the reason")) as bad,
        Recorder() as good,
        serving(retrying(bad, good)) as gateway,
    ):
        assert (await gateway.ask(POST)).body == b"the reason"
        assert good.requests == []


async def test_each_try_has_its_time() -> None:
    async with (
        Origin(silent) as bad,
        Recorder(answer(200, b"good")) as good,
        serving(retrying(bad, good, try_timeout="50ms")) as gateway,
    ):
        assert (await gateway.ask(GET)).body == b"good"


async def test_a_retry_after_is_honoured_or_there_is_no_other_try() -> None:
    async with (
        Recorder(answer(503, b"busy", b"retry-after: 0\r\n")) as bad,
        Recorder(answer(200, b"good")) as good,
        serving(retrying(bad, good)) as gateway,
    ):
        assert (await gateway.ask(GET)).body == b"good"
        bad.answer = answer(503, b"busy", b"retry-after: 60\r\n")
        got = [await gateway.ask(GET) for _ in range(2)]
        assert sorted(found.body for found in got) == [b"busy", b"good"]
        assert b"60" in [found.header(b"retry-after") for found in got]


async def test_a_client_that_goes_during_the_pause_ends_it() -> None:
    async with (
        Recorder(answer(503, b"busy", b"retry-after: 1\r\n")) as bad,
        serving(retrying(bad, max_retry_after="10s")) as gateway,
    ):
        client = await gateway.connect()
        client.send(GET)
        await eventually(lambda: left(gateway)[1] == 1)
        client.reset()
        await eventually(lambda: left(gateway) == (0, 0, 0))
        assert len(bad.requests) == 1


async def test_the_budget_bounds_further_tries() -> None:
    async with (
        Recorder(answer(503, b"busy", b"retry-after: 1\r\n")) as bad,
        serving(retrying(bad, max_retry_after="10s", budget=0, min_budget=2)) as gateway,
    ):
        clients = [await gateway.connect() for _ in range(2)]
        for client in clients:
            client.send(GET)
        await eventually(lambda: left(gateway)[1] == 2)
        assert (await gateway.ask(GET)).status == 503
        assert left(gateway)[1] == 2
        for client in clients:
            client.reset()
        await eventually(lambda: left(gateway) == (0, 0, 0))


async def test_the_whole_exchange_keeps_its_time() -> None:
    config = retrying("http://127.0.0.1:1", backoff="5s", max_backoff="5s", attempts=10)
    config["route"][0]["plugin"].append({"use": "timeout", "total": "100ms"})
    async with Recorder(answer(503, b"", b"retry-after: 5\r\n")) as bad:
        config["upstream"][0]["targets"] = [bad.url]
        config["route"][0]["plugin"][0]["max_retry_after"] = "10s"
        async with serving(config) as gateway:
            assert (await gateway.ask(GET)).status == 504
            await eventually(lambda: left(gateway) == (0, 0, 0))


async def test_a_body_that_still_comes_is_kept_for_the_next_server() -> None:
    async with (
        Recorder(answer(200, b"good")) as good,
        serving(retrying(f"http://127.0.0.1:{free_port()}", good)) as gateway,
    ):
        client = await gateway.connect()
        client.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello")
        await eventually(lambda: len(good.requests) + good.connections >= 1)
        client.send(b"there")
        assert (await client.response()).status == 200
        await asyncio.sleep(0)
        assert good.requests[-1].body == b"hellothere"
