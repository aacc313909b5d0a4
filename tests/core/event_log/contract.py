"""What every event log must hold to, as a suite to inherit.

class TestMyLog(EventLogContract):
    @pytest.fixture
    async def log(self) -> AsyncIterator[EventLog]:     # a new one, without events
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from core._fast.envelope import Draft
from core._fast.event_append import ANY, EXISTS, NO_STREAM, Append, Query
from core.event_log.errors import ConditionFailed, EventIdConflict, LogClosed, VersionConflict
from core.event_log.filter import EVERYTHING, Filter
from core.event_log.log import EventLog, Page

PATIENCE = 30.0


def draft(kind: str = "Happened", *tags: str, time_ns: int | None = None) -> Draft:
    return Draft(kind, b"x", tags=tags, time_ns=time_ns)


def positions(page: Page) -> list[int]:
    return [event.position for event in page.events]


async def collect(log: EventLog, count: int, after: int = 0, where: Filter = EVERYTHING) -> list[int]:
    """Follow until so many events came."""
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        async for page in log.follow(after, where, limit=7):
            found += positions(page)
            if len(found) >= count:
                return found
    raise AssertionError("a follower ended")


EXPECTED = {  # expected, and whether a stream of no and one of two events are so
    "any": (ANY, True, True),
    "none": (NO_STREAM, True, False),
    "some": (EXISTS, False, True),
    "the last version": (2, False, True),
    "an old version": (1, False, False),
    "a version to come": (3, False, False),
}

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

UNREADY: dict[str, Callable[[], Append]] = {  # appends that are refused once stream "a" has two events
    "one stream of two": lambda: Append([("b", ANY, [draft()]), ("a", NO_STREAM, [draft()])]),
    "one that is only checked": lambda: Append([("b", ANY, [draft()])], checks=[("a", 1)]),
    "one without events": lambda: Append([("b", ANY, [draft()]), ("a", 1, [])]),
}


class EventLogContract:
    """Hold one kind of log to the contract of logs."""

    @pytest.fixture
    def log(self) -> EventLog:
        raise NotImplementedError("a suite that inherits this one opens a log of its kind")

    # -- appending -------------------------------------------------------------------------------------------

    async def test_returns_the_positions_of_what_was_appended(self, log: EventLog) -> None:
        first = await log.append("a", [draft(), draft()], NO_STREAM)
        second = await log.append_all([("a", 2, [draft()]), ("b", NO_STREAM, [draft()])])
        assert (first.first_position, first.last_position) == (1, 2)
        assert (second.last_position, second.versions) == (4, (3, 1))
        assert [event.version for event in log.read("a")] == [1, 2, 3]
        assert (log.head("a"), log.head("b"), log.last_position()) == (3, 1, 4)

    async def test_commits_in_the_order_of_submission(self, log: EventLog) -> None:
        waiting = [log.submit(Append([("a", number, [draft()])])) for number in range(500)]
        assert [(await future).last_position for future in waiting] == list(range(1, 501))

    async def test_answers_each_caller_of_a_batch_alone(self, log: EventLog) -> None:
        tries = [log.append("a", [draft()], NO_STREAM) for _ in range(50)]
        answers = await asyncio.gather(*tries, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, VersionConflict)]
        assert len(refused) == 49
        assert log.last_position() == 1

    async def test_keeps_an_append_whose_caller_went_away(self, log: EventLog) -> None:
        log.submit(Append([("a", NO_STREAM, [draft()])])).cancel()
        await log.append("b", [draft()])
        assert log.head("a") == 1

    @pytest.mark.parametrize("name", EXPECTED)
    async def test_holds_a_stream_to_what_is_expected(self, log: EventLog, name: str) -> None:
        expected, *accepted = EXPECTED[name]
        await log.append("two", [draft(), draft()])
        for stream, accepts in zip(("none", "two"), accepted, strict=True):
            head = log.head(stream)
            for append in (
                Append([(stream, expected, [])]),
                Append(checks=[(stream, expected)]),
                Append([(stream, expected, [draft()])]),
            ):
                [answer] = await asyncio.gather(log.submit(append), return_exceptions=True)
                assert isinstance(answer, VersionConflict) is not accepts
                if isinstance(answer, VersionConflict):
                    assert (answer.stream, answer.expected, answer.actual) == (stream, expected, head)
            assert log.head(stream) == head + accepts

    @pytest.mark.parametrize("name", UNREADY)
    async def test_appends_all_or_nothing(self, log: EventLog, name: str) -> None:
        await log.append("a", [draft(), draft()], state=[(b"k", b"before")])
        with pytest.raises(VersionConflict, match="a"):
            await log.submit(UNREADY[name]())
        with pytest.raises(VersionConflict):
            await log.append("a", [draft()], 1, state=[(b"k", b"after")])
        assert (log.head("a"), log.head("b"), log.last_position()) == (2, 0, 2)
        assert log.get_state(b"k") == b"before"
        assert (await log.append("b", [draft()])).first_position == 3

    @pytest.mark.parametrize(
        ("query", "last"),
        [
            ([("type:One",)], 3),
            ([("tag:x", "tag:y")], 2),
            ([("type:One", "tag:x")], 1),
            ([("type:One", "tag:y"), ("type:Two",)], 2),
            ([("type:Three",)], 0),
        ],
    )
    async def test_refuses_what_an_event_after_a_position_stands_against(
        self, log: EventLog, query: list[tuple[str, ...]], last: int
    ) -> None:
        await log.append("a", [draft("One", "x"), draft("Two", "x", "y"), draft("One")])
        for after in range(last):
            with pytest.raises(ConditionFailed) as refused:
                await log.append("b", [draft()], unless=Query(query), after=after)
            assert after < refused.value.position <= last
        assert log.head("b") == 0
        await log.append("b", [draft("Four")], unless=Query(query), after=last)
        assert log.head("b") == 1

    async def test_keeps_state_with_the_events(self, log: EventLog) -> None:
        await log.append("a", [draft()], state=[(b"k/1", b"v"), (b"k/2", b"w"), (b"l", b"x")])
        await log.append_all(state=[(b"k/1", None)])
        assert log.get_state(b"k/1") is None
        assert log.scan_state(b"k/") == [(b"k/2", b"w")]
        assert log.scan_state(b"", b"k/2") == [(b"l", b"x")]

    # -- appending again -------------------------------------------------------------------------------------

    async def test_appends_an_event_once_however_often_it_is_told(self, log: EventLog) -> None:
        drafts, other = [draft(), draft()], [draft()]
        writes = [("a", NO_STREAM, drafts), ("b", NO_STREAM, other)]
        first = await log.append_all(writes, state=[(b"k", b"1")])
        await log.append_all([("a", 2, [draft()])], state=[(b"k", b"2")])
        again = await asyncio.gather(*(log.append_all(writes, state=[(b"k", b"1")]) for _ in range(3)))
        assert not first.repeated
        for answer in again:
            assert answer.repeated
            assert (answer.first_position, answer.last_position, answer.versions) == (1, 3, (2, 1))
        assert log.last_position() == 4
        assert log.get_state(b"k") == b"2"

    async def test_appends_it_once_also_when_it_is_told_twice_at_once(self, log: EventLog) -> None:
        drafts = [draft()]
        answers = await asyncio.gather(*(log.append("a", drafts, NO_STREAM) for _ in range(5)))
        assert sorted(answer.repeated for answer in answers) == [False, True, True, True, True]
        assert log.last_position() == 1

    async def test_refuses_an_id_that_another_event_has(self, log: EventLog) -> None:
        used = draft()
        await log.append("a", [draft(), used])
        for stream, drafts in {
            "another stream": ("b", [used]),
            "beside a new event": ("a", [used, draft()]),
            "behind a new event": ("a", [draft(), used]),
            "another type": ("a", [Draft("Other", b"x", id=used.id)]),
        }.values():
            with pytest.raises(EventIdConflict) as refused:
                await log.append(stream, drafts)
            assert refused.value.position == 2
        assert log.last_position() == 2

    # -- reading ---------------------------------------------------------------------------------------------

    async def test_gives_back_what_was_appended(self, log: EventLog) -> None:
        made = Draft(
            "Ürgent",
            b"\x00\xff",
            schema_version=3,
            tags=("x", "ü"),
            actor="me",
            correlation_id=bytes(range(16)),
            causation_id=bytes(range(1, 17)),
            time_ns=77,
        )
        await log.append("ström", [made, draft()])
        one, other = log.read("ström")
        given = (
            "id",
            "type",
            "data",
            "codec",
            "schema_version",
            "tags",
            "actor",
            "correlation_id",
            "causation_id",
        )
        assert [getattr(one, name) for name in given] == [getattr(made, name) for name in given]
        assert (one.stream, one.version, one.position, one.time_ns) == ("ström", 1, 1, 77)
        assert other.time_ns > 77

    async def test_chains_each_event_to_the_one_before(self, log: EventLog) -> None:
        await asyncio.gather(*(log.append(stream, [draft(), draft()]) for stream in "abc"))
        events = log.read_all().events
        assert [event.position for event in events] == [1, 2, 3, 4, 5, 6]
        assert events[0].previous_hash == bytes(32)
        for before, event in pairwise(events):
            assert event.previous_hash == before.hash

    @pytest.mark.parametrize(
        ("options", "versions"),
        [
            ({}, [1, 2, 3, 4, 5]),
            ({"first": 3}, [3, 4, 5]),
            ({"first": 2, "limit": 2}, [2, 3]),
            ({"first": 6}, []),
            ({"backwards": True}, [5, 4, 3, 2, 1]),
            ({"backwards": True, "limit": 2}, [5, 4]),
            ({"backwards": True, "first": 3}, [3, 2, 1]),
        ],
    )
    async def test_reads_a_stream_from_a_version_both_ways(
        self, log: EventLog, options: dict[str, Any], versions: list[int]
    ) -> None:
        for _ in range(5):
            await log.append_all([("other", ANY, [draft()]), ("a", ANY, [draft()])])
        found = log.read("a", **options)
        assert [event.version for event in found] == versions
        assert [event.position for event in found] == [2 * version for version in versions]
        assert log.read("nobody", **options) == []

    @pytest.mark.parametrize("name", FILTERS)
    @pytest.mark.parametrize("limit", [1, 2, 1000])
    async def test_reads_what_a_filter_wants(self, log: EventLog, name: str, limit: int) -> None:
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

    # -- following -------------------------------------------------------------------------------------------

    async def test_follows_from_anywhere_what_is_there_and_what_comes(self, log: EventLog) -> None:
        for _ in range(20):
            await log.append("a", [draft()])
        followers = [asyncio.create_task(collect(log, 40 - after, after)) for after in (0, 7, 20, 33)]
        some = asyncio.create_task(collect(log, 2, 0, Filter(types=("Rare",))))
        for number in range(20):
            await log.append("b", [draft("Rare" if number in (5, 15) else "Happened")])
        for after, follower in zip((0, 7, 20, 33), followers, strict=True):
            assert await follower == list(range(after + 1, 41))
        assert await some == [26, 36]

    async def test_waits_for_what_is_beyond_a_position(self, log: EventLog) -> None:
        waiting = [asyncio.create_task(log.wait_beyond(position)) for position in (0, 1, 2)]
        await log.append("a", [draft(), draft()])
        async with asyncio.timeout(PATIENCE):
            assert [await waiting[0], await waiting[1]] == [2, 2]
        assert not waiting[2].done()
        await log.append("a", [draft()])
        async with asyncio.timeout(PATIENCE):
            assert await waiting[2] == 3
            assert await log.wait_beyond(2) == 3

    # -- closing ---------------------------------------------------------------------------------------------

    async def test_finishes_what_was_submitted_before_it_closes(self, log: EventLog) -> None:
        waiting = [log.submit(Append([("a", ANY, [draft()])])) for _ in range(100)]
        await log.close()
        await log.close()
        assert [future.result().last_position for future in waiting] == list(range(1, 101))
        with pytest.raises(LogClosed, match="is closed in this process"):
            log.submit(Append([("a", ANY, [draft()])]))

    async def test_tells_who_waits_that_it_is_closed(self, log: EventLog) -> None:
        following = asyncio.create_task(collect(log, 1))
        waiting = asyncio.create_task(log.wait_beyond(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await log.close()
        for task in (following, waiting):
            with pytest.raises(LogClosed):
                await task
