"""What runs is told as it is: targets and their drains, plugins, the log of requests, the dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.api_gateway.asking import HELLO, api_served, body_of
from tests.harness import Recorder, upstream

LOGGED: dict[str, Any] = {"plugin": [{"use": "request-log"}], "route": [HELLO]}


async def test_a_drained_target_takes_no_more_exchanges_also_after_a_restart(tmp_path: Path) -> None:
    async with Recorder() as one, Recorder() as two:
        place = one.url.removeprefix("http://")
        config = {"server": {"data_dir": str(tmp_path)}, **upstream(one, two)}
        async with api_served(**config) as (api, _):
            shown = (await api.post(f"/targets/u/{place}/drain")).json()
            assert (shown["url"], shown["state"]) == (one.url, "drained")
        async with api_served(**config) as (api, gateway):
            health = (await api.get("/health")).json()["upstreams"]
            assert [(found["name"], found["available"]) for found in health] == [("u", 1)]
            before = len(one.requests)
            for _ in range(4):
                assert await body_of(gateway, "/") == (200, b"hello")
            assert (len(one.requests), len(two.requests)) == (before, 4)
            assert (await api.delete(f"/targets/u/{place}/drain")).json()["state"] == "available"
            for _ in range(2):
                await body_of(gateway, "/")
            assert len(one.requests) == before + 1
            assert (await api.post("/targets/u/nowhere:9/drain")).status_code == 404
            assert (await api.get("/targets", params={"upstream": "v"})).status_code == 404
            assert len((await api.get("/targets")).json()["targets"]) == 2


async def test_plugins_are_told_with_the_schema_of_their_options() -> None:
    async with api_served() as (api, _):
        plugins = (await api.get("/plugins")).json()["plugins"]
        assert "rate-limit" in [found["use"] for found in plugins]
        schema = (await api.get("/plugins/rate-limit")).json()["schema"]
        assert schema["required"] == ["limit"]
        assert "did you mean 'rate-limit'" in (await api.get("/plugins/rate-limi")).json()["detail"]


async def test_the_log_of_requests_is_filtered_and_paged() -> None:
    async with api_served(**LOGGED) as (api, gateway):
        for path in ("/hello", "/nowhere", "/hello", "/hello"):
            await body_of(gateway, path)
        await logged(api, 3, {"route": "hello"})
        page = (await api.get("/requests", params={"route": "hello", "limit": 2})).json()
        rest = await api.get("/requests", params={"route": "hello", "before": page["next"]})
        sequences = [one["sequence"] for one in [*page["requests"], *rest.json()["requests"]]]
        assert len(sequences) == 3
        assert sequences == sorted(sequences, reverse=True)
        missing = (await api.get("/requests", params={"status": "4xx", "path": "/now"})).json()["requests"]
        assert [(one["path"], one["status"]) for one in missing] == [("/nowhere", 404)]
        assert (await api.get("/requests", params={"status": "many"})).status_code == 400


async def test_requests_are_followed_as_they_come() -> None:
    async with api_served(**LOGGED) as (api, gateway):
        await body_of(gateway, "/hello")
        await logged(api, 1, {"route": "hello"})
        async with api.stream("GET", "/requests/stream", params={"path": "/hel"}) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": requests follow"
            await body_of(gateway, "/hello")
            found = [await anext(lines) for _ in range(4)]
        assert found[2] == "event: request"
        assert json.loads(found[3].removeprefix("data: "))["path"] == "/hello"


async def logged(api: httpx.AsyncClient, count: int, params: dict[str, str]) -> None:
    """Wait until so many requests are in the log."""
    while len((await api.get("/requests", params=params)).json()["requests"]) < count:
        pass


async def test_the_dashboard_and_the_status_tell_what_there_is() -> None:
    async with api_served(route=[HELLO]) as (api, _):
        await api.post("/routes", json=HELLO | {"name": "more", "path": "/more"})
        dashboard = (await api.get("/dashboard")).json()
        assert [(one["name"], one["owner"]) for one in dashboard["routes"]] == [
            ("hello", "file"),
            ("more", "api"),
        ]
        assert len(dashboard["changes"]) == 2
        status = (await api.get("/status")).json()
        assert (status["control"], status["position"]) == ("running", dashboard["changes"][0]["position"])
        assert [route["name"] for route in status["routes"]] == ["hello", "more"]


@pytest.mark.parametrize("path", ["/nothing", "/routes/a/b"])
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with api_served() as (api, _):
        assert (await api.get(path)).status_code == 404
