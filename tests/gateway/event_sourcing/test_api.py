"""The engine's API: events, commands, aggregates, what runs, dead letters; and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engines.event_sourcing import event_sourcing_engine
from gateway.event_sourcing.routes import PREFIX
from tests.gateway.event_sourcing.asking import TOKEN, api_served, broken, deposit
from tests.harness import serving


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with api_served() as client:
        yield client


async def test_needs_the_token(api: httpx.AsyncClient) -> None:
    for path in ("/status", "/events", "/stream"):
        answer = await api.get(path, headers={"authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:agora:problem:unauthorized")


async def test_a_command_is_done_once_and_told_where(api: httpx.AsyncClient) -> None:
    first, again = await deposit(api, 1), await deposit(api, 1)
    assert (first.status_code, first.json()["position"], first.headers["x-event-position"]) == (200, 1, "1")
    assert (again.json()["position"], again.json()["repeated"]) == (1, True)
    other = await api.post("/commands", json={"type": "Deposit", "id": "d1", "account": "ann", "cents": 6})
    assert (other.status_code, other.json()["type"]) == (409, "urn:agora:problem:command-id-reused")
    poor = await api.post("/commands", json={"type": "Withdraw", "id": "w1", "account": "ann", "cents": 6})
    assert (poor.status_code, poor.json()["type"]) == (409, "urn:agora:problem:balance-too-low")
    assert event_sourcing_engine.log.last_position() == 1


async def test_a_command_may_wait_for_tables(api: httpx.AsyncClient) -> None:
    body = {"type": "Deposit", "id": "d1", "account": "ann", "cents": 5}
    answer = await api.post("/commands?domain=bank&wait_for=counts", json=body)
    assert answer.status_code == 200
    assert event_sourcing_engine.projection("counts").table == {"bank-ann": 1}
    await event_sourcing_engine.projection("counts").pause()
    late = await api.post("/commands?wait_for=counts&timeout=0", json=body | {"id": "d2"})
    assert (late.status_code, late.json()["type"]) == (503, "urn:agora:problem:projection-behind")
    assert event_sourcing_engine.log.last_position() == 2
    unknown = await api.post("/commands?wait_for=other", json=body | {"id": "d3"})
    assert unknown.status_code == 404
    assert event_sourcing_engine.log.last_position() == 2


async def test_events_are_paged_and_filtered(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await deposit(api, number, "ann" if number % 2 else "bob")
    for number in range(2):
        made = await api.post(
            "/events",
            json={"aggregate_id": f"note-{number}", "type": "Noted", "tags": ["x"], "data": {"n": 1}},
        )
        assert made.status_code == 201
        assert made.headers["location"] == f"{PREFIX}/events/{made.json()['position']}"
    page = (await api.get("/events?limit=3")).json()
    assert ([event["position"] for event in page["events"]], page["reached"], page["last"]) == (
        [1, 2, 3],
        3,
        7,
    )
    following = (await api.get(page["next"].removeprefix(PREFIX))).json()
    assert [event["position"] for event in following["events"]] == [4, 5, 6]

    async def found(query: str) -> list[int]:
        return [event["position"] for event in (await api.get(f"/events?{query}")).json()["events"]]

    assert await found("type=Note") == [6, 7]
    assert await found("tag=x&stream=note-1") == [7]
    assert await found("stream=bank-ann&stream=note") == [2, 4, 6, 7]
    time = (await api.get("/events/4")).json()["time"]
    assert await found(f"since={time}&type=Deposited") == [4, 5]
    assert await found(f"until={time}") == [1, 2, 3]
    assert await found("until=2001-01-01T00:00:00Z") == []
    assert await found("since=2001-01-01&limit=1") == [1]


async def test_an_event_by_hand_is_held_to_the_rules(api: httpx.AsyncClient) -> None:
    await deposit(api, 1)
    note = {"aggregate_id": "note-1", "type": "Noted", "expected_version": 0}
    assert (await api.post("/events", json=note)).status_code == 201
    assert (await api.post("/events", json=note)).status_code == 409
    foreign = await api.post("/events", json={"aggregate_id": "bank-ann", "type": "Deposited"})
    assert (foreign.status_code, foreign.json()["type"]) == (409, "urn:agora:problem:event-foreign")
    for body in ({}, {"aggregate_id": "a"}, {"aggregate_id": 1, "type": "T"}, note | {"colour": "red"}):
        assert (await api.post("/events", json=body)).status_code in (400, 422)
    assert event_sourcing_engine.log.last_position() == 2


async def test_aggregates_are_shown_now_and_as_they_were(api: httpx.AsyncClient) -> None:
    for number in range(3):
        await deposit(api, number)
    listed = (await api.get("/aggregates?prefix=bank-")).json()["aggregates"]
    assert [(one["aggregate_id"], one["domain"], one["version"]) for one in listed] == [
        ("bank-ann", "bank", 3)
    ]
    assert (await api.get("/aggregates/bank-ann")).json()["state"]["balance"] == 15
    assert (await api.get("/aggregates/bank-ann?version=2")).json()["state"]["balance"] == 10
    time = (await api.get("/events/1")).json()["time"]
    assert (await api.get(f"/aggregates/bank-ann?at={time}")).json()["state"]["balance"] == 5
    assert (await api.get("/aggregates/bank-ann?at=1")).status_code == 404
    assert (await api.get("/aggregates/bank-bob")).status_code == 404
    assert (await api.get("/aggregates/bank-ann?at=1&version=1")).status_code == 422
    assert (await api.get("/aggregates/bank-ann?at_least=9&timeout=0")).status_code == 503


async def test_a_query_waits_for_a_position_that_is_to_come(api: httpx.AsyncClient) -> None:
    waiting = asyncio.create_task(api.get("/aggregates/bank-ann?at_least=2&timeout=20"))
    for number in range(2):
        await deposit(api, number)
    assert (await waiting).json()["state"]["balance"] == 10


async def test_projections_are_paused_resumed_and_made_anew(api: httpx.AsyncClient) -> None:
    await deposit(api, 1)
    assert (await api.get("/projections/counts?at_least=1")).json()["position"] == 1
    assert (await api.post("/projections/counts/pause")).json()["state"] == "paused"
    await deposit(api, 2)
    behind = (await api.get("/projections/counts")).json()
    assert (behind["position"], behind["lag_events"]) == (1, 1)
    await api.post("/projections/counts/resume")
    assert (await api.get("/projections/counts?at_least=2")).json()["state"] == "live"
    rebuilt = await api.post("/projections/counts/rebuild")
    assert (rebuilt.status_code, rebuilt.headers["location"]) == (202, f"{PREFIX}/projections/counts")
    assert [one["name"] for one in (await api.get("/projections")).json()["projections"]] == ["counts"]
    assert (await api.get("/projections/none")).status_code == 404


async def test_dead_letters_are_listed_replayed_and_dropped(api: httpx.AsyncClient) -> None:
    await deposit(api, 1)
    for number in range(2):
        body = {"type": "Withdraw", "id": f"w{number}", "account": "ann", "cents": 1}
        await api.post("/commands", json=body)
    while len(letters := (await api.get("/dead-letters?handler=mails")).json()["dead_letters"]) < 2:
        await asyncio.sleep(0)
    assert [letter["position"] for letter in letters] == [2, 3]
    assert letters[0]["error"] == "RuntimeError: the mail server is away"
    broken["on"] = False
    replayed = await api.post(f"/dead-letters/{letters[0]['id']}/replay")
    assert replayed.status_code == 202
    while len(left := (await api.get("/dead-letters")).json()["dead_letters"]) > 1:
        await asyncio.sleep(0)
    assert left[0]["position"] == 3
    assert (await api.delete(f"/dead-letters/{left[0]['id']}")).status_code == 204
    assert (await api.delete(f"/dead-letters/{left[0]['id']}")).status_code == 404
    assert (await api.get("/dead-letters")).json() == {"dead_letters": []}
    assert (await api.post("/dead-letters/replay?handler=mails")).json() == {"asked": 0}


async def test_handlers_and_processes_show_where_they_are(api: httpx.AsyncClient) -> None:
    assert [one["name"] for one in (await api.get("/handlers")).json()["handlers"]] == ["mails"]
    await api.post("/handlers/mails/pause")
    assert (await api.get("/handlers/mails")).json()["state"] == "paused"
    await api.post("/handlers/mails/resume")
    assert (await api.get("/processes")).json() == {"processes": []}
    assert (await api.get("/processes/none")).status_code == 404


async def test_status_and_dashboard_tell_what_runs(api: httpx.AsyncClient) -> None:
    await deposit(api, 1)
    status = (await api.get("/status")).json()
    assert (status["running"], status["position"], status["domains"][0]["done"]) == (True, 1, 1)
    dashboard = (await api.get("/dashboard?events=1")).json()
    assert [event["position"] for event in dashboard["events"]] == [1]


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nothing", 404, "no-such-resource"),
        ("PUT", "/status", 405, "method-not-allowed"),
        ("GET", "/status?colour=red", 422, "query-invalid"),
        ("GET", "/events?limit=0", 422, "query-invalid"),
        ("GET", "/events?limit=99999", 422, "query-invalid"),
        ("GET", "/events?after=-1", 422, "query-invalid"),
        ("GET", "/events?after=1&after=2", 422, "query-invalid"),
        ("GET", "/events?since=yesterday", 422, "query-invalid"),
        ("GET", "/events/0", 404, "event-unknown"),
        ("GET", "/events/" + "9" * 30, 404, "event-unknown"),
        ("GET", "/stream?after=x", 422, "query-invalid"),
        ("POST", "/dead-letters/replay", 422, "query-invalid"),
        ("POST", "/dead-letters/mails:9/replay", 404, "dead-letter-unknown"),
        ("POST", "/projections/none/rebuild", 404, "name-unknown"),
    ],
)
async def test_tells_what_is_wrong(
    api: httpx.AsyncClient, method: str, path: str, status: int, slug: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:agora:problem:{slug}")


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"\xff", b'{"type": "Nothing", "id": "a"}', b"{}"])
@pytest.mark.parametrize("path", ["/commands", "/events"])
async def test_refuses_bodies_that_say_nothing(api: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await api.post(path, content=body)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert event_sourcing_engine.log.last_position() == 0


@pytest.mark.parametrize("path", ["/commands", "/events"])
async def test_refuses_bodies_over_the_limit(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.post(path, content=b'{"a": "' + b"a" * (1 << 20) + b'"}')
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:agora:problem:body-too-large")


async def test_without_a_log_it_says_that_nothing_runs() -> None:
    async with serving({"admin": {"token": TOKEN}}, system=True) as gateway:
        base, headers = f"http://127.0.0.1:{gateway.port}{PREFIX}", {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=base, headers=headers) as client:
            assert (await client.get("/status")).json()["running"] is False
            paths: list[Any] = [
                "/events",
                "/aggregates",
                "/projections",
                "/dead-letters",
                "/stream",
                "/dashboard",
            ]
            for path in paths:
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["type"]) == (
                    503,
                    "urn:agora:problem:event-sourcing-stopped",
                )
