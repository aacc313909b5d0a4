"""The timeout plugin."""

from __future__ import annotations

import asyncio

import pytest

from core._fast.testing import pass_time
from core.decode import ConfigInvalid
from core.exchange import Exchange
from core.testing import PluginChain, exchange_for
from tests.plugins.make import plugin


def test_sets_what_is_configured_and_leaves_the_rest() -> None:
    exchange = exchange_for()
    exchange.idle_timeout = 7
    plugin("timeout", connect="250ms", first_byte=2, total="1m").request(exchange)
    assert (exchange.connect_timeout, exchange.first_byte_timeout) == (0.25, 2)
    assert (exchange.idle_timeout, exchange.total_timeout) == (7, 60)


def test_has_no_work_without_options() -> None:
    assert plugin("timeout").unused == {"request"}
    assert plugin("timeout", idle="1s").unused == frozenset()


async def test_the_whole_exchange_ends_when_its_time_is_up() -> None:
    begun: list[Exchange] = []

    class Waits:
        async def forward(self, exchange: Exchange) -> None:
            begun.append(exchange)
            await asyncio.Event().wait()

    chain = PluginChain(plugin("timeout", total="5s"), Waits())
    sending = asyncio.create_task(chain.send_waiting())
    while not begun:
        await asyncio.sleep(0)
    pass_time(begun[0], 4.9)
    assert begun[0].status == 0
    pass_time(begun[0], 5.1)
    sent = await sending
    assert (sent.status, sent.exchange.problem) == (504, "exchange-timeout")


@pytest.mark.parametrize("value", ["soon", -1, True])
def test_refuses_what_is_no_duration(value: object) -> None:
    with pytest.raises(ConfigInvalid, match="total: must be a duration"):
        plugin("timeout", total=value)
