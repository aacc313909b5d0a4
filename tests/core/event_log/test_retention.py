"""Retention: old segments go whole, and everything that stays goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from core._fast.envelope import Draft
from core._fast.event_append import Append
from core._fast.event_store import DAY_NS, EventStore
from core.event_log.retention import drop_old, forget_state, old_segments
from core.event_log.verification import verify

START = 20_000 * DAY_NS


def write(store: EventStore, day: int, stream: str = "s") -> None:
    store.commit([Append([(stream, -1, [Draft("T", b"\xc0")])])], START + day * DAY_NS)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Make a log with a segment for each of ten days, an event in each."""
    with EventStore(str(tmp_path), segment_days=1, now_ns=START) as store:
        for day in range(10):
            write(store, day)
    return tmp_path


@pytest.mark.parametrize(
    ("days", "today", "left"),
    [
        (365, 10, 10),
        (365, 365, 10),
        (365, 366, 9),
        (365, 370, 5),
        (1, 10, 1),
        (2, 10, 2),
        (1, 9000, 1),
        (7, 12, 5),
    ],
)
def test_drops_the_segments_that_ended_long_enough_ago(log: Path, days: int, today: int, left: int) -> None:
    with EventStore(str(log), segment_days=1) as store:
        now_ns = START + today * DAY_NS
        planned = old_segments(store, days, now_ns)
        dropped = drop_old(store, days, now_ns)
        assert dropped == planned
        assert [part.number for part in dropped] == list(range(1, 11 - left))
        assert [event.position for event in store.read()] == list(range(11 - left, 11))
        assert drop_old(store, days, now_ns) == []
    assert verify(log).findings == ()


def test_streams_and_positions_go_on_where_they_were(log: Path) -> None:
    with EventStore(str(log), segment_days=1) as store:
        write(store, 9, "other")
        drop_old(store, 1, START + 100 * DAY_NS)
        write(store, 100)
        last = store.read(12)[0]
        assert (last.position, last.version) == (12, 11)
    assert verify(log).findings == ()


def test_keeps_a_year_by_default(log: Path) -> None:
    with EventStore(str(log), segment_days=1) as store:
        assert len(drop_old(store, now_ns=START + 370 * DAY_NS)) == 5


def test_keeps_a_day_at_least(log: Path) -> None:
    with EventStore(str(log)) as store, pytest.raises(ValueError, match="1 day"):
        drop_old(store, 0)


def test_forgets_the_values_that_are_old(tmp_path: Path) -> None:
    with EventStore(str(tmp_path)) as store:
        state = [(b"command/%03d" % number, b"%d" % number) for number in range(100)]
        store.commit([Append(state=[*state, (b"commander", b"0"), (b"a", b"0")])])
        asked: list[bytes] = []

        def is_old(key: bytes, value: bytes) -> bool:
            asked.append(key)
            return int(value) % 3 == 0

        assert forget_state(store, b"command/", is_old, at_once=7) == 34
        assert asked == [key for key, _ in state]
        kept = [key for key, _ in store.scan_state()]
        assert kept == [b"a", *(key for key, value in state if int(value) % 3), b"commander"]
        assert forget_state(store, b"command/", lambda key, value: False) == 0
