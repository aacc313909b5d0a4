"""The request log's LMDB environment: append blocks, drop the oldest, hand out short reads.

Keys are the big-endian sequence number of a block's last record, so the next number and any record's block
are found without opening a block. Numbers are given out inside the write transaction: gapless over all
processes.

Rules: the bounds hold after each commit; the newest block always stays, it carries the sequence. A commit
that fails leaves nothing behind and the environment is opened anew. One transaction at a time in a process:
LMDB may not remap under an open one. RequestLog appends from its writer thread; RequestLogReader reads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb

from core._fast.record import Block
from core.request_log.block import BlockDamaged, Header, checksum, read_header, seal
from core.request_log.errors import RequestLogMissing, RequestLogUnreadable, RequestLogUnwritable

DATA_FILE = "data.mdb"
MAP_SLACK = 64 << 20  # bytes of address space beyond twice the bound
MAP_GROWTH = 8  # times the first map: more than that is only needed if somebody holds a snapshot open
TRIM_BLOCKS = 256  # dropped in one transaction at most; the rest goes with the next ones
MAX_READERS = 512
# NOTE: pages once touched stay mapped, so the whole log would come to count as this process's memory. Mapping
# it anew lets go of them; it costs under a millisecond.
REMAP_BYTES = 32 << 20  # written in between


class Bounds:
    """Be how much the log keeps; a block goes when any of them is passed. 0: no such bound."""

    def __init__(self, *, records: int = 0, size: int = 0, age_ns: int = 0) -> None:
        self.records = records
        self.size = size  # bytes of the pages in use
        self.age_ns = age_ns


class Batch(NamedTuple):
    """Be what one transaction does."""

    blocks: list[Block]
    checksums: list[int]  # of the blocks' records
    bounds: Bounds
    worker: int
    now_ns: int


class BlockStore:
    """Be one open environment, for writing or only for reading."""

    def __init__(self, directory: Path, *, readonly: bool = False, map_size: int = 0) -> None:
        self.directory = directory
        self.readonly = readonly
        self._map_size = map_size
        self._lock = threading.Lock()
        self._environment: lmdb.Environment | None = None
        self._appended = 0  # bytes since it was opened

    def open(self) -> None:
        """Open the environment; raise RequestLogMissing, RequestLogUnreadable or RequestLogUnwritable."""
        with self._lock:
            self._opened()

    def reserve(self, map_size: int) -> None:
        """Set the address space that a writer starts with; it may grow to eight times that."""
        self._map_size = map_size

    def close(self) -> None:
        """Close the environment; a later use opens it again."""
        with self._lock:
            self._shut()

    def append(self, blocks: list[Block], bounds: Bounds, worker: int, now_ns: int) -> int:
        """Store the blocks durably in one transaction; return the last record's sequence number.

        Raises RequestLogUnwritable; nothing was stored then.
        """
        batch = Batch(blocks, [checksum(block) for block in blocks], bounds, worker, now_ns)
        with self._lock:
            try:
                environment = self._opened()
                if not blocks:  # nothing is urgent: free what readers held that were killed
                    environment.reader_check()
                last = self._write(environment, batch)
            except lmdb.Error as error:
                self._shut()
                raise RequestLogUnwritable(f"{self.directory}: {error}") from error
            self._appended += sum(len(memoryview(block)) for block in blocks)
            if self._appended >= REMAP_BYTES:
                self._shut()
            return last

    def _write(self, environment: lmdb.Environment, batch: Batch) -> int:
        """Write a batch in one transaction, however often the map must change for it."""
        while True:
            try:
                return _commit(environment, batch)
            except lmdb.MapResizedError:
                environment.set_mapsize(0)
            except lmdb.MapFullError:
                self._grow(environment)

    def trim(self, bounds: Bounds, now_ns: int) -> None:
        """Drop what the bounds no longer keep; raise RequestLogUnwritable."""
        self.append([], bounds, 0, now_ns)

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction[memoryview]]:
        """Lend one snapshot. Be short, copy what you keep; raise RequestLogUnreadable."""
        with self._lock:
            try:
                environment = self._opened()
                try:
                    transaction = environment.begin(buffers=True)
                except lmdb.MapResizedError:
                    environment.set_mapsize(0)
                    transaction = environment.begin(buffers=True)
                with transaction:
                    yield transaction
            except lmdb.Error as error:
                raise RequestLogUnreadable(f"{self.directory}: {error}") from error

    def version(self) -> int:
        """Return a number that is different after each commit of any process; costs microseconds."""
        with self._lock:
            return self._opened().info()["last_txnid"]

    def pages_size(self) -> int:
        """Return the bytes of the pages in use."""
        with self.reading() as transaction:
            return _pages_size(transaction)

    def _opened(self) -> lmdb.Environment:
        if self._environment is None:
            self._environment = self._open_readonly() if self.readonly else self._open_writable()
            self._environment.reader_check()
        return self._environment

    def _open_readonly(self) -> lmdb.Environment:
        data = self.directory / DATA_FILE
        if not data.exists() or data.stat().st_size == 0:  # its writer was killed before it wrote anything
            raise RequestLogMissing(f"{self.directory}: there is no request log")
        try:
            return lmdb.open(os.fspath(self.directory), readonly=True, map_size=0, max_readers=MAX_READERS)
        except lmdb.Error as error:
            raise RequestLogUnreadable(f"{self.directory}: {error}") from error

    def _open_writable(self) -> lmdb.Environment:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return lmdb.open(
                os.fspath(self.directory), map_size=self._map_size, mode=0o700, max_readers=MAX_READERS
            )
        except (lmdb.Error, OSError) as error:
            raise RequestLogUnwritable(f"{self.directory}: {error}") from error

    def _shut(self) -> None:
        if self._environment is not None:
            self._environment.close()
            self._environment = None
            self._appended = 0

    def _grow(self, environment: lmdb.Environment) -> None:
        """Make room in a full map: first what dead readers held, then address space up to a limit."""
        size = environment.info()["map_size"]
        if environment.reader_check():
            return
        if size >= self._map_size * MAP_GROWTH:
            raise lmdb.MapFullError(f"the map has grown to {size} bytes; does a reader hold an old snapshot?")
        environment.set_mapsize(size * 2)


def map_size_for(bounds_size: int) -> int:
    """Return the address space to reserve: freed pages are used again a commit later, readers hold some."""
    return 2 * bounds_size + MAP_SLACK


def key_of(last: int) -> bytes:
    """Return the key of the block whose last record has this sequence number."""
    return last.to_bytes(8, "big")


def last_of(key: memoryview | bytes) -> int:
    """Return the sequence number of the last record of the block with this key."""
    return int.from_bytes(key, "big")


def _commit(environment: lmdb.Environment, batch: Batch) -> int:
    pid = os.getpid()
    with environment.begin(write=True, buffers=True) as transaction, transaction.cursor() as cursor:
        last = last_of(cursor.key()) if cursor.last() else 0
        for block, records_checksum in zip(batch.blocks, batch.checksums, strict=True):
            seal(block, records_checksum, last + 1, batch.worker, pid)
            last += block.count
            cursor.put(key_of(last), block, append=True)
        _drop_oldest(transaction, cursor, batch.bounds, last, batch.now_ns)
    return last


def _drop_oldest(
    transaction: lmdb.Transaction[memoryview],
    cursor: lmdb.Cursor[memoryview],
    bounds: Bounds,
    newest: int,
    now_ns: int,
) -> None:
    found = cursor.first()
    for _ in range(TRIM_BLOCKS):
        if not found or last_of(cursor.key()) == newest:
            return
        header = _header_or_none(cursor)
        first = header.first if header else last_of(cursor.key())
        too_many = bounds.records and newest - first >= bounds.records
        # NOTE: an unreadable block has no age; it must not keep those behind it from going.
        too_old = bounds.age_ns and (header is None or header.newest_ns < now_ns - bounds.age_ns)
        too_big = bounds.size and _pages_size(transaction) > bounds.size
        if not (too_many or too_old or too_big):
            return
        found = cursor.delete()


def _header_or_none(cursor: lmdb.Cursor[memoryview]) -> Header | None:
    try:
        return read_header(cursor.value(), last_of(cursor.key()))
    except BlockDamaged:
        return None


def _pages_size(transaction: lmdb.Transaction[memoryview]) -> int:
    stat = transaction.stat()
    return stat["psize"] * (stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"])
