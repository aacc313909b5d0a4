"""Server-sent events: from any position on, resumed without a gap, ended with the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway import api_stream
from gateway.event_sourcing.routes import PREFIX
from tests.gateway.event_sourcing.asking import CONFIG, TOKEN, api_served, deposit
from tests.harness import serving


async def positions(response: httpx.Response, count: int) -> list[int]:
    """Return the ids of the next events, each held to its data."""
    found: list[int] = []
    id = ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "data":
            assert json.loads(value)["position"] == int(id)
            found.append(int(id))
            if len(found) == count:
                break
    return found


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with api_served() as client:
        yield client


async def test_tells_what_was_and_what_comes(api: httpx.AsyncClient) -> None:
    for number in range(3):
        await deposit(api, number)
    async with api.stream("GET", "/stream?after=1") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        coming = asyncio.create_task(positions(response, 4))
        for number in range(3, 5):
            await deposit(api, number)
        assert await coming == [2, 3, 4, 5]


async def test_goes_on_after_the_last_event_that_came(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await deposit(api, number)
    async with api.stream("GET", "/stream", headers={"last-event-id": "3"}) as response:
        assert await positions(response, 2) == [4, 5]
    wrong = await api.get("/stream", headers={"last-event-id": "x"})
    assert wrong.status_code == 422


async def test_tells_only_what_is_asked_for(api: httpx.AsyncClient) -> None:
    for number in range(6):
        await deposit(api, number, "ann" if number % 3 else "bob")
    async with api.stream("GET", "/stream?stream=bank-bob") as response:
        assert await positions(response, 2) == [1, 4]


async def test_so_many_streams_and_no_more(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_stream, "MOST_STREAMS", 2)
    await deposit(api, 1)
    async with api.stream("GET", "/stream") as one, api.stream("GET", "/stream") as other:
        assert await positions(one, 1) == await positions(other, 1) == [1]
        full = await api.get("/stream")
        assert (full.status_code, full.json()["type"]) == (503, "urn:agora:problem:streams-too-many")
    while (again := await api.send(api.build_request("GET", "/stream"), stream=True)).status_code == 503:
        await again.aclose()
    assert await positions(again, 1) == [1]
    await again.aclose()


async def test_clients_that_do_not_read_hold_up_nobody() -> None:
    async with serving(CONFIG, system=True) as gateway:
        request = f"GET {PREFIX}/stream HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        for _ in range(50):
            (await gateway.connect()).send(request.encode())
        base, headers = f"http://127.0.0.1:{gateway.port}{PREFIX}", {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
            for number in range(200):
                assert (await deposit(client, number)).status_code == 200
            assert (await client.get("/status")).json()["position"] == 200


async def test_a_stream_ends_when_the_gateway_drains() -> None:
    async with serving(CONFIG, system=True) as gateway:
        base, headers = f"http://127.0.0.1:{gateway.port}{PREFIX}", {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as client:
            await deposit(client, 1)
            async with client.stream("GET", "/stream") as response:
                lines = response.aiter_lines()
                assert await anext(lines) == ": events follow"
                gateway.plane.ready = False
                assert [line async for line in lines if line.startswith("id")] == ["id: 1"]
