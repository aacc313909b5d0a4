"""The request log's LMDB environment."""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path

import lmdb
import pytest

from core._fast.record import Block, RecordBuffer
from core.request_log import RequestLogMissing, RequestLogReader, RequestLogUnreadable, RequestLogUnwritable
from core.request_log import store as store_module
from core.request_log.store import BlockStore, Bounds, last_of
from tests.core.request_log.traffic import append, numbers, output, process, read_all, tell

KEEP_ALL = Bounds()
MIB = 1 << 20


def blocks(*counts: int, time_ns: int = 0, size: int = 10) -> list[Block]:
    """Return blocks with so many records each."""
    made = []
    for count in counts:
        buffer = RecordBuffer(4 * MIB)
        for number in range(count):
            append(buffer, number, time_ns=time_ns, user_agent=b"%0*d" % (size, number))
        made += buffer.take()
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "var" / "requests"


@pytest.fixture
def store(directory: Path) -> BlockStore:
    return BlockStore(directory, map_size=64 * MIB)


def keys(store: BlockStore) -> list[int]:
    with store.reading() as transaction, transaction.cursor() as cursor:
        return [last_of(key) for key in cursor.iternext(values=False)]


def test_numbers_records_without_gaps_and_files_blocks_under_their_last(store: BlockStore) -> None:
    assert store.append(blocks(3, 2), KEEP_ALL, 0, 0) == 5
    assert store.append(blocks(1), KEEP_ALL, 0, 0) == 6
    assert keys(store) == [3, 5, 6]
    store.close()
    assert store.append(blocks(4), KEEP_ALL, 0, 0) == 10
    assert keys(store) == [3, 5, 6, 10]


def test_keeps_the_files_to_their_owner(store: BlockStore, directory: Path) -> None:
    store.append(blocks(1), KEEP_ALL, 0, 0)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.iterdir()]} == {
        "requests": 0o700,
        "data.mdb": 0o600,
        "lock.mdb": 0o600,
    }


def test_drops_the_oldest_blocks_beyond_so_many_records(store: BlockStore) -> None:
    store.append(blocks(4, 4, 4), Bounds(records=8), 0, 0)
    assert keys(store) == [8, 12]
    store.append(blocks(1), Bounds(records=8), 0, 0)
    assert keys(store) == [12, 13]


def test_drops_blocks_whose_newest_record_is_too_old(store: BlockStore) -> None:
    bounds = Bounds(age_ns=100)
    store.append(blocks(2, time_ns=1000) + blocks(2, time_ns=1050), bounds, 0, 1100)
    assert keys(store) == [2, 4]
    store.append(blocks(1, time_ns=1101), bounds, 0, 1101)
    assert keys(store) == [4, 5]
    store.trim(bounds, 1151)
    assert keys(store) == [5]


def test_always_keeps_the_newest_block_for_it_carries_the_sequence(store: BlockStore) -> None:
    store.append(blocks(5, time_ns=1), Bounds(records=1, age_ns=1, size=1), 0, 1_000_000)
    assert keys(store) == [5]
    store.trim(Bounds(age_ns=1), 2_000_000)
    assert store.append(blocks(1), KEEP_ALL, 0, 0) == 6


def test_stays_within_its_bytes_and_reuses_what_it_freed(store: BlockStore, directory: Path) -> None:
    bounds = Bounds(size=2 * MIB)
    for _ in range(60):
        store.append(blocks(1500, size=200), bounds, 0, 0)
        assert store.pages_size() <= 2 * MIB
    assert (directory / "data.mdb").stat().st_size < 4 * MIB


def test_does_not_come_to_hold_the_whole_log_in_memory(
    store: BlockStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "REMAP_BYTES", MIB)
    for _ in range(60):
        store.append(blocks(1500, size=200), Bounds(size=8 * MIB), 0, 0)
    maps = Path("/proc/self/smaps").read_text().split(str(directory / "data.mdb"))[1:]
    resident = [int(re.search(r"Rss: +(\d+) kB", part)[1]) for part in maps]  # type: ignore[index]
    assert sum(resident) < 4 * 1024


def test_shrinks_step_by_step_to_a_smaller_bound(store: BlockStore) -> None:
    for _ in range(10):
        store.append(blocks(*[1] * 100), KEEP_ALL, 0, 0)
    for _ in range(4):
        store.trim(Bounds(records=10), 0)
    assert keys(store) == list(range(991, 1001))


def test_grows_a_map_that_is_full(directory: Path) -> None:
    store = BlockStore(directory, map_size=MIB)
    for _ in range(8):
        store.append(blocks(1500, size=200), KEEP_ALL, 0, 0)
    store.close()
    page = read_all(directory)
    assert [record.sequence for record in page.records] == list(range(1, 12_001))
    assert page.damaged == []


def test_follows_a_map_that_another_process_has_grown(directory: Path) -> None:
    store = BlockStore(directory, map_size=MIB)
    store.append(blocks(1), KEEP_ALL, 0, 0)
    with process(__name__, directory) as child:
        tell(child)
        assert json.loads(output(child).readline()) == 6001
    assert store.append(blocks(1), KEEP_ALL, 0, 0) == 6002
    assert len(keys(store)) > 2


def test_refuses_to_grow_without_end_and_serves_again_when_it_can(directory: Path) -> None:
    bounds = Bounds(size=MIB)
    store = BlockStore(directory, map_size=MIB)
    for _ in range(20):
        store.append(blocks(1500, size=200), KEEP_ALL, 0, 0)
    with pytest.raises(RequestLogUnwritable, match="the map has grown to 8388608 bytes"):
        store.append(blocks(*[1500] * 20, size=200), KEEP_ALL, 0, 0)
    last = keys(store)[-1]
    while store.pages_size() > MIB // 2:
        store.trim(Bounds(size=MIB // 2), 0)
    assert store.append(blocks(1), bounds, 0, 0) == last + 1


def test_a_failed_commit_leaves_nothing_behind(directory: Path) -> None:
    """The disk is full: here, files may not grow beyond a limit that the operating system enforces."""
    with process(__name__, directory, "limit") as child:
        tell(child)
        told = json.loads(output(child).readline())
    assert "Input/output error" in told["error"]
    assert told["after"] == told["before"] + 1
    page = read_all(directory)
    assert [record.sequence for record in page.records] == list(range(1, told["after"] + 1))
    assert page.damaged == []


def test_says_that_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(RequestLogMissing, match="there is no request log"):
        RequestLogReader.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_log_until_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").touch()
    with pytest.raises(RequestLogMissing):
        RequestLogReader.open(tmp_path)
    assert BlockStore(tmp_path, map_size=MIB).append(blocks(2), KEEP_ALL, 0, 0) == 2


def test_says_that_a_file_is_not_a_log(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"\0" * 8192)
    with pytest.raises(RequestLogUnreadable, match="MDB_INVALID"):
        RequestLogReader.open(tmp_path)


def test_says_that_a_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestLogUnwritable, match="file"):
        BlockStore(tmp_path / "file" / "requests", map_size=MIB).open()


def test_reads_an_empty_log(store: BlockStore, directory: Path) -> None:
    store.open()
    store.close()
    page = read_all(directory)
    assert (page.records, page.damaged, page.more) == ([], [], False)


def test_releases_what_a_killed_reader_held(store: BlockStore, directory: Path) -> None:
    store.append(blocks(1500, size=200), KEEP_ALL, 0, 0)
    with process(__name__, directory, "hold") as child:
        child.kill()
        child.wait()
    bounds = Bounds(size=2 * MIB)
    store.trim(bounds, 0)
    for _ in range(30):
        store.append(blocks(1500, size=200), bounds, 0, 0)
    assert (directory / "data.mdb").stat().st_size < 4 * MIB


def test_writes_while_a_reader_keeps_an_old_snapshot(store: BlockStore, directory: Path) -> None:
    store.append(blocks(3), KEEP_ALL, 0, 0)
    with process(__name__, directory, "hold") as child:
        for _ in range(20):
            store.append(blocks(1500, size=200), Bounds(records=3000), 0, 0)
        tell(child)
        assert json.loads(output(child).readline()) == 3
    store.close()
    assert numbers(read_all(directory).records)[-1] == 1499


def main(directory: str, how: str = "grow") -> None:
    """Be the other process."""
    if how == "hold":
        environment = lmdb.open(directory, readonly=True)
        with environment.begin() as transaction, transaction.cursor() as cursor:
            print("holding", flush=True)
            sys.stdin.readline()
            cursor.last()
            print(json.dumps(last_of(cursor.key())), flush=True)
        return
    store = BlockStore(Path(directory), map_size=16 * MIB)
    store.open()
    print("open", flush=True)
    sys.stdin.readline()
    if how == "grow":
        print(json.dumps(store.append(blocks(6000, size=200), KEEP_ALL, 0, 0)), flush=True)
    else:
        print(json.dumps(fill_disk(store)), flush=True)


def fill_disk(store: BlockStore) -> dict[str, object]:
    """Write until the limit is met, then lift it and go on."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    before = error = None
    while error is None:
        try:
            before = store.append(blocks(500, size=200), KEEP_ALL, 0, 0)
        except RequestLogUnwritable as refused:
            error = str(refused)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return {"before": before, "error": error, "after": store.append(blocks(1), KEEP_ALL, 0, 0)}


if __name__ == "__main__":
    main(*sys.argv[1:])
