"""Drive settlements: after a market is resolved or voided, pay its holders batch after batch.

The rule it guards: every step is a command whose id follows from the event that called for it, so that a
handler which is run again after a crash repeats what was done and goes on from there. When a resolution is
taken back meanwhile, the market refuses the next batch; the event that took it back drives the way back.
"""

from __future__ import annotations

import logging

from core.event_log.filter import Filter
from engines import market
from engines.event_sourcing import Event, EventSourcingEngine, Handler
from engines.market.errors import MarketStatusWrong
from gateway.market.domain import MARKET

log = logging.getLogger("agora.market")
STREAM = "market-"


class Settlement:
    """Send the commands that a market's end calls for."""

    def __init__(self, engine: EventSourcingEngine) -> None:
        self._engine = engine

    async def handle(self, event: Event) -> None:
        """Pay out, or take back, until nothing is left to do."""
        name = event.aggregate_id.removeprefix(STREAM)
        try:
            if event.type == "MarketUnresolved":
                await self._take_back(name, event.position)
            else:
                await self._pay_out(name, event.position)
        except MarketStatusWrong as overtaken:
            log.info("the settlement of market %s was overtaken: %s", name, overtaken)

    async def _pay_out(self, name: str, cause: int) -> None:
        number = 0
        while (await self._do("SweepOrders", name, cause, number)).rest:
            number += 1
        await self._do("StartSettlement", name, cause)
        number = 0
        while (await self._do("SettleBatch", name, cause, number)).status != "settled":
            number += 1

    async def _take_back(self, name: str, cause: int) -> None:
        number = 0
        while (await self._do("ReverseBatch", name, cause, number)).status == "reversing":
            number += 1

    async def _do(self, kind: str, name: str, cause: int, number: int = 0) -> market.Receipt:
        id = f"settlement-{cause}-{kind}-{number}"
        command = market.make_command(market.COMMANDS[kind], id=id, market=name)
        receipt: market.Receipt = (await self._engine.bus(MARKET.name).execute(command)).receipt
        return receipt


def settlement_handler(engine: EventSourcingEngine) -> Handler:
    """Return the handler that drives settlements on an engine."""
    return Handler(
        name="settlement",
        handle=Settlement(engine).handle,
        where=Filter(types=("MarketResolved", "MarketVoided", "MarketUnresolved"), streams=(STREAM,)),
        seconds=600.0,
    )
