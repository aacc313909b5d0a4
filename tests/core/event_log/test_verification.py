"""`verify`: what it finds, what it cannot find, and that nothing leads it astray."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append
from core._fast.event_store import EventStore
from core.event_log.errors import LogInUse, LogMissing, LogUnreadable
from core.event_log.verification import verify
from tests.core.event_log.small_log import read_everything, write_small_log
from tests.oracles.lmdb_pages import LmdbFile

PAGE = 4096
META_SIZE = 16 + 136  # bytes of a meta page that mean something

WRITER = """
import sys
from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append
from core._fast.event_store import EventStore
with EventStore(sys.argv[1]) as store:
    print("open", flush=True)
    while not sys.stdin.closed and store.last_position() < 400_000:
        drafts = [(f"s-{n % 7}", ANY, [Draft("T", b"\\xc0")]) for n in range(20)]
        store.commit([Append([draft], state=[(b"k", b"v")]) for draft in drafts])
"""


class Disk:
    """A log's file, whose bits can be flipped for a moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = (path / "data.mdb").open("r+b", buffering=0)
        self.data = (path / "data.mdb").read_bytes()
        self.layout = LmdbFile(self.data)

    def put(self, at: int, text: bytes) -> None:
        self.file.seek(at)
        self.file.write(text)

    def finds(self, at: int, bit: int) -> bool:
        """Tell whether a flipped bit is found."""
        self.put(at, bytes([self.data[at] ^ 1 << bit]))
        try:
            return not verify(self.path, pinned=False).sound
        except LogUnreadable:
            return True
        finally:
            self.put(at, self.data[at : at + 1])

    def reads_with(self, at: int, bit: int) -> list[object]:
        """Return what is read while a bit is flipped."""
        self.put(at, bytes([self.data[at] ^ 1 << bit]))
        try:
            return read_everything(self.path)
        finally:
            self.put(at, self.data[at : at + 1])


@pytest.fixture(params=[False, True], ids=["whole", "dropped"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    write_small_log(tmp_path, dropped=request.param)
    disk = Disk(tmp_path)
    yield disk
    disk.file.close()


def unrepeated(disk: Disk) -> set[int]:
    """Return the bytes of numbers that mean little within bounds: which transaction freed pages."""
    once: set[int] = set()
    for key, _ in disk.layout.entries(disk.layout.meta_tree(0)):
        once.update(places(disk.data, key))
    return once


def places(data: bytes, text: bytes) -> Iterator[int]:
    at = data.find(text)
    while at >= 0:
        yield from range(at, at + len(text))
        at = data.find(text, at + 1)


def test_a_sound_log_is_sound_and_counted(disk: Disk) -> None:
    verdict = verify(disk.path)
    assert verdict.findings == ()
    events, *_ = read_everything(disk.path)
    assert verdict.events == len(list(events))  # type: ignore[call-overload]
    assert verdict.entries == sum(map(len, disk.layout.trees.values()))
    assert verdict.free_pages == len(disk.layout.free)
    assert verdict.pages == len(disk.data) // PAGE
    used = (verdict.pages - verdict.free_pages - 2) * PAGE
    assert used - verdict.slack == len(disk.layout.told)


def test_finds_a_flipped_bit_in_every_byte_that_says_something(disk: Disk) -> None:
    rng = random.Random(7)
    told = sorted(disk.layout.told - disk.layout.harmless)
    missed = [at for at in told if not disk.finds(at, rng.randrange(8))]
    assert set(missed) <= unrepeated(disk)


def test_finds_each_bit_of_some_bytes_also_while_others_may_write(disk: Disk) -> None:
    rng = random.Random(8)
    told = sorted(disk.layout.told - disk.layout.harmless - unrepeated(disk))
    for at in rng.sample(told, 20):
        for bit in range(8):
            disk.put(at, bytes([disk.data[at] ^ 1 << bit]))
            with contextlib.suppress(LogUnreadable):
                assert not verify(disk.path).sound, at
        disk.put(at, disk.data[at : at + 1])


def test_what_it_does_not_find_changes_nothing_that_is_read(disk: Disk) -> None:
    rng = random.Random(9)
    expected = read_everything(disk.path)
    quiet = sorted(set(range(2 * PAGE, len(disk.data))) - disk.layout.told)
    for at in rng.sample(quiet, 200):
        bit = rng.randrange(8)
        assert not disk.finds(at, bit), at
        assert disk.reads_with(at, bit) == expected, at


def test_flipped_bits_of_the_meta_pages_are_found_or_change_nothing(disk: Disk) -> None:
    expected = read_everything(disk.path)
    missed = [
        (page * PAGE + at, bit)
        for page in (0, 1)
        for at in range(META_SIZE)
        for bit in range(8)
        if not disk.finds(page * PAGE + at, bit)
    ]
    for at, bit in random.Random(10).sample(missed, 60):
        assert disk.reads_with(at, bit) == expected, at
    newest = range(disk.layout.newest * PAGE, disk.layout.newest * PAGE + META_SIZE)
    unused = {newest[at] for at in (*range(12, 16), *range(32, 40))}  # bounds of no entries; size of the map
    assert {at for at, _ in missed if at in newest} <= unused


def test_a_file_that_was_cut_is_not_sound(disk: Disk) -> None:
    for pages in range(len(disk.data) // PAGE):
        disk.file.truncate(pages * PAGE)
        try:
            sound = verify(disk.path, pinned=False).sound
        except LogUnreadable:
            sound = False
        cut = set(range(pages, disk.layout.last_page + 1))
        assert not sound or cut <= disk.layout.free
        disk.put(0, disk.data)


def test_random_bytes_never_lead_it_astray(disk: Disk) -> None:
    rng = random.Random(11)
    told = sorted(disk.layout.told)
    for _ in range(300):
        at = rng.choice(told)
        size = rng.choice((2, 8, 64, PAGE))
        disk.put(at, rng.randbytes(min(size, len(disk.data) - at)))
        with contextlib.suppress(LogUnreadable):
            verify(disk.path, pinned=False)
        disk.put(0, disk.data)
    assert verify(disk.path).sound


def edited(path: Path, table: str, change: Callable[[lmdb.Transaction, Any], None]) -> list[str]:
    """Change a table behind the log's back, as LMDB would; return what is found then."""
    with lmdb.open(str(path), max_dbs=64, map_size=1 << 30) as environment:
        handle = environment.open_db(table.encode())
        with environment.begin(write=True, db=handle) as transaction:
            change(transaction, handle)
    return [str(finding) for finding in verify(path).findings]


def first_of(transaction: lmdb.Transaction) -> tuple[bytes, bytes]:
    cursor = transaction.cursor()
    assert cursor.first()
    key, value = cursor.item()
    return bytes(key), bytes(value)


def drop_first(transaction: lmdb.Transaction, _: Any) -> None:
    transaction.delete(first_of(transaction)[0])


def swap_values(transaction: lmdb.Transaction, _: Any) -> None:
    (one, first), (other, second) = list(transaction.cursor())[:2]
    transaction.put(one, second)
    transaction.put(other, first)


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("i.00000001", drop_first, "the index of event ids is not that of the events"),
        ("i.00000001", swap_values, "the index of event ids is not that of the events"),
        ("t.00000001", drop_first, "the index of types and tags is not that of the events"),
        ("s.00000001", drop_first, "the index of streams is not that of the events"),
        ("s.00000001", swap_values, "the index of streams is not that of the events"),
        ("e.00000001", drop_first, "event 2: it stands where another event must be"),
        ("e.00000002", swap_values, "it says that it stands elsewhere"),
        ("streams", drop_first, "its stream is not in the table of streams"),
        ("streams", swap_values, "the checksum of a stream's place is not that of its bytes"),
        ("tags", swap_values, "the checksum of a name's number is not that of its bytes"),
        ("state", swap_values, "a value's checksum"),
        ("meta", drop_first, "its entries are not those of an event log"),
    ],
)
def test_finds_what_contradicts_the_events(
    tmp_path: Path, table: str, change: Callable[[lmdb.Transaction, Any], None], words: str
) -> None:
    write_small_log(tmp_path)
    findings = edited(tmp_path, table, change)
    assert any(words in finding for finding in findings), findings


def test_finds_an_event_that_was_forged_with_a_right_checksum(tmp_path: Path) -> None:
    write_small_log(tmp_path)

    def forge(transaction: lmdb.Transaction, _: Any) -> None:
        key, record = first_of(transaction)
        from core._fast.envelope import read_event

        old = read_event(record)
        forged = Draft(old.type, b"y", codec=old.codec, id=old.id_bytes, time_ns=old.time_ns)
        transaction.put(key, forged.finish(old.stream, old.position, old.version, 0).record)

    findings = edited(tmp_path, "e.00000001", forge)
    assert any(finding.startswith("event 2: it does not follow") for finding in findings), findings


def test_finds_a_table_that_is_gone_and_one_too_many(tmp_path: Path) -> None:
    write_small_log(tmp_path)
    assert edited(tmp_path, "t.00000001", lambda txn, db: txn.drop(db, delete=True)) == [
        "t.00000001: the table is missing"
    ]
    write_small_log(tmp_path / "other")
    assert edited(tmp_path / "other", "x.1", lambda txn, db: None) == ["x.1: no segment has this table"]


def test_is_sound_at_every_moment_while_another_process_writes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        counts: list[int] = []
        while len(counts) < 20 or counts[-1] == counts[0]:
            verdict = verify(tmp_path)
            assert verdict.findings == ()
            counts.append(verdict.events)
        assert counts == sorted(counts)
        writer.kill()


def test_refuses_a_log_that_is_open_in_this_process(tmp_path: Path) -> None:
    with EventStore(str(tmp_path)) as store:
        store.commit([Append([("a", ANY, [Draft("T", b"\xc0")])])])
        with pytest.raises(LogInUse, match="open in this process"):
            verify(tmp_path)
    assert verify(tmp_path).events == 1


def test_says_that_there_is_no_log_or_none_that_it_knows(tmp_path: Path) -> None:
    with pytest.raises(LogMissing):
        verify(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(LogUnreadable, match="ends before"):
        verify(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"not a log" * 5000)
    with pytest.raises(LogUnreadable):
        verify(tmp_path)


def test_tells_how_far_it_is(tmp_path: Path) -> None:
    write_small_log(tmp_path)
    reports: list[tuple[int, int]] = []
    verdict = verify(tmp_path, lambda done, all: reports.append((done, all)))
    assert reports[-1] == (verdict.entries, verdict.entries)
    assert reports == sorted(reports)


def test_checks_a_copy_that_cannot_be_written_to(tmp_path: Path) -> None:
    write_small_log(tmp_path / "log")
    shutil.copytree(tmp_path / "log", tmp_path / "copy", ignore=shutil.ignore_patterns("lock.mdb"))
    assert verify(tmp_path / "copy", pinned=False).sound
    assert not (tmp_path / "copy" / "lock.mdb").exists()
