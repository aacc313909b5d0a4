"""The synchronous event store: appending and reading back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import core._fast.event_store
from core._fast.envelope import Draft
from core._fast.event_append import ANY, EXISTS, NO_STREAM, Append, Appended, Query
from core._fast.event_store import EventStore
from core.event_log.errors import ConditionFailed, EventLogError, VersionConflict
from tests.core.fast.event_peer import Peer
from tests.oracles.event_log import Plain

READER = """
import lmdb, os, signal, sys
environment = lmdb.open(sys.argv[1], max_dbs=64, readonly=True)
transaction = environment.begin()
transaction.stat()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(str(tmp_path / "log"), map_size=1 << 24) as opened:
        yield opened


def test_is_the_compiled_module() -> None:
    assert core._fast.event_store.__file__.endswith(".so")


def append(store: EventStore, stream: str, *types: str, expected: int = ANY) -> Appended | EventLogError:
    return store.commit([Append([(stream, expected, [Draft(type, type.encode()) for type in types])])])[0]


def test_gives_positions_over_the_log_and_versions_in_the_stream(store: EventStore) -> None:
    append(store, "a", "One", "Two")
    append(store, "b", "Three")
    done = append(store, "a", "Four")
    assert isinstance(done, Appended)
    assert (done.first_position, done.last_position, done.versions) == (4, 4, (3,))
    assert [(event.position, event.stream, event.version, event.type) for event in store.read()] == [
        (1, "a", 1, "One"),
        (2, "a", 2, "Two"),
        (3, "b", 1, "Three"),
        (4, "a", 3, "Four"),
    ]
    assert store.last_position() == 4
    assert [store.head(stream) for stream in ("a", "b", "c")] == [3, 1, 0]


@pytest.mark.parametrize(
    ("expected", "accepted_without", "accepted_at_two"),
    [(ANY, True, True), (NO_STREAM, True, False), (EXISTS, False, True), (2, False, True), (1, False, False)],
)
def test_holds_a_stream_to_the_version_that_is_expected(
    store: EventStore, expected: int, accepted_without: bool, accepted_at_two: bool
) -> None:
    append(store, "two", "One", "Two")
    for stream, accepted in (("none", accepted_without), ("two", accepted_at_two)):
        done = append(store, stream, "Next", expected=expected)
        assert isinstance(done, Appended if accepted else VersionConflict)


def test_refuses_an_append_when_a_later_event_matches_its_condition(store: EventStore) -> None:
    append(store, "a", "One", "Two")
    for after, accepted in ((0, False), (1, False), (2, True)):
        [done] = store.commit([Append(unless=Query([["type:Two"]]), after=after)])
        assert isinstance(done, Appended if accepted else ConditionFailed)


def test_sees_what_another_process_wrote_after_a_commit_that_changed_nothing(store: EventStore) -> None:
    append(store, "a", "One")
    store.commit([Append(state=[(b"none", None)])])
    with Peer() as other:
        theirs: Plain = {
            "writes": [["a", 1, [["Two", [], "0f" * 16, ""]]]],
            "checks": [],
            "unless": None,
            "after": 0,
            "state": [],
        }
        assert other.commit(store.path, [theirs], 0) == [("appended", 2, 2, [2], False)]
    done = append(store, "a", "Three", expected=2)
    assert isinstance(done, Appended)
    assert [event.version for event in store.read_stream("a")] == [1, 2, 3]


def test_scans_as_much_as_it_is_told_to(store: EventStore) -> None:
    values = [(b"k/%d" % number, bytes(600_000)) for number in range(5)]
    store.commit([Append(state=values)])
    assert len(store.scan_state(b"k/")) == 1
    assert store.scan_state(b"k/", max_bytes=1 << 30) == values


def test_lets_go_of_what_a_killed_reader_held(store: EventStore) -> None:
    assert subprocess.run([sys.executable, "-c", READER, store.path], check=False).returncode == -9

    def grown() -> int:
        before = store.map_size()[1]
        for number in range(60):
            store.commit([Append(state=[(b"k", b"%d" % number * 5_000)])])
        return store.map_size()[1] - before

    grown()
    assert grown() > 100_000
    assert store.release_dead_readers() == 1
    grown()
    assert grown() == 0
    assert store.release_dead_readers() == 0
