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
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import uvloop

from bench.commands import DOMAIN, furnish, timed
from bench.matching import commands_of, mixed
from core._fast.envelope import Event
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.projection import Projection, fold_by_type
from engines.event_sourcing.projection_runner import ProjectionRunner
from engines.market import Fact, decode_event
from engines.market.views import VIEWS, View, view_image, view_of_image

COMMANDS = 60_000
CALLERS = 1_000  # that wait at the same time
ROUNDS = 5


def projection_of(name: str, kind: type[View], decode: Callable[[Event], Fact]) -> Projection[View]:
    """Return the projection of one of the market's tables."""
    return Projection(
        name=name,
        schema="1",
        make=kind,
        fold=fold_by_type({fact.__name__: fold for fact, fold in kind.folds.items()}, decode),
        image=lambda table: [view_image(table)],
        restore=lambda pieces: view_of_image(kind, b"".join(pieces)),
        where=Filter(types=kind.event_types()),
    )


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
            bus = CommandBus(log, DOMAIN)
            await furnish(bus, 0)
            await timed(bus, CALLERS, commands_of(mixed(COMMANDS, 7)))
            await bus.close()
            events, reader = log.last_position(), EventReader()
            runners = {
                name: ProjectionRunner(
                    log, projection_of(name, kind, lambda event: decode_event(reader.data(event)))
                )
                for name, kind in VIEWS.items()
            }
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
