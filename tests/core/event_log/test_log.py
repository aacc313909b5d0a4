"""The event log under asyncio: group commit, pages, followers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core._fast.envelope import Draft
from core._fast.event_append import NO_STREAM, Append
from core.event_log.errors import LogClosed, LogMissing, LogUnwritable, VersionConflict
from core.event_log.filter import EVERYTHING, Filter
from core.event_log.log import EventLog, Page

ROOT = Path(__file__).parents[3]
PATIENCE = 30.0


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    async with EventLog(tmp_path / "log", map_size=1 << 24) as opened:
        yield opened


def draft(kind: str = "Happened", *tags: str, time_ns: int | None = None) -> Draft:
    return Draft(kind, b"x", tags=tags, time_ns=time_ns)


def positions(page: Page) -> list[int]:
    return [event.position for event in page.events]


async def test_returns_the_positions_of_what_was_appended(log: EventLog) -> None:
    first = await log.append("a", [draft(), draft()], NO_STREAM)
    second = await log.append_all([("a", 2, [draft()]), ("b", NO_STREAM, [draft()])])
    assert (first.first_position, first.last_position) == (1, 2)
    assert (second.last_position, second.versions) == (4, (3, 1))
    assert [event.version for event in log.read("a")] == [1, 2, 3]
    assert (log.head("a"), log.head("b"), log.last_position()) == (3, 1, 4)


async def test_commits_in_the_order_of_submission(log: EventLog) -> None:
    waiting = [log.submit(Append([("a", number, [draft()])])) for number in range(500)]
    assert [(await future).last_position for future in waiting] == list(range(1, 501))


async def test_answers_each_caller_of_a_batch_alone(log: EventLog) -> None:
    tries = [log.append("a", [draft()], NO_STREAM) for _ in range(50)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, VersionConflict)]
    assert len(refused) == 49
    assert log.last_position() == 1


async def test_keeps_an_append_whose_caller_went_away(log: EventLog) -> None:
    log.submit(Append([("a", NO_STREAM, [draft()])])).cancel()
    await log.append("b", [draft()])
    assert log.head("a") == 1


async def test_keeps_state_with_the_events(log: EventLog) -> None:
    await log.append("a", [draft()], state=[(b"k/1", b"v"), (b"k/2", b"w")])
    await log.append_all(state=[(b"k/1", None)])
    assert log.get_state(b"k/1") is None
    assert log.scan_state(b"k/") == [(b"k/2", b"w")]


async def test_finishes_what_was_submitted_before_it_closes(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    waiting = [log.submit(Append([("a", -1, [draft()])])) for _ in range(100)]
    await log.close()
    await log.close()
    assert all(future.done() for future in waiting)
    with pytest.raises(LogClosed, match="is closed in this process"):
        log.submit(Append([("a", -1, [draft()])]))
    async with EventLog(tmp_path / "log") as again:
        assert again.last_position() == 100


async def test_refuses_to_write_what_was_opened_for_reading(tmp_path: Path) -> None:
    with pytest.raises(LogMissing):
        EventLog(tmp_path / "log", read_only=True)
    await EventLog(tmp_path / "log").close()
    async with EventLog(tmp_path / "log", read_only=True) as log:
        with pytest.raises(LogUnwritable, match="opened for reading"):
            await log.append("a", [draft()])


FILTERS = {
    "everything": (EVERYTHING, [1, 2, 3, 4, 5, 6]),
    "a type": (Filter(types=("OrderPlaced",)), [1, 4]),
    "types with a prefix": (Filter(types=("Order",)), [1, 2, 4]),
    "one of two prefixes": (Filter(types=("OrderC", "User")), [2, 3]),
    "a type that never was": (Filter(types=("None",)), []),
    "a tag": (Filter(tags=("x",)), [1, 2, 5]),
    "all of two tags": (Filter(tags=("x", "y")), [2, 5]),
    "a type and a tag": (Filter(types=("Order",), tags=("y",)), [2]),
    "a stream's prefix": (Filter(streams=("account-",)), [3, 5]),
    "a type and a stream": (Filter(types=("Order",), streams=("market-2",)), [4]),
    "a time": (Filter(since_ns=30, until_ns=50), [3, 4]),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_reads_what_a_filter_wants(log: EventLog, name: str, limit: int) -> None:
    for stream, event in [
        ("market-1", draft("OrderPlaced", "x", time_ns=10)),
        ("market-1", draft("OrderCancelled", "x", "y", time_ns=20)),
        ("account-1", draft("UserRegistered", time_ns=30)),
        ("market-2", draft("OrderPlaced", time_ns=40)),
        ("account-2", draft("Paid", "y", "x", time_ns=50)),
        ("market-2", draft("Closed", time_ns=60)),
    ]:
        await log.append(stream, [event])
    where, expected = FILTERS[name]
    found: list[int] = []
    page = Page([], 0)
    while page.reached < log.last_position():
        page = log.read_all(page.reached, where, limit)
        assert len(page.events) <= limit
        assert all(where.takes(event) for event in page.events)
        found += positions(page)
    assert found == expected
    assert log.read_all(page.reached, where) == Page([], page.reached)


async def collect(log: EventLog, count: int, after: int = 0, where: Filter = EVERYTHING) -> list[int]:
    """Follow until so many events came."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        async for page in log.follow(after, where, limit=7):
            found += positions(page)
            if len(found) >= count:
                return found
    raise AssertionError("a follower ended")


async def test_follows_from_anywhere_what_is_there_and_what_comes(log: EventLog) -> None:
    for _ in range(20):
        await log.append("a", [draft()])
    followers = [asyncio.create_task(collect(log, 40 - after, after)) for after in (0, 7, 20, 33)]
    some = asyncio.create_task(collect(log, 2, 0, Filter(types=("Rare",))))
    for number in range(20):
        await log.append("b", [draft("Rare" if number in (5, 15) else "Happened")])
    for after, follower in zip((0, 7, 20, 33), followers, strict=True):
        assert await follower == list(range(after + 1, 41))
    assert await some == [26, 36]


async def test_follows_what_another_process_appends(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from core._fast.envelope import Draft
        from core.event_log.log import EventLog

        async def main() -> None:
            async with EventLog(sys.argv[1]) as log:
                for number in range(200):
                    await log.append("there", [Draft("Happened", b"x")])

        asyncio.run(main())
        """
    )
    async with EventLog(tmp_path / "log") as log:
        following = asyncio.create_task(collect(log, 300))
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path / "log"), cwd=ROOT, stderr=subprocess.PIPE
        )
        for _ in range(100):
            await log.append("here", [draft()])
        assert await following == list(range(1, 301))
        _, errors = await other.communicate()
        assert other.returncode == 0, errors.decode()
        assert (log.head("here"), log.head("there")) == (100, 200)


async def test_tells_who_waits_that_it_is_closed(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    following = asyncio.create_task(collect(log, 1))
    waiting = asyncio.create_task(log.wait_beyond(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await log.close()
    for task in (following, waiting):
        with pytest.raises(LogClosed):
            await task
