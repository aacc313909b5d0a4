"""Tables that follow a real log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core._fast.envelope import Draft, Event
from core._fast.event_append import ANY, Append
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines import market
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.projection import Projection, ProjectionBehind, fold_by_type
from engines.event_sourcing.projection_runner import PAGE, ProjectionRunner
from engines.market.views import VIEWS, Portfolios, view_image, view_of_image
from gateway.market.domain import MARKET
from tests.engines.event_sourcing.manual_clock import ManualClock, eventually
from tests.engines.event_sourcing.market_commands import order
from tests.engines.event_sourcing.test_command_bus import furnish

PATIENCE = 30.0
Counts = Counter[str]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    async with EventLog(tmp_path / "log", map_size=1 << 26) as opened:
        yield opened


class Folding:
    """Count events by type; refuse some positions."""

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.seen = 0

    def fold(self, table: Counts, events: Iterable[Event]) -> None:
        for event in events:
            table[event.type] += 1
            self.seen += 1
            if event.position in self.refused:
                raise ValueError(f"no {event.position}")


def counting(folding: Folding, **changes: Any) -> Projection[Counts]:
    fields: dict[str, Any] = {
        "name": "counts",
        "schema": "1",
        "make": Counter,
        "fold": folding.fold,
        "image": lambda table: [msgspec.json.encode([key, count]) for key, count in table.items()],
        "restore": lambda pieces: Counter(dict(map(msgspec.json.decode, pieces))),
    }
    return Projection(**(fields | changes))


async def fill(log: EventLog, *types: str) -> int:
    last = 0
    for kind in types:
        last = (await log.append("s", [Draft(kind, b"x")])).last_position
    return last


async def caught_up(runner: ProjectionRunner[Any], log: EventLog) -> None:
    await runner.wait_for(log.last_position(), PATIENCE)


async def until(runner: ProjectionRunner[Any], state: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while runner.status().state != state:
            await asyncio.sleep(0)


async def test_catches_up_and_follows(log: EventLog) -> None:
    await fill(log, "A", "B", "A")
    runner = ProjectionRunner(log, counting(Folding()))
    runner.start()
    await caught_up(runner, log)
    last = await fill(log, "B", "C")
    await runner.wait_for(last, PATIENCE)
    assert runner.table == Counter({"A": 2, "B": 2, "C": 1})
    status = runner.status()
    assert (status.state, status.position, status.lag_events, status.lag_seconds) == ("live", last, 0, 0.0)
    await runner.stop()


async def test_goes_on_from_its_image(log: EventLog) -> None:
    await fill(log, "A", "B")
    first = ProjectionRunner(log, counting(Folding()))
    first.start()
    await caught_up(first, log)
    await first.stop()
    await fill(log, "A")
    folding = Folding()
    second = ProjectionRunner(log, counting(folding))
    second.start()
    await caught_up(second, log)
    assert (second.table, folding.seen) == (Counter({"A": 2, "B": 1}), 1)
    await second.stop()


@pytest.mark.parametrize("changes", [{"schema": "2"}, {"restore": lambda pieces: 1 / 0}])
async def test_leaves_an_image_aside_that_is_not_its_own(log: EventLog, changes: dict[str, Any]) -> None:
    await fill(log, "A", "B")
    first = ProjectionRunner(log, counting(Folding()))
    first.start()
    await caught_up(first, log)
    await first.stop()
    second = ProjectionRunner(log, counting(Folding(), **changes))
    second.start()
    await caught_up(second, log)
    assert second.table == Counter({"A": 1, "B": 1})
    await second.stop()


async def test_saves_nothing_where_it_may_not(log: EventLog) -> None:
    await fill(log, "A")
    runner = ProjectionRunner(log, counting(Folding()), saves=lambda: False)
    runner.start()
    await caught_up(runner, log)
    await runner.stop()
    assert log.scan_state(b"projection/") == []


async def test_stops_visibly_at_an_event_that_it_cannot_take(log: EventLog) -> None:
    await fill(log, "A", "B", "C", "A", "B")
    folding = Folding()
    folding.refused = {4}
    runner = ProjectionRunner(log, counting(folding))
    runner.start()
    await until(runner, "failed")
    status = runner.status()
    assert (status.position, status.failed_position, status.error) == (3, 4, "ValueError: no 4")
    assert runner.table == Counter("ABC")
    assert status.lag_events == 2
    with pytest.raises(ProjectionBehind, match="is failed at position 3, before 5"):
        await runner.wait_for(5, 0.0)
    folding.refused.clear()
    runner.start()
    await runner.wait_for(5, PATIENCE)
    assert runner.table == Counter("ABCAB")
    assert runner.status().error == ""
    await runner.stop()


async def test_parks_what_it_cannot_take_and_remembers_it(log: EventLog) -> None:
    await fill(log, "A", "B", "C", "A", "B")
    folding = Folding()
    folding.refused = {1, 4}
    runner = ProjectionRunner(log, counting(folding, poison="park"))
    runner.start()
    await caught_up(runner, log)
    assert runner.table == Counter("BCB")
    await runner.stop()
    again = ProjectionRunner(log, counting(folding, poison="park"))
    again.start()
    await fill(log, "A")
    await caught_up(again, log)
    assert again.table == Counter("BCBA")
    assert [(parked.position, parked.type) for parked in again.status().parked] == [(1, "A"), (4, "A")]
    await again.stop()


async def test_rests_while_it_is_paused(log: EventLog) -> None:
    runner = ProjectionRunner(log, counting(Folding()))
    runner.start()
    await fill(log, "A")
    await caught_up(runner, log)
    await runner.pause()
    await fill(log, "A")
    assert (runner.status().state, runner.table) == ("paused", Counter("A"))
    runner.start()
    await caught_up(runner, log)
    assert runner.table == Counter("AA")
    await runner.pause()
    runner.start()
    await until(runner, "live")
    await runner.stop()


async def test_is_there_as_soon_as_its_image_is(log: EventLog) -> None:
    await fill(log, "A")
    first = ProjectionRunner(log, counting(Folding()))
    first.start()
    await caught_up(first, log)
    await first.stop()
    second = ProjectionRunner(log, counting(Folding()))
    second.start()
    await second.wait_for(1, PATIENCE)
    assert second.status().state == "live"
    await second.stop()


async def test_serves_the_old_table_while_it_makes_a_new_one(log: EventLog) -> None:
    await log.append("s", [Draft("A", b"x") for _ in range(5_000)])
    folding = Folding()
    runner = ProjectionRunner(log, counting(folding))
    runner.start()
    await caught_up(runner, log)
    old = runner.table
    runner.rebuild()
    runner.rebuild()
    while runner.status().rebuild == 0:
        assert runner.table is old
        await asyncio.sleep(0)
    assert (runner.status().rebuild, runner.table is old) == (PAGE, True)
    await fill(log, "B")
    while runner.status().rebuild is not None:
        await asyncio.sleep(0)
    await caught_up(runner, log)
    assert runner.table is not old
    assert runner.table == Counter({"A": 5_000, "B": 1})
    await runner.stop()


async def test_keeps_the_old_table_if_a_new_one_cannot_be_made(log: EventLog) -> None:
    await fill(log, "A", "B")
    folding = Folding()
    runner = ProjectionRunner(log, counting(folding))
    runner.start()
    await caught_up(runner, log)
    folding.refused = {2}
    runner.rebuild()
    while runner.status().rebuild is not None:
        await asyncio.sleep(0)
    assert runner.status().rebuild_error == "after 0: ValueError: no 2"
    assert (runner.status().state, runner.table) == ("live", Counter("AB"))
    await runner.stop()


async def test_takes_only_what_its_filter_wants_and_still_arrives(log: EventLog) -> None:
    last = await fill(log, "A", "B", "A", "B")
    runner = ProjectionRunner(log, counting(Folding(), where=Filter(types=("A",))))
    runner.start()
    await runner.wait_for(last, PATIENCE)
    assert runner.table == Counter("AA")
    await runner.stop()


async def test_folds_the_markets_views(log: EventLog) -> None:
    folds = {kind.__name__: fold for kind, fold in Portfolios.folds.items()}
    portfolios: Projection[Portfolios] = Projection(
        name="portfolios",
        schema="1",
        make=VIEWS["portfolios"],  # type: ignore[arg-type]
        fold=fold_by_type(folds, lambda event: market.decode_event(event.data)),
        image=lambda view: [view_image(view)],
        restore=lambda pieces: view_of_image(Portfolios, pieces[0]),
    )
    runner = ProjectionRunner(log, portfolios)
    runner.start()
    bus = CommandBus(log, MARKET)
    await furnish(bus)
    await bus.execute(order("o1", "ann", price=40))
    met = await bus.execute(order("o2", "bob", share="no", price=60))
    await runner.wait_for(met.position, PATIENCE)
    expected = Portfolios()
    for event in log.store.read():
        expected.apply(market.decode_event(event.data))
    assert view_image(runner.table) == view_image(expected)
    await bus.close()
    await runner.stop()


async def test_saves_a_changed_table_some_seconds_later(log: EventLog) -> None:
    clock = ManualClock()
    runner = ProjectionRunner(log, counting(Folding()), clock=clock, save_seconds=30.0)
    runner.start()
    await fill(log, "A")
    await caught_up(runner, log)
    await clock.advance(29.0)
    assert runner.status().saved == 0
    await fill(log, "B")
    await caught_up(runner, log)
    await clock.advance(1.0)
    await eventually(lambda: runner.status().saved == 2)
    assert clock.waiting == []
    await fill(log, "A")
    await caught_up(runner, log)
    await clock.advance(30.0)
    await eventually(lambda: runner.status().saved == 3)
    second = ProjectionRunner(log, counting(folding := Folding()))
    second.start()
    await caught_up(second, log)
    assert (second.table, folding.seen) == (Counter({"A": 2, "B": 1}), 0)
    await second.stop()
    await runner.stop()


async def test_saves_by_time_once_it_may(log: EventLog) -> None:
    clock, may = ManualClock(), False
    runner = ProjectionRunner(log, counting(Folding()), clock=clock, saves=lambda: may, save_seconds=30.0)
    runner.start()
    await fill(log, "A")
    await caught_up(runner, log)
    await clock.advance(60.0)
    assert runner.status().saved == 0
    may = True
    await clock.advance(30.0)
    await eventually(lambda: runner.status().saved == 1)
    await runner.stop()


async def test_goes_on_if_its_image_cannot_be_saved_and_says_so(log: EventLog) -> None:
    broken = True

    def image(table: Counts) -> list[bytes]:
        if broken:
            raise ValueError("no image")
        return [msgspec.json.encode([key, count]) for key, count in table.items()]

    runner = ProjectionRunner(log, counting(Folding(), image=image), save_events=1)
    runner.start()
    await fill(log, "A", "B")
    await caught_up(runner, log)
    status = runner.status()
    assert (status.state, status.saved, status.save_error) == ("live", 0, "ValueError: no image")
    broken = False
    await fill(log, "C")
    await eventually(lambda: runner.status().saved == 3)
    assert (runner.table, runner.status().save_error) == (Counter("ABC"), "")
    await runner.stop()


async def test_folds_nothing_into_a_table_while_its_image_is_made(log: EventLog) -> None:
    pieces = [asyncio.Event() for _ in range(3)]

    def image(table: Counts) -> Iterable[bytes]:
        for made in pieces:
            made.set()
            yield msgspec.json.encode(["A", table["A"]])

    seen: list[bytes] = []

    def restore(found: list[bytes]) -> Counts:
        seen.extend(found)
        return Counter(dict(map(msgspec.json.decode, found)))

    definition = counting(Folding(), image=image, restore=restore)
    runner = ProjectionRunner(log, definition)
    runner.start()
    await fill(log, "A")
    await caught_up(runner, log)
    saving = asyncio.create_task(runner.save())
    await pieces[0].wait()
    log.store.commit([Append([("s", ANY, [Draft("A", b"x") for _ in range(3)])])])
    await saving
    await caught_up(runner, log)
    second = ProjectionRunner(log, definition)
    second.start()
    await caught_up(second, log)
    assert seen == [b'["A",1]'] * 3
    assert second.table == runner.table == Counter({"A": 4})
    await second.stop()
    await runner.stop()
