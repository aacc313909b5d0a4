"""Reading the request log: pages, filters, damage."""

from __future__ import annotations

import re
from pathlib import Path

import lmdb
import pytest

from core.request_log import (
    Damage,
    Page,
    Record,
    RequestLog,
    RequestLogOptions,
    RequestLogReader,
    RequestLogUnreadable,
    RequestQuery,
)
from core.request_log.block import MAGIC
from core.request_log.reader import BLOCKS_AT_ONCE
from core.request_log.store import BlockStore, Bounds, key_of
from tests.core.request_log.test_store import blocks
from tests.core.request_log.traffic import append, numbers, read_all, write

AGELESS = RequestLogOptions(flush_interval=0.01, max_age=0)
SIZES = (3, 1, 4, 1, 5)  # records of the blocks
TOTAL = sum(SIZES)


def write_blocks(directory: Path, *sizes: int) -> None:
    """Write a log with a block for each size; exchanges are numbered from 1, like the sequence."""
    number = 0
    for size in sizes:
        log = RequestLog.open(directory, AGELESS)
        for _ in range(size):
            number += 1
            append(log.buffer, number, time_ns=number * 1000, status=200 + number % 2 * 304)
        log.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_blocks(tmp_path, *SIZES)
    return tmp_path


def walk(reader: RequestLogReader, query: RequestQuery, limit: int, *, reverse: bool) -> list[Page]:
    """Return all pages of one direction."""
    pages = [reader.read(query, limit=limit, reverse=reverse)]
    while pages[-1].more:
        pages.append(reader.read(query, after=pages[-1].after, limit=limit, reverse=reverse))
    return pages


def records(pages: list[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 13, 14, 15, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_any_size_add_up_in_both_directions(directory: Path, limit: int, reverse: bool) -> None:
    with RequestLogReader.open(directory) as reader:
        pages = walk(reader, RequestQuery(), limit, reverse=reverse)
    expected = list(range(1, TOTAL + 1))
    assert numbers(records(pages)) == (expected[::-1] if reverse else expected)
    assert all(len(page.records) <= limit for page in pages)
    assert all(len(page.records) == limit for page in pages[:-1])


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_what_a_filter_wants_add_up_too(directory: Path, reverse: bool) -> None:
    with RequestLogReader.open(directory) as reader:
        pages = walk(reader, RequestQuery(status=(500, 599)), 2, reverse=reverse)
    odd = list(range(1, TOTAL + 1, 2))
    assert numbers(records(pages)) == (odd[::-1] if reverse else odd)


@pytest.mark.parametrize("after", range(TOTAL + 3))
def test_starts_behind_any_record(directory: Path, after: int) -> None:
    with RequestLogReader.open(directory) as reader:
        assert numbers(reader.read(after=after).records) == list(range(after + 1, TOTAL + 1))
        backwards = numbers(reader.read(after=after, reverse=True).records)
    assert backwards == list(range((min(after, TOTAL + 1) or TOTAL + 1) - 1, 0, -1))


def test_reads_more_blocks_than_one_snapshot_is_kept_for(tmp_path: Path) -> None:
    count = BLOCKS_AT_ONCE * 2 + 5
    write_blocks(tmp_path, *[1] * count)
    with RequestLogReader.open(tmp_path) as reader:
        assert numbers(reader.read(limit=1000).records) == list(range(1, count + 1))
        assert numbers(reader.read(limit=1000, reverse=True).records) == list(range(count, 0, -1))
        assert reader.read(RequestQuery(path_prefix="/exchange/3"), limit=1).more


def test_skips_blocks_outside_the_time(directory: Path) -> None:
    query = RequestQuery(since_ns=4_000, until_ns=9_000)
    with RequestLogReader.open(directory) as reader:
        assert numbers(reader.read(query).records) == [4, 5, 6, 7, 8]


def test_tells_the_range_it_keeps(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with RequestLogReader.open(directory) as reader:
        assert reader.range() == (1, TOTAL)
    empty = tmp_path_factory.mktemp("empty")
    write(empty, 0)
    with RequestLogReader.open(empty) as reader:
        assert reader.range() == (1, 0)


def flip(directory: Path, needle: bytes, offset: int = 0) -> None:
    """Flip one bit in each copy of these bytes on disk: pages that are free now keep theirs for a while."""
    path = directory / "data.mdb"
    data = bytearray(path.read_bytes())
    for found in re.finditer(re.escape(needle), bytes(data)):
        data[found.start() + offset] ^= 0x10
    path.write_bytes(data)


def test_reports_a_flipped_bit_in_records_and_reads_on(directory: Path) -> None:
    flip(directory, b"/exchange/6")
    page = read_all(directory)
    assert numbers(page.records) == [1, 2, 3, 4, *range(9, TOTAL + 1)]
    assert page.damaged == [Damage(5, 8, "has records that fail their checksum")]


def test_reports_a_flipped_bit_in_a_header(directory: Path) -> None:
    flip(directory, MAGIC + b"\x01\x00\x00\x00\x04", offset=20)
    page = read_all(directory)
    assert numbers(page.records) == [1, 2, 3, 4, *range(9, TOTAL + 1)]
    assert page.damaged == [Damage(5, 8, "has a header that fails its checksum")]


@pytest.mark.parametrize(("exchange", "first", "last"), [(2, 0, 3), (4, 4, 4), (14, 10, 14)])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_reports_damage_once_going_backwards(
    directory: Path, exchange: int, first: int, last: int, limit: int
) -> None:
    flip(directory, b"/exchange/%d" % exchange)
    with RequestLogReader.open(directory) as reader:
        pages = walk(reader, RequestQuery(), limit, reverse=True)
    lost = range(first or 1, last + 1)
    assert numbers(records(pages)) == [number for number in range(TOTAL, 0, -1) if number not in lost]
    assert [(damage.first, damage.last) for page in pages for damage in page.damaged] == [(first, last)]


def test_every_flipped_bit_of_a_block_is_noticed(tmp_path: Path) -> None:
    write_blocks(tmp_path, 3)
    path = tmp_path / "data.mdb"
    data = path.read_bytes()
    start = data.rindex(MAGIC)
    end = data.rindex(b"/exchange/3") + len(b"/exchange/3")
    for place in range(start, end):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        page = read_all(tmp_path)
        assert page.records == []
        assert len(page.damaged) == 1


def test_a_block_in_another_ones_place_is_noticed(directory: Path) -> None:
    with lmdb.open(str(directory), map_size=1 << 24) as environment, environment.begin(write=True) as change:
        change.put(key_of(8), change.get(key_of(3), b""))
    page = read_all(directory)
    assert page.damaged == [Damage(5, 8, "is not in its place")]


def test_what_is_no_block_is_noticed(directory: Path) -> None:
    with lmdb.open(str(directory), map_size=1 << 24) as environment, environment.begin(write=True) as change:
        change.put(key_of(8), b"short")
    assert read_all(directory).damaged == [Damage(5, 8, "is shorter than a header")]


def test_a_log_whose_newest_block_is_damaged_goes_on(directory: Path) -> None:
    flip(directory, b"/exchange/14")
    write(directory, 1, max_age=0)
    page = read_all(directory)
    assert page.records[-1].sequence == TOTAL + 1
    assert page.damaged == [Damage(10, 14, "has records that fail their checksum")]


def test_damage_to_the_tree_itself_is_an_error_not_a_crash(directory: Path) -> None:
    path = directory / "data.mdb"
    data = bytearray(path.read_bytes())
    page = data.rindex(MAGIC) // 4096 * 4096
    data[page : page + 16] = b"\xff" * 16
    for other in range(2 * 4096, len(data), 4096):
        data[other + 10 : other + 12] = b"\0\0"  # no page is a leaf any more
    path.write_bytes(data)
    with RequestLogReader.open(directory) as reader, pytest.raises(RequestLogUnreadable):
        reader.read()


def test_counts_what_writers_dropped_once_however_it_is_paged(tmp_path: Path) -> None:
    made = blocks(3, 4)
    made[1].dropped = 9
    store = BlockStore(tmp_path, map_size=1 << 24)
    store.append(made, Bounds(), 0, 0)
    store.close()
    with RequestLogReader.open(tmp_path) as reader:
        for reverse in (False, True):
            for limit in (1, 2, 100):
                pages = walk(reader, RequestQuery(), limit, reverse=reverse)
                assert sum(page.dropped for page in pages) == 9
