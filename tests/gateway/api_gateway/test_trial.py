"""A described request goes through the gateway as any other, and everything that met it is told."""

from __future__ import annotations

from typing import Any

import pytest

from core.exchange import Exchange, Response
from core.plugin import Plugin
from tests.gateway.api_gateway.asking import HELLO, api_served, body_of
from tests.harness import HELLO as ANSWER
from tests.harness import Origin, Recorder, answering

HERE = "tests.gateway.api_gateway.test_trial"


class Waiting(Plugin):
    """Waits, in a coroutine that a plain method returns."""

    def request(self, exchange: Exchange) -> Any:
        return self.later(exchange)

    async def later(self, exchange: Exchange) -> Response | None:
        return Response(418, [], b"short and stout") if exchange.request.query == "teapot" else None

    async def forward(self, exchange: Exchange) -> None:
        exchange.request.headers.set(b"x-waited", b"yes")


class Failing(Plugin):
    """Fails."""

    def response(self, exchange: Exchange) -> None:
        raise RuntimeError("out of order")


def proxied(origin: Origin, *plugins: dict[str, Any]) -> dict[str, Any]:
    return {
        "upstream": [{"name": "u", "targets": [origin.url]}],
        "route": [{"name": "r", "path": "/r/{id}", "upstream": "u", "plugin": list(plugins)}],
        "plugin": [{"use": "request-id"}],
    }


async def test_a_request_is_sent_and_traced() -> None:
    limit = {"use": "rate-limit", "limit": "1/day"}
    async with Recorder() as origin, api_served(**proxied(origin, limit)) as (api, _):
        wish = {"method": "POST", "url": "/r/7?a=b", "headers": {"x-mine": "1"}, "body": "hello there"}
        told = (await api.post("/requests", json=wish)).json()
        [received] = origin.requests
        assert received.head.startswith(b"POST /r/7?a=b HTTP/1.1\r\n")
        assert bytes(received.body) == b"hello there"
        assert received.header(b"x-mine") == b"1"
        assert (told["route"], told["parameters"], told["target"]) == ("r", {"id": "7"}, "u")
        assert (told["response"]["status"], told["response"]["body"]) == (200, "hello")
        assert (told["server"], told["retries"], told["problem"]) == (origin.url, 0, None)
        assert 0 < told["target_milliseconds"] <= told["milliseconds"]
        phases = [(step["phase"], step["plugin"]) for step in told["steps"]]
        assert ("request", "rate-limit") in phases
        assert phases[0][1] == "request-id"
        assert all(step["microseconds"] > 0 for step in told["steps"])
        assert told["search"]
        again = (await api.post("/requests", json=wish)).json()
        assert again["response"]["status"] == 429
        [decided] = [one for one in again["steps"] if one["plugin"] == "rate-limit" and "decision" in one]
        assert decided["decision"] == "answered 429"
        assert len(origin.requests) == 1


async def test_a_dry_run_stops_before_the_upstream() -> None:
    async with Recorder() as origin, api_served(**proxied(origin, {"use": f"{HERE}:Waiting"})) as (api, _):
        wish = {"url": "http://shop.test/r/7", "dry_run": True}
        told = (await api.post("/requests", json=wish)).json()
        assert (told["response"], told["server"], origin.requests) == (None, None, [])
        assert (told["forwarded"]["path"], told["forwarded"]["host"]) == ("/r/7", "shop.test")
        assert ["x-waited", "yes"] in told["forwarded"]["headers"]
        own = [step for step in told["steps"] if step["plugin"].endswith("Waiting")]
        waited = [(step["phase"], step["waited"]) for step in own]
        assert waited == [("request", True), ("forward", True)]
        stopped = (await api.post("/requests", json=wish | {"url": "/r/7?teapot"})).json()
        assert (stopped["response"]["status"], stopped["forwarded"]) == (418, None)


async def test_a_plugin_that_fails_is_told() -> None:
    async with Origin(answering(ANSWER)) as origin:
        async with api_served(**proxied(origin, {"use": f"{HERE}:Failing"})) as (api, _):
            told = (await api.post("/requests", json={"url": "/r/7"})).json()
            assert told["response"]["status"] == 500
            assert "failed: RuntimeError: out of order" in [step.get("decision") for step in told["steps"]]


async def test_what_no_route_takes_is_told() -> None:
    async with api_served(route=[HELLO]) as (api, gateway):
        told = (await api.post("/requests", json={"url": "/nowhere"})).json()
        assert (told["route"], told["response"]["status"], told["target"]) == ("", 404, "")
        assert await body_of(gateway, "/hello") == (200, b"hello")


@pytest.mark.parametrize(
    "wish",
    [
        {"url": "nowhere"},
        {"url": "/a b"},
        {"method": "G ET"},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"a b": "c"}},
        {"headers": {"content-length": "ten"}},
        {"body": "a", "body_base64": "Yg=="},
        {"body_base64": "not base64"},
        {"client": "nobody"},
        {"urls": "/"},
    ],
)
async def test_what_is_no_request_is_refused(wish: dict[str, Any]) -> None:
    async with api_served(route=[HELLO]) as (api, _):
        answer = await api.post("/requests", json=wish)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"]
