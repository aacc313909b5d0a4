"""Read the request log: page by page, forwards or backwards, and follow it while other processes write.

Rules: a block that fails its checksums is reported with the records it held, and reading goes on behind it.
A snapshot is held for a few blocks only, so a slow reader never makes the file grow.
The command `agora requests` and the control API call it; where there is a RequestLog, it lends its store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import lmdb
import msgspec

from core.request_log.block import BlockDamaged, Damage, Header, check_records, read_header
from core.request_log.query import RequestQuery
from core.request_log.record import Record, read_records
from core.request_log.store import BlockStore, key_of, last_of

BLOCKS_AT_ONCE = 32  # read from one snapshot
POLL_SECONDS = 0.05  # between looks at whether somebody has written
FOLLOW_LIMIT = 1000  # records in one page of follow()
EVERYTHING = RequestQuery()


class Page(msgspec.Struct):
    """Be a part of the log."""

    records: list[Record]
    after: int  # pass it as `after` to go on behind this page, in the same direction
    more: bool  # False: the end of the log was reached
    damaged: list[Damage] = []
    dropped: int = 0  # records that writers had to drop while they wrote the blocks read for this page


class RequestLogReader:
    """Read one request log. Methods may be called from any thread; they block, for milliseconds as a rule."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the log in a directory for reading; raise RequestLogMissing or RequestLogUnreadable."""
        store = BlockStore(directory, readonly=True)
        store.open()
        return cls(store)

    def close(self) -> None:
        """Close the log."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def range(self) -> tuple[int, int]:
        """Return the first and last sequence number kept; (1, 0) for an empty log."""
        with self._store.reading() as transaction, transaction.cursor() as cursor:
            if not cursor.first():
                return 1, 0
            try:
                first = read_header(cursor.value(), last_of(cursor.key())).first
            except BlockDamaged:
                first = last_of(cursor.key())
            cursor.last()
            return first, last_of(cursor.key())

    def read(
        self, query: RequestQuery = EVERYTHING, *, after: int = 0, limit: int = 100, reverse: bool = False
    ) -> Page:
        """Return up to ``limit`` records that the query wants, in the log's order or newest first.

        ``after`` is a sequence number to go on behind: above it, or below it in reverse; 0 starts at the end
        where the direction begins. Raises RequestLogUnreadable.
        """
        page = Page([], after, True)
        while page.more and len(page.records) < limit:
            with self._store.reading() as transaction, transaction.cursor() as cursor:
                self._read_blocks(cursor, page, query, limit, reverse)
        return page

    def follow(
        self,
        query: RequestQuery = EVERYTHING,
        *,
        after: int | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Page]:
        """Yield pages with what is wanted, as it is written by any process; None: from now on.

        Ends when ``stop`` is set. Raises RequestLogUnreadable.
        """
        stop = stop or threading.Event()
        position = self.range()[1] if after is None else after
        seen = -1
        while not stop.is_set():
            version = self._store.version()
            if version == seen:
                stop.wait(POLL_SECONDS)
                continue
            page = self.read(query, after=position, limit=FOLLOW_LIMIT)
            position = page.after
            if not page.more:
                seen = version
            if page.records or page.damaged or page.dropped:
                yield page

    def _read_blocks(
        self, cursor: lmdb.Cursor[memoryview], page: Page, query: RequestQuery, limit: int, reverse: bool
    ) -> None:
        """Add what a few blocks hold to the page."""
        found = _seek_back(cursor, page.after) if reverse else cursor.set_range(key_of(page.after + 1))
        for _ in range(BLOCKS_AT_ONCE):
            if not found:
                page.more = False
                return
            _read_block(cursor, page, query, limit, reverse)
            if len(page.records) >= limit:
                return
            found = cursor.prev() if reverse else cursor.next()


def _seek_back(cursor: lmdb.Cursor[memoryview], before: int) -> bool:
    """Move to the block that holds the newest record before a sequence number; 0: the newest of all."""
    if before == 0:
        return cursor.last()
    if before == 1:
        return False
    return cursor.set_range(key_of(before - 1)) or cursor.last()


def _read_block(
    cursor: lmdb.Cursor[memoryview], page: Page, query: RequestQuery, limit: int, reverse: bool
) -> None:
    last = last_of(cursor.key())
    after, before = (0, page.after) if reverse else (page.after, 0)
    try:
        header = read_header(cursor.value(), last)
        if after < header.first and not 0 < before <= last:  # else an earlier page has counted them
            page.dropped += header.dropped
        found: list[Record] = []
        if not query.excludes(header.oldest_ns, header.newest_ns):
            found = read_records(check_records(cursor.value()), header, query.filter, after, before)
    except BlockDamaged as damage:
        first = _first_of(cursor, last)
        page.damaged.append(Damage(first, last, str(damage)))
        page.after = max(first, 1) if reverse else last
    else:
        _add(page, found, header, limit, reverse)


def _first_of(cursor: lmdb.Cursor[memoryview], last: int) -> int:
    """Return the first sequence number of the block under the cursor by the block before it; 0: unknown."""
    if not cursor.prev():
        cursor.first()
        return 0
    first = last_of(cursor.key()) + 1
    cursor.next()
    return first


def _add(page: Page, found: list[Record], header: Header, limit: int, reverse: bool) -> None:
    """Put a block's records on the page, and move its end behind the block or the last record that fits."""
    if reverse:
        found.reverse()
    room = limit - len(page.records)
    page.records += found[:room]
    if len(found) >= room:
        page.after = found[room - 1].sequence
    else:
        page.after = header.first if reverse else header.last
