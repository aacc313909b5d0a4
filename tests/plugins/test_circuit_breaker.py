"""The circuit-breaker plugin, before real servers."""

from __future__ import annotations

from typing import Any

from tests.harness import Gateway, Recorder, eventually, free_port, serving, upstream

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def answer(status: int) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status


def guarded(*servers: Any, **options: Any) -> dict[str, Any]:
    config = upstream(*servers)
    rules = {"min_requests": 3, "open_time": "1h", "probes": 1, **options}
    config["route"][0]["plugin"] = [{"use": "circuit-breaker", **rules}]
    return config


async def statuses(gateway: Gateway, count: int) -> list[int]:
    return [(await gateway.ask(GET)).status for _ in range(count)]


async def test_opens_when_the_target_fails() -> None:
    async with Recorder(answer(500)) as origin, serving(guarded(origin)) as gateway:
        assert await statuses(gateway, 5) == [500, 500, 500, 503, 503]
        assert len(origin.requests) == 3
        refused = await gateway.ask(GET)
        assert int(refused.header(b"retry-after") or b"0") > 3000
        assert b"circuit-open" in refused.body
        assert gateway.count("agora_circuit_opened_total") == 1
        assert gateway.count("agora_circuit_refused_total") == 3


async def test_closes_when_the_target_is_well_again() -> None:
    async with Recorder(answer(500)) as origin, serving(guarded(origin, open_time="50ms")) as gateway:
        await statuses(gateway, 3)
        origin.answer = answer(200)
        got: list[int] = []
        while got[-1:] != [200]:
            got += await statuses(gateway, 1)
        assert set(got[:-1]) <= {503}
        assert await statuses(gateway, 3) == [200] * 3


async def test_a_target_that_cannot_be_reached_is_failing() -> None:
    async with serving(guarded(f"http://127.0.0.1:{free_port()}")) as gateway:
        assert await statuses(gateway, 4) == [502, 502, 502, 503]


async def test_what_clients_and_plugins_do_says_nothing_about_the_target() -> None:
    async with Recorder(answer(404)) as origin:
        config = guarded(origin)
        config["route"][0]["plugin"].append({"use": "api-key", "optional": True})
        async with serving(config) as gateway:
            assert await statuses(gateway, 6) == [404] * 6
            wrong = b"GET / HTTP/1.1\r\nhost: a\r\nx-api-key: wrong\r\n\r\n"
            assert [(await gateway.ask(wrong)).status for _ in range(6)] == [401] * 6
            origin.answer = b""
            for number in range(4):
                client = await gateway.connect()
                client.send(GET)
                await eventually(lambda number=number: len(origin.requests) > 6 + number)  # type: ignore[misc]
                client.reset()
            origin.answer = answer(200)
            assert await statuses(gateway, 3) == [200] * 3


async def test_a_reload_keeps_it_and_routes_may_share_it() -> None:
    async with Recorder(answer(500)) as origin:
        config = guarded(origin, shared="both")
        config["route"][0]["path"] = "/"
        config["route"].append({**config["route"][0], "name": "other", "path": "/other"})
        async with serving(config) as gateway:
            assert await statuses(gateway, 4) == [500, 500, 500, 503]
            assert (await gateway.ask(GET.replace(b"/ ", b"/other "))).status == 503
            await gateway.configure(config)
            assert await statuses(gateway, 1) == [503]
            config["route"][0]["plugin"][0]["min_requests"] = 4
            await gateway.configure(config)
            assert await statuses(gateway, 1) == [500]
