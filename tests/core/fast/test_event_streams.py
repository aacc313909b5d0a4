"""Long streams, interleaved over several segments: read from any version, up and down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from core._fast.envelope import BYTES, Draft, Event
from core._fast.event_append import ANY, Append
from core._fast.event_store import DAY_NS, EventStore
from core.event_log.errors import LogUnreadable

NAMES = ("a", "b", "c")
DAYS = 4


def drafts(count: int) -> list[Draft]:
    return [Draft("T", b"", codec=BYTES) for _ in range(count)]


def fill(store: EventStore) -> None:
    """Append 1,200 events to three streams in stretches of many lengths, some of them many to a commit."""
    rng = random.Random(3)
    for day in range(DAYS):
        for _ in range(30):
            writes = [
                (
                    rng.choice(NAMES),
                    ANY,
                    [Draft("T", b"", codec=BYTES) for _ in range(rng.choice((1, 1, 2, 15)))],
                )
                for _ in range(2)
            ]
            store.commit([Append(writes)], day * DAY_NS)
    store.commit([Append([("late", ANY, drafts(1))])], DAYS * DAY_NS)


@pytest.fixture(params=[0, 1, 3], ids=["whole", "one dropped", "three dropped"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EventStore]:
    with EventStore(str(tmp_path), segment_days=1, now_ns=0) as store:
        fill(store)
        for number in range(1, request.param + 1):
            assert store.drop_segment(number)
        yield store


def places(events: list[Event]) -> list[tuple[int, int]]:
    return [(event.version, event.position) for event in events]


def test_reads_a_stream_from_any_version_up_and_down(store: EventStore) -> None:
    kept = store.read(limit=10_000)
    for name in NAMES:
        own = places([event for event in kept if event.stream == name])
        head = store.head(name)
        assert own[-1][0] == head > 300
        for version in range(head + 2):
            above = [place for place in own if place[0] >= version]
            below = [place for place in reversed(own) if place[0] <= version]
            for limit in (1, 3, 200):
                assert places(store.read_stream(name, version, limit)) == above[:limit]
                assert places(store.read_stream(name, version, limit, backwards=True)) == below[:limit]


def test_a_stream_whose_events_were_all_dropped_goes_on_at_its_version(tmp_path: Path) -> None:
    with EventStore(str(tmp_path), segment_days=1, now_ns=0) as store:
        store.commit([Append([("a", ANY, drafts(130))])], 0)
        store.commit([Append([("b", ANY, drafts(1))])], DAY_NS)
        store.commit([Append([("b", ANY, drafts(1))])], DAY_NS)
        assert store.drop_segment(1)
        assert store.head("a") == 130
        assert store.read_stream("a") == store.read_stream("a", 130, backwards=True) == []
        store.commit([Append([("a", 130, drafts(1))])], DAY_NS)
        assert [event.version for event in store.read_stream("a")] == [131]
        assert store.read_stream("a")[0].previous_position == 130


def test_each_event_names_the_one_before_it_in_its_stream(store: EventStore) -> None:
    first, last = store.segments()[0].first_position, dict.fromkeys((*NAMES, "late"), 0)
    for event in store.read(limit=10_000):
        assert event.previous_position == last[event.stream] or (
            last[event.stream] == 0 and 0 < event.previous_position < first
        )
        last[event.stream] = event.position


def test_an_event_that_stands_in_another_stream_is_damage(tmp_path: Path) -> None:
    with EventStore(str(tmp_path), now_ns=0) as store:
        for name in ("a", "b", "a"):
            store.commit([Append([(name, ANY, drafts(1))])], 0)
    with lmdb.open(str(tmp_path), max_dbs=64) as environment, environment.begin(write=True) as transaction:
        events = environment.open_db(b"e.00000001", transaction)
        record = bytearray(transaction.get((3).to_bytes(8, "big"), b"", db=events))
        record[112] = 3  # its own position
        transaction.put((3).to_bytes(8, "big"), bytes(record), db=events)
    with EventStore(str(tmp_path)) as store, pytest.raises(LogUnreadable):
        store.read_stream("a")
