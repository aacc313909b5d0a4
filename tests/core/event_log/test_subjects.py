"""Subjects: what is sealed is read with the key alone, and never again once that is erased."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core._fast.envelope import BYTES, ENCRYPTED, MSGPACK, Draft, Event
from core._fast.event_append import ANY, Append
from core._fast.event_store import EventStore
from core.event_log.errors import EventSealed, EventUndecodable, SubjectErased
from core.event_log.subjects import ERASED, MADE, PREFIX, Subjects, number_in, subject_number
from core.event_log.verification import verify

PLAIN = b"\x81\xa4name\xa3Ada"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(str(tmp_path)) as store:
        yield store


@pytest.fixture
def subjects(store: EventStore) -> Subjects:
    return Subjects(store)


def append(store: EventStore, stream: str, draft: Draft) -> Event:
    (done,) = store.commit([Append([(stream, ANY, [draft])])])
    assert not isinstance(done, Exception)
    return store.read(done.first_position, 1)[0]


def append_sealed(store: EventStore, subject: str = "user:7", stream: str = "user-7") -> Event:
    sealed = Subjects(store).seal(subject, stream, "Renamed", PLAIN)
    return append(store, stream, Draft("Renamed", sealed, codec=MSGPACK | ENCRYPTED))


def test_opens_what_it_sealed(store: EventStore, subjects: Subjects) -> None:
    event = append_sealed(store)
    assert event.sealed
    with pytest.raises(EventSealed):
        event.value()
    assert subjects.open(event).value() == {"name": "Ada"}
    assert subjects.open(event).codec == MSGPACK


def test_leaves_what_is_not_sealed_as_it_is(store: EventStore, subjects: Subjects) -> None:
    event = append(store, "a", Draft("T", PLAIN))
    assert subjects.open(event) is event


def test_nothing_of_the_data_or_the_subject_is_in_the_file(tmp_path: Path) -> None:
    with EventStore(str(tmp_path)) as store:
        event = append_sealed(store, "ada@example.test", "user-7")
        assert number_in(event.data) == subject_number("ada@example.test")
    data = (tmp_path / "data.mdb").read_bytes()
    assert b"user-7" in data
    assert b"Ada" not in data
    assert b"ada@" not in data


def test_seals_the_same_data_differently_each_time(subjects: Subjects) -> None:
    assert len({subjects.seal("a", "s", "T", PLAIN) for _ in range(20)}) == 20


def test_makes_one_key_for_each_subject_and_says_so_in_the_log(store: EventStore, subjects: Subjects) -> None:
    for _ in range(3):
        subjects.seal("a", "s", "T", PLAIN)
        subjects.seal("b", "s", "T", PLAIN)
    assert subjects.count() == (2, 0)
    streams = [PREFIX + subject_number(name).hex() for name in ("a", "b")]
    assert [event.type for stream in streams for event in store.read_stream(stream)] == [MADE, MADE]


def test_refuses_data_that_was_moved_to_another_stream_or_type(store: EventStore, subjects: Subjects) -> None:
    sealed = subjects.seal("a", "user-7", "Renamed", PLAIN)
    moved = append(store, "user-8", Draft("Renamed", sealed, codec=MSGPACK | ENCRYPTED))
    retold = append(store, "user-7", Draft("Other", sealed, codec=MSGPACK | ENCRYPTED))
    for event in (moved, retold):
        with pytest.raises(EventUndecodable, match="not sealed for this stream and type"):
            subjects.open(event)


@pytest.mark.parametrize("at", [20, 28, 29, 35, -1])
def test_refuses_data_that_was_changed(store: EventStore, subjects: Subjects, at: int) -> None:
    sealed = bytearray(subjects.seal("a", "s", "T", PLAIN))
    sealed[at] ^= 1
    event = append(store, "s", Draft("T", bytes(sealed), codec=MSGPACK | ENCRYPTED))
    with pytest.raises(EventUndecodable):
        subjects.open(event)


@pytest.mark.parametrize("data", [b"", b"\x01" * 44, b"\x02" * 80])
def test_refuses_what_is_sealed_in_no_form_it_knows(
    store: EventStore, subjects: Subjects, data: bytes
) -> None:
    event = append(store, "s", Draft("T", data, codec=BYTES | ENCRYPTED))
    with pytest.raises(EventUndecodable, match="unknown form"):
        subjects.open(event)


def test_what_was_sealed_for_an_erased_subject_is_never_read_again(tmp_path: Path) -> None:
    before = time.time_ns()
    with EventStore(str(tmp_path)) as store:
        subjects = Subjects(store)
        gone, kept = append_sealed(store), append_sealed(store, "user:8", "user-8")
        assert subjects.erase("user:7") is True
        with pytest.raises(EventSealed):
            subjects.open(gone)
        assert subjects.open(kept).value() == {"name": "Ada"}
        assert subjects.count() == (1, 1)
        erased = subjects.erased_at("user:7")
        assert erased is not None
        assert before <= erased <= time.time_ns()
        stream = PREFIX + subject_number("user:7").hex()
        assert [event.type for event in store.read_stream(stream)] == [MADE, ERASED]
        assert subjects.erase("user:7") is False
        assert store.head(stream) == 2
    assert verify(tmp_path).findings == ()


def test_an_erased_subject_gets_no_other_key(subjects: Subjects) -> None:
    subjects.seal("a", "s", "T", PLAIN)
    subjects.erase("a")
    with pytest.raises(SubjectErased):
        subjects.seal("a", "s", "T", PLAIN)


def test_a_subject_can_be_erased_before_it_is_known(subjects: Subjects) -> None:
    assert subjects.erase("a") is False
    assert subjects.erased_at("a") is not None
    with pytest.raises(SubjectErased):
        subjects.seal("a", "s", "T", PLAIN)


def test_a_subject_whose_key_stayed_in_another_log_gets_no_other(
    store: EventStore, subjects: Subjects
) -> None:
    stream = PREFIX + subject_number("a").hex()
    append(store, stream, Draft(MADE, b"", codec=BYTES))
    with pytest.raises(SubjectErased, match="not in this log"):
        subjects.seal("a", "s", "T", PLAIN)
    assert subjects.erase("a") is False
    assert subjects.erased_at("a") is not None


def test_a_subject_has_a_name(subjects: Subjects) -> None:
    with pytest.raises(ValueError, match="a name"):
        subjects.seal("", "s", "T", PLAIN)


def test_threads_that_seal_for_a_new_subject_at_once_use_one_key(
    store: EventStore, subjects: Subjects
) -> None:
    sealed: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: sealed.append(subjects.seal("a", "s", "T", PLAIN))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for data in sealed:
        event = append(store, "s", Draft("T", data, codec=MSGPACK | ENCRYPTED))
        assert subjects.open(event).value() == {"name": "Ada"}
    assert subjects.count() == (1, 0)


ERASER = """
import sys
from core._fast.event_store import EventStore
from core.event_log.subjects import Subjects
with EventStore(sys.argv[1]) as store:
    Subjects(store).erase("user:7")
"""


def test_an_erasure_in_another_process_holds_at_once(tmp_path: Path) -> None:
    with EventStore(str(tmp_path)) as store:
        event = append_sealed(store)
        subprocess.run([sys.executable, "-c", ERASER, str(tmp_path)], check=True)
        with pytest.raises(EventSealed):
            Subjects(store).open(event)


def test_a_compact_copy_does_not_hold_an_erased_key(tmp_path: Path) -> None:
    with EventStore(str(tmp_path / "log")) as store:
        append_sealed(store)
        key = store.get_key(subject_number("user:7"))
        assert key is not None
        Subjects(store).erase("user:7")
        store.copy(str(tmp_path / "copy"))
    assert key not in (tmp_path / "copy" / "data.mdb").read_bytes()
