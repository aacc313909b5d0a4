"""The event log of one directory, for a process with an event loop: append, read, follow.

Rules: appends are committed in the order in which they are submitted, those that wait at the same time in
one transaction; each is answered when it is on the disk. Whoever follows gets every event once, in order,
whichever process appended it. Several processes may have a log open; one process has it open once.

Reads are synchronous: each is a short transaction over mapped memory, a few microseconds and less than one
more for each event.

NOTE: an event can be read a moment before the disk has confirmed it (the commit's last write), not before it
can be lost only together with the whole machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from core._fast.envelope import Draft, Event
from core._fast.event_append import ANY, Append, Appended, Query
from core._fast.event_committer import Committer
from core._fast.event_store import EventStore
from core.event_log.errors import LogClosed
from core.event_log.filter import EVERYTHING, Filter
from core.written_file import WrittenFile

LOOK_AGAIN, LOOK_AGAIN_AT_MOST = 0.001, 1.0  # seconds
MAP_SIZE = 64 << 30  # bytes of address space that the log grows in before its map does
NAMES_AT_ONCE = 1000

Write = tuple[str, int, Iterable[Draft]]  # stream, expected version, events


class Page(NamedTuple):
    """Some events in order, and the position up to which there are no others that were wanted."""

    events: list[Event]
    reached: int


class EventLog:
    """Open the log in a directory, or make it.

    map_size:     bytes the log may take before its map has to grow
    segment_days: days of a segment; 0: a calendar month (UTC)
    Raises LogMissing, LogInUse and LogUnreadable.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        map_size: int = MAP_SIZE,
        segment_days: int = 0,
        read_only: bool = False,
        make: bool = True,
    ) -> None:
        self.store = EventStore(
            str(path), map_size=map_size, segment_days=segment_days, read_only=read_only, make=make
        )
        self.path = Path(path)
        self._committer: Committer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: asyncio.Future[Appended] | None = None
        self._written: WrittenFile | None = None
        self._waiters: list[tuple[int, asyncio.Future[int]]] = []
        self._look: asyncio.TimerHandle | None = None
        self._closing = False

    async def close(self) -> None:
        """Wait for what was submitted, then close; who waits gets LogClosed. More often is harmless."""
        if self._closing:
            return
        self._closing = True
        if self._committer is not None and self._loop is not None:
            while len(self._committer) and self._last is not None:
                await asyncio.wait([self._last])
            self._loop.remove_reader(self._committer.wake)
            self._committer.close()
        if self._written is not None:
            self._written.close()
        if self._look is not None:
            self._look.cancel()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._closed())
        self._waiters.clear()
        self.store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- appending -------------------------------------------------------------------------------------------

    def submit(self, append: Append) -> asyncio.Future[Appended]:
        """Hand an append over; the future is done when it is on the disk, or has an EventLogError.

        Cancelling the future does not take the append back.
        """
        if self._closing:
            raise self._closed()
        if self._committer is None:
            self._start()
        assert self._committer is not None
        self._last = future = self._committer.submit(append)
        return future

    async def append(
        self,
        stream: str,
        drafts: Sequence[Draft],
        expected: int = ANY,
        *,
        unless: Query | None = None,
        after: int = 0,
        state: Iterable[tuple[bytes, bytes | None]] = (),
    ) -> Appended:
        """Append events to one stream, if it is at the expected version; see Append for the rest.

        Raises VersionConflict, ConditionFailed, EventIdConflict, EventInvalid, LogFull, LogUnwritable and
        LogClosed.
        """
        return await self.submit(
            Append([(stream, expected, drafts)], unless=unless, after=after, state=state)
        )

    async def append_all(
        self,
        writes: Iterable[Write] = (),
        *,
        checks: Iterable[tuple[str, int]] = (),
        unless: Query | None = None,
        after: int = 0,
        state: Iterable[tuple[bytes, bytes | None]] = (),
    ) -> Appended:
        """Append events to several streams, and state, all or nothing; see Append."""
        return await self.submit(Append(writes, checks=checks, unless=unless, after=after, state=state))

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._committer = Committer(self.store, self._loop.create_future)
        self._loop.add_reader(self._committer.wake, self._committer.collect)

    # -- reading ---------------------------------------------------------------------------------------------

    def last_position(self) -> int:
        """Return the position of the last event; 0: there was none."""
        return self.store.last_position()

    def head(self, stream: str) -> int:
        """Return the version of a stream's last event; 0: it has none."""
        return self.store.head(stream)

    def read(
        self, stream: str, first: int | None = None, limit: int = 1000, *, backwards: bool = False
    ) -> list[Event]:
        """Return a stream's events from a version on, or from it down; by default from its first, or last."""
        return self.store.read_stream(stream, first, limit, backwards=backwards)

    def read_all(self, after: int = 0, where: Filter = EVERYTHING, limit: int = 1000) -> Page:
        """Return the wanted events after a position; for what is left of them, ask after `reached`."""
        last = self.store.last_position()
        if after >= last:
            return Page([], after)
        if where.types or where.tags:
            events, reached = self.store.read_matching(self._query(where), after, limit)
            # NOTE: beyond `last` there may be types that the query does not name.
            if reached > last:
                events, reached = [event for event in events if event.position <= last], last
        else:
            events = self.store.read(after + 1, limit)
            reached = events[-1].position if events else last
        if where.by_place:
            events = [event for event in events if where.takes_place(event)]
        return Page(events, reached)

    def _query(self, where: Filter) -> Query:
        tags = tuple(f"tag:{tag}" for tag in where.tags)
        if not where.types:
            return Query([tags])
        return Query([(name, *tags) for name in self._type_names(where.types)])

    def _type_names(self, prefixes: Iterable[str]) -> list[str]:
        """Return the names of the types with one of some prefixes."""
        names: set[str] = set()
        for prefix in prefixes:
            found = self.store.index_names(f"type:{prefix}", limit=NAMES_AT_ONCE)
            names.update(found)
            while len(found) == NAMES_AT_ONCE:
                found = self.store.index_names(f"type:{prefix}", found[-1], NAMES_AT_ONCE)
                names.update(found)
        return sorted(names)

    def get_state(self, key: bytes) -> bytes | None:
        """Return a value that was appended as state; None: there is none."""
        return self.store.get_state(key)

    def scan_state(self, prefix: bytes, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, bytes]]:
        """Return (key, value) of the keys with a prefix, in order, from the one after `after` on."""
        return self.store.scan_state(prefix, after, limit)

    # -- following -------------------------------------------------------------------------------------------

    async def follow(
        self, after: int = 0, where: Filter = EVERYTHING, limit: int = 1000
    ) -> AsyncIterator[Page]:
        """Yield pages from a position on, for ever: what is there, then what comes, from any process.

        A page may be empty: then only its `reached` is news. Raises LogClosed when the log is closed.
        """
        while True:
            page = self.read_all(after, where, limit)
            if page.reached == after:
                await self.wait_beyond(after)
                continue
            after = page.reached
            yield page
            await asyncio.sleep(0)  # others have their turn, also while there is much to catch up with

    async def wait_beyond(self, position: int) -> int:
        """Return the last position as soon as it is beyond one. Raises LogClosed when the log is closed."""
        if self._closing:
            raise self._closed()
        if self._written is None:
            self._written = WrittenFile(self.path / "data.mdb", self._wake)
        last = self.store.last_position()
        if last > position:
            return last
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append((position, waiter))
        self._look_again(LOOK_AGAIN)
        try:
            return await waiter
        finally:
            self._waiters = [entry for entry in self._waiters if entry[1] is not waiter]

    def _wake(self, next_look: float = LOOK_AGAIN) -> None:
        """Wake who waits for what is there now, and look again for the others."""
        if not self._waiters:
            return
        last = self.store.last_position()
        patient = False
        for position, waiter in self._waiters:
            if last <= position:
                patient = True
            elif not waiter.done():
                waiter.set_result(last)
        if patient:
            self._look_again(next_look)

    def _look_again(self, delay: float) -> None:
        # NOTE: the kernel tells of a commit's last write a moment before LMDB shows the commit to readers;
        # a writer that is held up, or dies, in that moment makes it longer.
        if self._look is not None:
            self._look.cancel()
        next_look = min(2 * delay, LOOK_AGAIN_AT_MOST)
        self._look = asyncio.get_running_loop().call_later(delay, self._wake, next_look)

    def _closed(self) -> LogClosed:
        return LogClosed(f"the event log in {self.path} is closed in this process")
