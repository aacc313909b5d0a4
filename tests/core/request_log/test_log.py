"""The request log of one process: its buffer, its thread, its troubles."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pytest

from core._fast.record import BLOCK_SIZE
from core.request_log import Page, RequestLog, RequestLogOptions, RequestLogUnwritable, log
from tests.core.request_log.traffic import (
    QUICK,
    append,
    numbers,
    output,
    process,
    read_all,
    tell,
    write,
)

NEVER = RequestLogOptions(flush_interval=60)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def written(request_log: RequestLog, count: int) -> list[Page]:
    """Wait until so many records can be read, and return the pages."""
    pages: list[Page] = []
    for page in request_log.reader.follow(after=0):
        pages.append(page)
        if sum(len(page.records) for page in pages) >= count:
            break
    return pages


def test_writes_every_field(directory: Path) -> None:
    request_log = RequestLog.open(directory, QUICK, worker=3)
    fields: dict[str, Any] = {
        "time_ns": 1_700_000_000_123_456_789,
        "status": 503,
        "duration_ns": 12_000_000,
        "upstream_ns": 11_000_000,
        "bytes_in": 17,
        "bytes_out": 4_000_000_000,
        "attempts": 2,
    }
    texts = {
        name: f"the {name}" for name in ("method", "path", "query", "host", "route", "upstream", "target")
    }
    texts |= {name: f"the {name}" for name in ("client", "request_id", "trace_id", "consumer", "problem")}
    texts |= {"protocol": "http/1.1", "user_agent": "agent/1"}
    encoded: dict[str, Any] = {name: text.encode() for name, text in texts.items()}
    request_log.buffer.append_fields(**fields, **encoded, flags=5)
    request_log.close()
    (record,) = read_all(directory).records
    assert msgspec.structs.asdict(record) == {
        "sequence": 1, "worker": 3, "flags": ("aborted", "cached"), "cut": (), **fields, **texts,
    }  # fmt: skip


def test_writes_within_its_interval_without_being_closed(directory: Path) -> None:
    request_log = RequestLog.open(directory, QUICK)
    append(request_log.buffer, 7)
    (page,) = written(request_log, 1)
    assert numbers(page.records) == [7]
    request_log.close()


def test_writes_before_its_interval_ends_when_much_waits(directory: Path) -> None:
    request_log = RequestLog.open(directory, NEVER)
    request_log.configure(RequestLogOptions(flush_interval=60, buffer_bytes=16 * BLOCK_SIZE))
    for number in range(3000):
        append(request_log.buffer, number, user_agent=b"%0150d" % number)
    assert len(written(request_log, 1000)) >= 1
    request_log.close()
    assert numbers(read_all(directory).records) == list(range(3000))


def test_closing_writes_what_is_left(directory: Path) -> None:
    request_log = RequestLog.open(directory, NEVER)
    for number in range(5000):
        append(request_log.buffer, number)
    request_log.close()
    assert numbers(read_all(directory).records) == list(range(5000))
    stats = request_log.stats()
    assert (stats.appended, stats.written, stats.dropped, stats.buffered_bytes) == (5000, 5000, 0, 0)


def test_drops_and_counts_what_comes_after_closing(directory: Path) -> None:
    request_log = RequestLog.open(directory, QUICK)
    request_log.close()
    append(request_log.buffer, 1)
    assert request_log.stats().dropped == 1


def test_all_users_of_a_process_share_one_log_until_the_last_closes(directory: Path) -> None:
    first = RequestLog.open(directory, QUICK)
    second = RequestLog.open(directory.parent / "." / directory.name, RequestLogOptions(flush_interval=0.02))
    assert second is first
    first.close()
    append(second.buffer, 1)
    second.close()
    assert numbers(read_all(directory).records) == [1]
    assert not any(thread.name == "request-log" for thread in threading.enumerate())


def test_can_be_opened_again_after_it_was_closed(directory: Path) -> None:
    for round_ in range(3):
        request_log = RequestLog.open(directory, QUICK)
        append(request_log.buffer, round_)
        request_log.close()
    assert [record.sequence for record in read_all(directory).records] == [1, 2, 3]


def test_new_bounds_count_from_the_next_batch(directory: Path) -> None:
    request_log = RequestLog.open(directory, QUICK)
    for number in range(3):
        append(request_log.buffer, number)
        written(request_log, number + 1)
    request_log.configure(RequestLogOptions(flush_interval=0.01, max_records=2))
    append(request_log.buffer, 3)
    request_log.close()
    assert numbers(read_all(directory).records) == [2, 3]


def test_drops_by_age_on_the_clock_it_was_given(directory: Path) -> None:
    options = RequestLogOptions(flush_interval=0.01, max_age=10)
    for now in (100, 105, 111):
        request_log = RequestLog(directory, options, now_ns=lambda now=now: now * 10**9)  # type: ignore[misc]
        request_log.start()
        append(request_log.buffer, now, time_ns=now * 10**9)
        request_log.stop()
    assert numbers(read_all(directory).records) == [105, 111]


def test_refuses_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestLogUnwritable):
        RequestLog.open(tmp_path / "file" / "requests", QUICK)


@pytest.mark.parametrize(
    "wrong",
    [{"max_bytes": 0}, {"max_records": -1}, {"flush_interval": 0}, {"buffer_bytes": 1}, {"colour": 1}],
)
def test_refuses_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, RequestLogOptions)


def test_drops_and_counts_while_the_disk_hangs_and_tells_readers(directory: Path) -> None:
    """Another process holds the write lock: to this one, the disk hangs."""
    write(directory, 1)
    with process(__name__, "hold", directory) as child:
        request_log = RequestLog.open(
            directory, RequestLogOptions(flush_interval=0.01, buffer_bytes=4 * BLOCK_SIZE)
        )
        number = 0
        started = time.perf_counter()
        while request_log.stats().dropped < 100:
            append(request_log.buffer, number, user_agent=b"%0200d" % number)
            number += 1
        assert request_log.stats().buffered_bytes <= 4 * BLOCK_SIZE
        assert time.perf_counter() - started < 5  # appending did not wait
        tell(child)
        output(child).readline()
        lost = request_log.stats().dropped
        kept = number - lost
        written(request_log, kept)
        append(request_log.buffer, 0)
        request_log.close()
    page = read_all(directory)
    assert page.dropped == lost
    assert len(page.records) == 1 + kept + 1
    assert [record.sequence for record in page.records] == list(range(1, kept + 3))


def test_gives_up_waiting_for_a_disk_that_hangs_while_it_closes(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "CLOSE_SECONDS", 0.05)
    write(directory, 1)
    with process(__name__, "hold", directory) as child:
        request_log = RequestLog.open(directory, QUICK)
        append(request_log.buffer, 1)
        request_log.close()
        assert "the disk hangs" in caplog.text
        tell(child)
        output(child).readline()
    request_log._thread.join()


def test_serves_on_while_the_disk_is_full_and_keeps_the_newest(directory: Path) -> None:
    with process(__name__, "full", directory) as child:
        tell(child)
        told = json.loads(output(child).readline())
    assert told["complaints"] == 1
    assert told["failures"] > 1
    assert told["dropped"] > 0
    page = read_all(directory)
    found = numbers(page.records)
    assert found[-1] == told["last"]
    assert len(found) + told["dropped"] == told["last"] + 1
    assert page.dropped == told["dropped"]
    assert [record.sequence for record in page.records] == list(range(1, len(found) + 1))
    assert page.damaged == []


def hold(directory: Path) -> None:
    """Keep the write lock until told to give it up."""
    with lmdb.open(str(directory), map_size=1 << 30) as environment, environment.begin(write=True):
        print("holding", flush=True)
        sys.stdin.readline()
    print("released", flush=True)
    sys.stdin.readline()


def full(directory: Path) -> None:
    """Log to a disk that becomes full and is emptied again: a limit on the size of files, set and lifted."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    counter = Complaints()
    log.logger.addHandler(counter)
    request_log = RequestLog.open(
        directory, RequestLogOptions(flush_interval=0.01, buffer_bytes=4 * BLOCK_SIZE)
    )
    print("open", flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    numbers_given = iter(range(10**9))
    for number in until(
        lambda: request_log.stats().failures > 2 and request_log.stats().dropped > 0, numbers_given
    ):
        append(request_log.buffer, number, user_agent=b"%0200d" % number)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    batches = request_log.stats().batches
    while request_log.stats().batches == batches:
        time.sleep(0.001)
    last = next(numbers_given)
    append(request_log.buffer, last)
    request_log.close()
    stats = request_log.stats()
    told = {"last": last, "failures": stats.failures, "dropped": stats.dropped, "complaints": counter.count}
    print(json.dumps(told), flush=True)


def until(done: Any, source: Iterator[int]) -> Iterator[int]:
    """Yield from the source until it is done, a few at a time."""
    while not done():
        yield next(source)
        time.sleep(0.0001)


class Complaints(logging.Handler):
    """Count what the log says."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


if __name__ == "__main__":
    {"hold": hold, "full": full}[sys.argv[1]](Path(sys.argv[2]))
