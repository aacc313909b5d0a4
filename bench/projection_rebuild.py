"""Time rebuilding the market's tables from a log of real trades: ``python -m bench.projection_rebuild``.

A seeded mix of orders goes through the command bus into a log on disk; then each table is made anew by the
runner that does it in the gateway: read, decode, fold, a turn of the loop after each page. In positions of
the log a second, for each table alone; then for all of them at once, the positions counted once.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import uvloop

from bench.commands import furnish, timed
from bench.matching import commands_of, mixed
from core.event_log.log import EventLog
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.projection_runner import ProjectionRunner
from engines.market.views import View
from gateway.market.domain import MARKET
from gateway.market.projections import projections

COMMANDS = 60_000
CALLERS = 1_000  # that wait at the same time
ROUNDS = 5


async def rebuilt(runners: Iterable[ProjectionRunner[View]]) -> None:
    """Make tables anew, at the same time."""
    for runner in runners:
        runner.rebuild()
    while any(runner.status().rebuild is not None for runner in runners):
        await asyncio.sleep(0)
    for runner in runners:
        assert not runner.status().rebuild_error


async def rate(runners: list[ProjectionRunner[View]], events: int) -> float:
    """Return how many positions a second are gone through."""
    rates = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await rebuilt(runners)
        rates.append(events / (time.perf_counter() - begin))
    return median(rates)


async def run() -> dict[str, float]:
    """Return label to events a second."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        async with EventLog(directory) as log:
            bus = CommandBus(log, MARKET)
            await furnish(bus, 0)
            await timed(bus, CALLERS, commands_of(mixed(COMMANDS, 7)))
            await bus.close()
            events = log.last_position()
            runners = {projection.name: ProjectionRunner(log, projection) for projection in projections()}
            found = {f"view of {name}": await rate([runner], events) for name, runner in runners.items()}
            found["all views at once"] = await rate(list(runners.values()), events)
            return found | {"(events)": events}


def main() -> None:
    """Print the figures."""
    figures = uvloop.run(run())
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for label, value in figures.items():
        print(f"projection rebuild, {label:30} {value:12,.0f}")


if __name__ == "__main__":
    main()
