"""The circuit-breaker plugin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.breaker import State
from core.decode import ConfigInvalid
from core.exchange import Exchange, Response
from core.testing import PluginChain, exchange_for, site_for
from tests.harness import Client, Gateway, Origin, serving
from tests.plugins.make import plugin

BROKEN = Response(500, [], b"broken")
OPTIONS: dict[str, Any] = {"min_calls": 2, "open_for": "5s", "probes": 1}


def test_opens_after_failures_and_closes_after_a_probe() -> None:
    breaker = plugin("circuit-breaker", **OPTIONS)
    now = [100.0]
    breaker.clock = lambda: now[0]
    failing, working = PluginChain(breaker, answer=BROKEN), PluginChain(breaker)
    assert [failing.send().status for _ in range(3)] == [500, 500, 503]
    now[0] = 102.5
    refused = working.send()
    assert (refused.forwarded, refused.headers.get(b"retry-after")) == (None, b"3")
    assert json.loads(refused.body)["type"].endswith("circuit-open")
    assert refused.exchange.problem == "circuit-open"
    now[0] = 105
    assert working.send().status == 200
    assert breaker.breaker.state is State.CLOSED


def test_counts_states_transitions_and_refusals() -> None:
    breaker = plugin("circuit-breaker", site_for(route="counted"), **OPTIONS)
    chain = PluginChain(breaker, answer=BROKEN)
    for _ in range(4):
        chain.send()
    assert (breaker.state.value, breaker.to[State.OPEN].value) == (2, 1)
    assert breaker.refused["circuit-open"].value == 2


def test_refusals_of_other_plugins_are_no_failures_of_the_target() -> None:
    class Refuses:
        def request(self, exchange: Exchange) -> Response:
            return Response.refusal(503, "not-now", "Not now")

    breaker = plugin("circuit-breaker", **OPTIONS)
    chain = PluginChain(breaker, Refuses())
    assert [chain.send().exchange.problem for _ in range(5)] == ["not-now"] * 5
    assert (breaker.breaker.state, breaker.breaker.under_way) == (State.CLOSED, 0)


def test_refuses_more_than_may_be_under_way() -> None:
    breaker = plugin("circuit-breaker", max_concurrent=1)
    first, second = exchange_for(), exchange_for()
    assert breaker.request(first) is None
    assert breaker.request(second).problem == "circuit-full"
    breaker.log(second)
    breaker.log(first)
    assert breaker.request(second) is None


def test_a_reload_keeps_the_state_while_options_stay_the_same() -> None:
    site = site_for(route="kept")
    before = plugin("circuit-breaker", site, **OPTIONS)
    assert plugin("circuit-breaker", site, **OPTIONS).breaker is before.breaker
    assert plugin("circuit-breaker", site, **{**OPTIONS, "probes": 2}).breaker is not before.breaker


def test_routes_share_a_breaker_by_name() -> None:
    one = plugin("circuit-breaker", site_for(route="one"), shared="both")
    other = plugin("circuit-breaker", site_for(route="other"), shared="both")
    alone = plugin("circuit-breaker", site_for(route="other"))
    assert one.breaker is other.breaker is not alone.breaker


def test_refuses_times_out_of_bounds() -> None:
    with pytest.raises(ConfigInvalid, match="window: is out of bounds"):
        plugin("circuit-breaker", window=0)


async def cut(client: Client) -> None:
    await client.request()
    client.abort()


def config(origin: Origin) -> dict[str, Any]:
    return {
        "upstream": [{"name": "u", "targets": [origin.url]}],
        "plugin": [{"use": "circuit-breaker", **OPTIONS, "open_for": "1h"}],
        "route": [{"name": "up", "path": "/", "upstream": "u"}],
    }


async def ask(gateway: Gateway, *fields: str) -> int:
    head = "\r\n".join(["POST / HTTP/1.1", "Host: a", "Content-Length: 0", *fields, "", ""])
    return (await gateway.ask(head.encode())).status


async def test_served_a_target_that_cuts_connections_is_left_alone_also_after_a_reload() -> None:
    async with Origin(cut) as origin, serving(config(origin)) as gateway:
        assert [await ask(gateway) for _ in range(3)] == [502, 502, 503]
        await gateway.plane.swap(gateway.plane.config)
        assert await ask(gateway) == 503
        assert gateway.count("agora_circuit_state") == 2


async def test_served_a_websocket_is_refused_at_its_handshake() -> None:
    async with Origin(cut) as origin, serving(config(origin)) as gateway:
        assert [await ask(gateway) for _ in range(2)] == [502, 502]
        handshake = (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await gateway.ask(handshake)).status == 503
