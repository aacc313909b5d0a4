"""The concurrency-limit plugin, with targets that answer when they are told to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.decode import ConfigInvalid
from core.exchange import Exchange, Response
from core.site import Site
from core.testing import PluginChain, Sent, site_for
from tests.plugins.make import plugin


class Held:
    """Holds exchanges until it is told to let them go; says by a header who they speak for."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.held = 0

    async def forward(self, exchange: Exchange) -> None:
        self.held += 1
        await self.go.wait()


class Consumer:
    """Says who a request speaks for, by a header."""

    def request(self, exchange: Exchange) -> None:
        name = exchange.request.headers.get(b"x-who")
        exchange.consumer = None if name is None else name.decode()


class Stage:
    """Sends requests that stay under way until `end`."""

    def __init__(self, *gates: Any) -> None:
        self.held = Held()
        self.chain = PluginChain(Consumer(), *gates, self.held)
        self.sent: list[asyncio.Task[Sent]] = []

    async def begin(self, count: int = 1, **parts: Any) -> list[int]:
        """Send so many; return the statuses of those that ended."""
        begun = [asyncio.create_task(self.chain.send_waiting(**parts)) for _ in range(count)]
        held = self.held.held
        while self.held.held + sum(task.done() for task in begun) < held + count:
            await asyncio.sleep(0)
        self.sent += begun
        return [task.result().status for task in begun if task.done()]

    async def end(self) -> list[int]:
        """Let all end; return their statuses."""
        self.held.go.set()
        statuses = [(await task).status for task in self.sent]
        self.held.go.clear()
        self.sent.clear()
        return statuses


def gate(site: Site | None = None, **options: Any) -> Any:
    return plugin("concurrency-limit", site, **options)


async def test_admits_so_many_at_once_and_more_when_they_have_ended() -> None:
    stage = Stage(gate(limit=2))
    assert await stage.begin(5) == [429] * 3
    assert sorted(await stage.end()) == [200, 200, 429, 429, 429]
    assert await stage.begin(3) == [429]
    await stage.end()


async def test_says_what_is_wrong_and_when_to_come_back() -> None:
    stage = Stage(gate(limit=1))
    await stage.begin()
    refused = await stage.chain.send_waiting()
    assert (refused.status, refused.headers.get(b"retry-after")) == (429, b"1")
    assert refused.exchange.problem == "too-many-at-once"
    assert refused.forwarded is None
    await stage.end()


async def test_clients_count_for_themselves() -> None:
    stage = Stage(gate(limit=1))
    assert await stage.begin(2, client="192.0.2.1") == [429]
    assert await stage.begin(2, client="192.0.2.2") == [429]
    await stage.end()


async def test_a_consumer_may_have_a_limit_of_its_own() -> None:
    stage = Stage(gate(limit=1, by="consumer", consumers={"alice": 3}))
    assert await stage.begin(4, headers={"x-who": "alice"}) == [429]
    assert await stage.begin(2, headers={"x-who": "bob"}) == [429]
    await stage.end()


async def test_who_cannot_be_told_may_go_unlimited() -> None:
    stage = Stage(gate(limit=1, by="consumer", missing="unlimited"))
    assert await stage.begin(3) == []
    await stage.end()


async def test_a_dry_run_lets_everything_through_and_counts_what_it_would_refuse() -> None:
    site = site_for(route="tried")
    dry = gate(site, limit=1, dry_run=True)
    counter = site.metrics.counter(
        "agora_concurrency_limit_over_total",
        "Requests over a limit of requests at once.",
        {"rule": "tried", "then": "admit"},
    )
    before = counter.value
    stage = Stage(dry)
    assert await stage.begin(4) == []
    assert await stage.end() == [200] * 4
    assert counter.value == before + 3


async def test_rules_of_one_name_count_together_and_a_reload_goes_on_counting() -> None:
    site = site_for(route="test")
    first, second = gate(site, limit=1, shared="both"), gate(site, limit=1, shared="both")
    stage, other = Stage(first), Stage(second)
    assert await stage.begin() == []
    assert await other.begin() == [429]
    await stage.end()
    assert await other.begin() == []
    await other.end()


async def test_what_another_plugin_refuses_is_not_under_way_any_more() -> None:
    class Refusing:
        def request(self, exchange: Exchange) -> Response:
            return Response(403)

    chain = PluginChain(gate(limit=1), Refusing())
    assert [chain.send().status for _ in range(3)] == [403] * 3


async def test_what_fails_is_not_under_way_any_more(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def request(self, exchange: Exchange) -> None:
            raise RuntimeError("broken")

    chain = PluginChain(gate(limit=1), Failing())
    assert [chain.send().status for _ in range(3)] == [500] * 3


async def test_remembers_nobody_who_has_nothing_under_way() -> None:
    limited = gate(limit=1)
    stage = Stage(limited)
    await stage.begin()
    assert len(limited._under_way) == 1
    await stage.end()
    assert limited._under_way == {}


@pytest.mark.parametrize("limit", [0, -1, "ten", 1_000_001])
def test_refuses_what_is_no_limit(limit: Any) -> None:
    with pytest.raises(ConfigInvalid, match="limit: "):
        gate(limit=limit)
