"""Keep events in one ordered log on disk: append, read, segments, values beside the events.

Rules: positions are 1, 2, 3 and so on without a gap, whoever writes; what `commit` has returned is on the disk.
Every call that may wait runs without the interpreter, so threads may share a store; none may be used after a fork.
core/event_log is the face for asyncio. PERF: bench/event_append.py.
"""

import os
import threading
from datetime import UTC, datetime

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cython cimport final
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from core._fast.clock cimport realtime_ns
from core._fast.envelope cimport Span, check_stream, make_event, raise_damage
from core._fast.event_append cimport Append, Query
from core._fast.event_catalogue cimport Segment
from core._fast.event_layout cimport SOUND
from core._fast.event_reader cimport (
    Piece, find_events_of, find_last, find_matching, find_range, find_value, find_values, find_version,
    free_found,
)
from core._fast.event_making cimport make_log
from core._fast.event_segments cimport begin_segment, drop_oldest
from core._fast.event_trouble cimport LOG_DAMAGED, SEGMENT_OVER
from core._fast.mdb cimport COPY_COMPACT, Dbi, Info, Stat, Txn, Val, mdb

from core.event_log.errors import LogUnwritable

DAY_NS = 86400 * 1_000_000_000
DAYS_AT_MOST = 3650
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
cdef uint64_t NEWEST = 0x7fffffffffffffff


def segment_end(now_ns, days):
    """Return when the segment of a time ends, in ns since 1970: after `days` days, or with the month (UTC) for 0."""
    if days:
        return (now_ns // (days * DAY_NS) + 1) * days * DAY_NS
    day = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    following = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return int(following.timestamp()) * 1_000_000_000


@final
cdef class SegmentInfo:
    """A segment: its number, its first position, how many events it has, and its times in ns since 1970."""

    cdef readonly int number
    cdef readonly unsigned long long first_position
    cdef readonly unsigned long long events
    cdef readonly long long start_ns
    cdef readonly long long end_ns
    cdef readonly unsigned long long used_bytes

    def __repr__(self):
        return f"SegmentInfo(number={self.number}, first_position={self.first_position}, events={self.events})"


cdef class EventStore:
    """Open the event log in a directory; make it unless `make` is false.

    `map_size`: how far the log may grow before its map does, in bytes of address space. `segment_days`: days of a
    segment, 0 for calendar months (UTC). Raises LogMissing, LogInUse and LogUnreadable.
    """

    def __init__(self, str path not None, *, size_t map_size=64 << 30, int segment_days=0, bint make=True,
                 bint read_only=False, now_ns=None):
        if not 0 <= segment_days <= DAYS_AT_MOST:
            raise ValueError(f"a segment has 1 to {DAYS_AT_MOST} days, or 0 for a month, not {segment_days}")
        now = realtime_ns() if now_ns is None else now_ns
        self.segment_days = segment_days
        self.committing = threading.Lock()
        if make and not read_only and not os.path.exists(os.path.join(path, "data.mdb")):
            make_log(path, map_size, now, segment_end(now, segment_days))
        self.env = EventEnv(path, map_size=map_size, make=make, read_only=read_only, now_ns=now,
                            end_ns=segment_end(now, segment_days))
        self.writer = EventWriter(self.env)
        # NOTE: not only when it is made now: whoever made it may have died before this.
        if make and not read_only and self.last_position() == 0:
            self.keep_entries()

    cdef int keep_entries(self) except -1:
        try:
            keep_entry(self.path)
            keep_entry(os.path.dirname(os.path.abspath(self.path)))
        except OSError as error:
            self.env.close()
            raise LogUnwritable(f"{self.path}, its entry", error.errno) from error
        return 0

    def close(self):
        """Wait for what is under way and close the log; more often is harmless."""
        self.env.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def path(self):
        """Return the log's directory."""
        return self.env.path

    @property
    def identity(self):
        """Return the 16 bytes that were drawn when the log was made."""
        return self.env.identity

    # -- appending --------------------------------------------------------------------------------------------

    def commit(self, list appends not None, now_ns=None):
        """Commit a batch in one transaction; return an Appended or an EventLogError for each, in order.

        `now_ns`: the time of events that have none of their own. Raises LogFull if there is no room on the disk,
        LogUnwritable if the disk failed, then for every later call too; nothing of the batch is acknowledged.
        """
        cdef Py_ssize_t count = len(appends)
        cdef Py_ssize_t index
        cdef AppendPart** parts
        cdef int64_t now = realtime_ns() if now_ns is None else now_ns
        for append in appends:
            if type(append) is not Append:
                raise TypeError(f"a batch holds Appends, not {type(append).__name__}")
        # SAFETY: the list may change while the interpreter is free; this one may not.
        cdef tuple held = tuple(appends)
        parts = <AppendPart**>PyMem_RawMalloc((count or 1) * sizeof(AppendPart*))
        if parts == NULL:
            raise MemoryError
        try:
            for index in range(count):
                parts[index] = &(<Append>held[index]).part
            with self.committing:
                self.run(parts, count, now)
                return [(<Append>append).result() for append in held]
        finally:
            PyMem_RawFree(parts)

    cdef int run(self, AppendPart** parts, Py_ssize_t count, int64_t now_ns) except -1:
        cdef EventWriter writer = self.writer
        cdef EventEnv env = self.env
        cdef int64_t end_ns
        cdef int code
        while True:
            with nogil:
                code = writer.commit(parts, count, now_ns)
            if code == SEGMENT_OVER:
                end_ns = segment_end(now_ns, self.segment_days)
                with nogil:
                    code = begin_segment(env, now_ns, end_ns)
                if code == 0:
                    continue
            if code:
                env.refuse(code, True)
            return 0

    # -- reading ----------------------------------------------------------------------------------------------

    def last_position(self):
        """Return the position of the last event, 0 if there never was one."""
        cdef EventEnv env = self.env
        cdef uint64_t position
        cdef int code
        with nogil:
            code = find_last(env, &position)
        if code:
            env.refuse(code, False)
        return position

    def head(self, stream):
        """Return the version of a stream's last event, 0 if it never had one."""
        cdef EventEnv env = self.env
        cdef Span name = check_stream(stream)
        cdef uint64_t version
        cdef int code
        with nogil:
            code = find_version(env, name.data, <uint32_t>name.size, &version)
        if code:
            env.refuse(code, False)
        return version

    def read(self, uint64_t first=1, uint32_t limit=1000, *, bint backwards=False, size_t max_bytes=1 << 20):
        """Return events from a position on, or from it down: at most `limit`, and at most one past `max_bytes`."""
        cdef EventEnv env = self.env
        cdef Found found
        cdef int code
        memset(&found, 0, sizeof(found))
        found.most = limit
        found.most_bytes = max_bytes
        with nogil:
            code = find_range(env, first, backwards, &found)
        return self.events(&found, code)

    def read_stream(self, stream, first=None, uint32_t limit=1000, *, bint backwards=False, size_t max_bytes=1 << 20):
        """Return a stream's events from a version on, or from it down; by default all, or all from the last down."""
        cdef EventEnv env = self.env
        cdef Span name = check_stream(stream)
        cdef uint64_t version = (NEWEST if backwards else 1) if first is None else first
        cdef Found found
        cdef int code
        memset(&found, 0, sizeof(found))
        found.most = limit
        found.most_bytes = max_bytes
        with nogil:
            code = find_events_of(env, name.data, <uint32_t>name.size, version, backwards, &found)
        return self.events(&found, code)

    def read_matching(self, Query query not None, uint64_t after=0, uint32_t limit=1000, *, size_t max_bytes=1 << 20):
        """Return the events after a position that a query matches, and the position up to which all are named."""
        cdef EventEnv env = self.env
        cdef Found found
        cdef int code
        memset(&found, 0, sizeof(found))
        found.reached = after
        found.most = limit
        found.most_bytes = max_bytes
        with nogil:
            code = find_matching(env, &query.part, after, &found)
        events = self.events(&found, code)
        return events, found.reached

    cdef list events(self, Found* found, int code):
        """Make events of what was found, and free it."""
        cdef list made = []
        cdef Piece* piece
        cdef uint32_t index
        try:
            if code == LOG_DAMAGED and found.damage != SOUND:
                piece = &found.pieces[found.count - 1]
                raise_damage(found.damage, found.data + piece.offset, <Py_ssize_t>piece.size, piece.position)
            if code:
                self.env.refuse(code, False)
            for index in range(found.count):
                piece = &found.pieces[index]
                made.append(make_event(found.data + piece.offset, <Py_ssize_t>piece.size, piece.position, False))
        finally:
            free_found(found)
        return made

    # -- values beside the events -----------------------------------------------------------------------------

    def get_state(self, bytes key not None):
        """Return a value, or None."""
        return get_value(self.env, self.env.state, key)

    def get_key(self, bytes subject not None):
        """Return what the database of keys holds for a subject, or None."""
        return get_value(self.env, self.env.keys, subject)

    def scan_state(self, bytes prefix=b"", bytes after=b"", uint32_t limit=1000, *, size_t max_bytes=1 << 20):
        """Return (key, value) of the keys with a prefix, in order; from the one after `after` on, if given.

        As many as `limit` and `max_bytes` allow, at least one; all as they were at one moment.
        """
        return scan(self.env, self.env.state, True, prefix, after, limit, max_bytes)

    def scan_keys(self, bytes after=b"", uint32_t limit=1000):
        """Return (subject, key) in order; from the one after `after` on, if given."""
        return scan(self.env, self.env.keys, True, b"", after, limit)

    def stream_names(self, str prefix="", str after="", uint32_t limit=1000):
        """Return the names of streams with a prefix, in order of their bytes; from the one after `after` on."""
        found = scan(self.env, self.env.streams, False, prefix.encode(), after.encode(), limit)
        return [name.decode() for name, _ in found]

    def index_names(self, str prefix="", str after="", uint32_t limit=1000):
        """Return the names that queries may hold, ``type:...`` and ``tag:...``, with a prefix, in order."""
        found = scan(self.env, self.env.tags, False, prefix.encode(), after.encode(), limit)
        return [name.decode() for name, _ in found]

    # -- the whole --------------------------------------------------------------------------------------------

    def segments(self):
        """Return a SegmentInfo of each segment, oldest first; the last is the one that is written to."""
        cdef EventEnv env = self.env
        cdef Segment* segment
        cdef SegmentInfo info
        cdef Txn* txn
        cdef Stat stat
        cdef list found = []
        cdef int index, code
        with nogil:
            code = env.begin_read(&txn)
        if code:
            env.refuse(code, False)
        for index in range(env.catalogue.count):
            segment = &env.catalogue.segments[index]
            info = SegmentInfo.__new__(SegmentInfo)
            info.number = segment.number
            info.first_position = segment.first
            info.start_ns = segment.start_ns
            info.end_ns = segment.end_ns
            if mdb.stat(txn, segment.events, &stat) == 0:
                info.events = stat.entries
                info.used_bytes = pages_of(&stat)
            for table in (segment.streams, segment.tags, segment.ids):
                if mdb.stat(txn, table, &stat) == 0:
                    info.used_bytes += pages_of(&stat)
            found.append(info)
        env.end_read(txn)
        return found

    def release_dead_readers(self):
        """Let go of what readers held whose processes died; return how many there were.

        Until then no page that they could see is used again, and the file grows.
        """
        cdef EventEnv env = self.env
        cdef int dead = 0
        cdef int code
        with nogil:
            code = env.release_dead_readers(&dead)
        if code:
            env.refuse(code, False)
        return dead

    def drop_segment(self, uint32_t number):
        """Drop the oldest segment with all its events, if it has that number and is not the only one; tell if so."""
        cdef EventEnv env = self.env
        cdef bint dropped
        cdef int code
        with self.committing, nogil:
            code = drop_oldest(env, number, &dropped)
        if code:
            env.refuse(code, True)
        return dropped

    def copy(self, str path not None, *, bint compact=True):
        """Copy the log, as it is now, into an empty directory, while others go on; compact leaves out free pages."""
        cdef EventEnv env = self.env
        cdef bytes encoded = os.fsencode(path)
        cdef const char* c_path = encoded
        cdef Txn* txn
        cdef int code
        os.makedirs(path, mode=0o700, exist_ok=True)
        with nogil:
            code = env.begin_read(&txn)
            if code == 0:
                code = mdb.env_copy2(env.env, c_path, COPY_COMPACT if compact else 0)
                env.end_read(txn)
        if code:
            env.refuse(code, True)
        with open(os.path.join(path, "data.mdb"), "rb") as copied:
            os.fsync(copied.fileno())
        keep_entry(path)

    def map_size(self):
        """Return how far the log may grow before its map does, in bytes, and how much of that is used."""
        cdef EventEnv env = self.env
        cdef Txn* txn
        cdef Info info
        cdef int code
        with nogil:
            code = env.begin_read(&txn)
            if code == 0:
                code = mdb.env_info(env.env, &info)
                env.end_read(txn)
        if code:
            env.refuse(code, False)
        return info.map_size, (info.last_page + 1) * PAGE_SIZE


cdef uint64_t pages_of(const Stat* stat) noexcept:
    """Return the bytes of a database's pages."""
    return (stat.branch_pages + stat.leaf_pages + stat.overflow_pages) * stat.page_size


cdef object keep_entry(str directory):
    """Bring a directory's entries to the disk, so that a new file in it outlives the machine."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


cdef object get_value(EventEnv env, Dbi table, bytes key):
    cdef Val wanted = Val(<size_t>PyBytes_GET_SIZE(key), PyBytes_AS_STRING(key))
    cdef Found found
    cdef int code
    if not key:
        return None
    memset(&found, 0, sizeof(found))
    found.most = 1
    with nogil:
        code = find_value(env, table, &wanted, &found)
    try:
        if code:
            env.refuse(code, False)
        return PyBytes_FromStringAndSize(found.data, <Py_ssize_t>found.used) if found.count else None
    finally:
        free_found(&found)


cdef list scan(EventEnv env, Dbi table, bint checked, bytes prefix, bytes after, uint32_t limit,
               size_t max_bytes=1 << 20):
    cdef Val prefix_val = Val(<size_t>PyBytes_GET_SIZE(prefix), PyBytes_AS_STRING(prefix))
    cdef Val after_val = Val(<size_t>PyBytes_GET_SIZE(after), PyBytes_AS_STRING(after))
    cdef Found found
    cdef uint32_t index
    cdef list pairs = []
    cdef int code
    if after and after < prefix:
        after_val.size = 0
    memset(&found, 0, sizeof(found))
    found.most = min(2 * <uint64_t>limit, <uint64_t>0xfffffffe)
    found.most_bytes = max_bytes
    with nogil:
        code = find_values(env, table, checked, &prefix_val, &after_val, &found)
    try:
        if code:
            env.refuse(code, False)
        for index in range(0, found.count, 2):
            pairs.append((piece_of(&found, index), piece_of(&found, index + 1)))
    finally:
        free_found(&found)
    return pairs


cdef bytes piece_of(const Found* found, uint32_t index):
    return PyBytes_FromStringAndSize(found.data + found.pieces[index].offset, <Py_ssize_t>found.pieces[index].size)
