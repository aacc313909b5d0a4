"""Time order commands through the command bus, on a log on disk: ``python -m bench.commands [--json]``.

The market's mix of `bench.matching`, one market, durable: 64 callers that each wait for their answer, then
all at once in batches. A second line has a market with 10,000 orders in the book, whose snapshots are large.
Wall time, processor time of all threads, and the slowest in a hundred.
"""

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.matching import USERS, commands_of, mixed
from core.event_log.log import EventLog
from engines import market
from engines.event_sourcing.command_bus import CommandBus
from gateway.market.domain import MARKET

COMMANDS = 20_000
BOOK = 10_000  # orders that rest in the large book
CALLERS = 64


async def furnish(bus: CommandBus, resting: int) -> None:
    """Register users with money and shares; leave so many orders in the book, out of reach."""

    async def do(kind: str, id: str, **fields: Any) -> None:
        await bus.execute(market.make_command(market.COMMANDS[kind], id=id, **fields))

    async def add(user: str) -> None:
        await do("RegisterUser", f"r-{user}", user=user, name=user, email=f"{user}@example.test")
        await do("RequestDeposit", f"d-{user}", payment=user, user=user, amount=10**12)
        await do("ConfirmDeposit", f"c-{user}", payment=user)

    await asyncio.gather(*[add(f"u{number}") for number in range(USERS)])
    await do("CreateMarket", "m1", market="m", question="Which?", fee=100)
    await do("OpenMarket", "m2", market="m")
    await asyncio.gather(
        *[do("BuySets", f"s-{number}", market="m", user=f"u{number}", size=10**7) for number in range(USERS)]
    )
    chance = random.Random(5)
    places = [
        do(
            "PlaceOrder", f"far{number}", market="m", user=f"u{number % USERS}", side="buy",
            share="yes", price=chance.randint(1, 10), size=1,
        )
        for number in range(resting)
    ]  # fmt: skip
    await asyncio.gather(*places)


async def timed(bus: CommandBus, callers: int, commands: list[market.Command]) -> dict[str, float]:
    """Return the microseconds an order of wall and processor time, and the slowest of a hundred in ms."""
    waits: list[float] = []
    queue = iter(commands)

    async def call() -> None:
        for command in queue:
            begin = time.perf_counter()
            with contextlib.suppress(market.MarketError):  # what is to be cancelled may be gone already
                await bus.execute(command)
            waits.append(time.perf_counter() - begin)

    begin, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*[call() for _ in range(callers)])
    wall, spent = time.perf_counter() - begin, time.process_time() - spent
    waits.sort()
    return {
        "wall us": 1e6 * wall / len(waits),
        "cpu us": 1e6 * spent / len(waits),
        "p99 ms": 1e3 * waits[len(waits) * 99 // 100],
    }


async def run() -> dict[str, dict[str, float]]:
    """Return label to figures."""
    found: dict[str, dict[str, float]] = {}
    commands = commands_of(mixed(COMMANDS, 7))
    for label, callers, resting in (
        (f"{CALLERS} callers", CALLERS, 0),
        ("1,000 callers", 1_000, 0),
        (f"{CALLERS} callers, {BOOK:,} orders in the book", CALLERS, BOOK),
    ):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
            async with EventLog(directory) as log:
                bus = CommandBus(log, MARKET)
                await furnish(bus, resting)
                found[label] = await timed(bus, callers, commands)
                await bus.close()
    return found


def main() -> None:
    """Print the figures."""
    figures = uvloop.run(run())
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for label, told in figures.items():
        row = "  ".join(f"{value:8.1f} {name}" for name, value in told.items())
        print(f"order command, {label:40} {row}")


if __name__ == "__main__":
    main()
