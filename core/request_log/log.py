"""The request log of this process: a buffer to append to, and the thread that brings it to the disk.

Rules: nothing here ever waits in the request path or fails an exchange. While the disk refuses, the newest
half of the buffer is kept and tried again; while it hangs, what comes last is dropped. What is lost is
counted, told in one line now and then, and noted in the next block, so a reader of the log knows it too.

The request-log plugin opens it, one for all its instances in a process, and appends; the control API reads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Annotated, ClassVar

import msgspec

from core._fast.record import BLOCK_SIZE, Block, RecordBuffer
from core.request_log.errors import RequestLogUnwritable
from core.request_log.lines import LineWriter
from core.request_log.reader import RequestLogReader
from core.request_log.record import unstored_records
from core.request_log.store import BlockStore, Bounds, map_size_for

FIRST, MUCH, CLOSE = False, True, None  # what wakes the writer: a first record, many of them, the end
IDLE_SECONDS = 60.0  # between looks at old records while nothing is logged
QUIET_SECONDS = 10.0  # between two lines about the same trouble
CLOSE_SECONDS = 5.0  # waited for a disk that hangs

logger = logging.getLogger("agora.request_log")
AtLeastZero = Annotated[int, msgspec.Meta(ge=0)]


class RequestLogOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how much is kept, and how it gets there."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 512 << 20  # bytes of disk in use
    max_records: AtLeastZero = 0  # records, but the newest block stays; 0: no bound of their own
    max_age: Annotated[float, msgspec.Meta(ge=0)] = 30 * 86400.0  # seconds; 0: no bound of its own
    flush_interval: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 0.2  # seconds
    buffer_bytes: Annotated[int, msgspec.Meta(ge=1 << 17)] = 16 << 20  # memory for what is not yet written
    lines: str = ""  # JSON lines besides: "stdout", a file's path, or "" for none

    def bounds(self) -> Bounds:
        """Return what the store must hold to."""
        return Bounds(records=self.max_records, size=self.max_bytes, age_ns=round(self.max_age * 1e9))


class RequestLogStats(msgspec.Struct, frozen=True):
    """Be what this process's part of the log has done since it was opened."""

    appended: int  # records taken into the buffer
    written: int  # of those, on the disk
    dropped: int  # refused by a full buffer, or given up because the disk refused
    batches: int  # transactions
    failures: int  # transactions that failed
    lines_dropped: int  # JSON lines that nobody took
    buffered_bytes: int  # memory in use for records


class RequestLog:
    """Write one request log, from as many processes as open it; each may open a directory once."""

    _open: ClassVar[dict[Path, RequestLog]] = {}
    _open_lock: ClassVar[Lock] = Lock()

    def __init__(
        self,
        directory: Path,
        options: RequestLogOptions,
        *,
        worker: int = 0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make the log of a directory without touching it. ``worker`` is noted with each record."""
        self.directory = directory
        self.worker = worker
        self._options = options
        self._events: SimpleQueue[bool | None] = SimpleQueue()
        self.buffer = RecordBuffer(options.buffer_bytes, self._events.put)
        self._store = BlockStore(directory, map_size=map_size_for(options.max_bytes))
        self.reader = RequestLogReader(self._store)  # reads in this process
        self._now_ns = now_ns
        self._thread = Thread(target=self._run, name="request-log", daemon=True)
        self._lines: LineWriter | None = None
        self._pending: list[Block] = []
        self._written = self._lost = self._batches = self._failures = self._lines_dropped = 0
        self._quiet_until = 0.0
        self._users = 0

    @classmethod
    def open(cls, directory: Path, options: RequestLogOptions, *, worker: int = 0) -> RequestLog:
        """Return this process's log of a directory, started; each ``open`` wants one ``close``.

        All users share one log, with the options that were given last. Call it after a fork, not before.
        Raises RequestLogUnwritable if the directory cannot be used.
        """
        with cls._open_lock:
            place = directory.resolve()
            log = cls._open.get(place)
            if log is None:
                log = cls(directory, options, worker=worker)
                log.start()
                cls._open[place] = log
            log.configure(options)
            log._users += 1
            return log

    @classmethod
    def opened(cls, directory: Path) -> RequestLog | None:
        """Return this process's log of a directory, if it is open."""
        with cls._open_lock:
            return cls._open.get(directory.resolve())

    def close(self) -> None:
        """Give up one ``open``; the last one writes what is left, waiting for at most five seconds."""
        with self._open_lock:
            self._users -= 1
            if self._users > 0:
                return
            self._open.pop(self.directory.resolve(), None)
            self.stop()

    def start(self) -> None:
        """Open the store and start writing; raise RequestLogUnwritable."""
        self._store.open()
        self._thread.start()

    def stop(self) -> None:
        """Refuse further records, write what is left and close the store."""
        self.buffer.close()
        self._events.put(CLOSE)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            logger.error("request log %s: the disk hangs; the last records are lost", self.directory)

    def configure(self, options: RequestLogOptions) -> None:
        """Change the options; the next batch is written by them."""
        self._options = options
        self.buffer.resize(options.buffer_bytes)
        self._store.reserve(map_size_for(options.max_bytes))

    @property
    def thread_id(self) -> int:
        """Return the writer's thread, whose processor time is the log's cost off the request path."""
        return self._thread.ident or 0

    def stats(self) -> RequestLogStats:
        """Return the counters."""
        return RequestLogStats(
            appended=self.buffer.appended,
            written=self._written,
            dropped=self.buffer.dropped + self._lost,
            batches=self._batches,
            failures=self._failures,
            lines_dropped=self._lines_dropped + (self._lines.dropped if self._lines else 0),
            buffered_bytes=self.buffer.used_bytes,
        )

    # ---- the writer thread

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._wait()
            try:
                self._flush()
            except Exception:  # the thread must outlive whatever one batch does to it
                logger.exception("request log %s: a batch failed", self.directory)
        if self._pending:
            self._give_up(len(self._pending))
            logger.error("request log %s: closed with records that could not be written", self.directory)
        self._choose_lines("")
        self._store.close()

    def _wait(self) -> bool:
        """Wait until a batch is due; True at the end."""
        event = self._next_event(self._options.flush_interval if self._pending else IDLE_SECONDS)
        if event is FIRST:
            event = self._next_event(self._options.flush_interval)
        return event is CLOSE

    def _next_event(self, seconds: float) -> bool | None:
        try:
            return self._events.get(timeout=seconds)
        except Empty:
            return MUCH

    def _flush(self) -> None:
        options = self._options
        fresh = self.buffer.take()
        self._write_lines(fresh, options.lines)
        self._pending += fresh
        try:
            if self._pending:
                self._store.append(self._pending, options.bounds(), self.worker, self._now_ns())
                self._succeed()
            else:
                self._store.trim(options.bounds(), self._now_ns())
        except RequestLogUnwritable as error:
            self._fail(error)

    def _succeed(self) -> None:
        self._batches += 1
        self._written += sum(block.count for block in self._pending)
        self.buffer.recycle(self._pending)
        self._pending = []

    def _fail(self, error: RequestLogUnwritable) -> None:
        self._failures += 1
        keep = max(1, self._options.buffer_bytes // 2 // BLOCK_SIZE)
        self._give_up(max(0, len(self._pending) - keep))
        self._complain(f"{error}; {self._lost + self.buffer.dropped} records lost so far")

    def _give_up(self, count: int) -> None:
        """Drop the oldest blocks that could not be written, and note it in the one behind them."""
        dropped, self._pending = self._pending[:count], self._pending[count:]
        lost = sum(block.count for block in dropped)
        self._lost += lost
        if self._pending:
            self._pending[0].dropped += lost + sum(block.dropped for block in dropped)
        self.buffer.recycle(dropped)

    def _complain(self, trouble: str) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            logger.error("request log %s", trouble)

    # ---- JSON lines

    def _write_lines(self, blocks: list[Block], destination: str) -> None:
        if destination != (self._lines.destination if self._lines else ""):
            self._choose_lines(destination)
        if self._lines is None:
            return
        try:
            for block in blocks:
                self._lines.write(unstored_records(block, self.worker))
            if not blocks:
                self._lines.write([])
        except OSError as error:
            self._complain(f"lines to {destination}: {error}")

    def _choose_lines(self, destination: str) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines_dropped += self._lines.dropped
        self._lines = LineWriter(destination) if destination else None
