"""Encode exchanges compactly into a bounded buffer of blocks.

A block is room for a header (core/request_log/block.py writes it) and then records, each of them

    mask      32 bits, little endian: two for each text. 0 absent, 1 the same as the text's last value in
              this block, 2 a new value, 3 a new value that was cut to the text's limit
    numbers   varints: status, time (zigzag, from the record before; the first from 0), duration,
              upstream time + 1 (0: none), bytes in, bytes out, attempts, flags
    texts     for each new value: varint length, bytes

so a route, a host or a client that returns costs two bits. Rule: appending never blocks, never raises for a
full buffer and never holds more than its limit; what has no room is counted.
The log phase appends (C level), the request log's writer thread takes. core/_fast/record_scan reads.

SAFETY: no lock. Everything here runs with the GIL held and calls no Python code while its state is halfway.
PERF: bench/request_log.py.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.string cimport memcmp, memcpy, memset

cdef enum:
    HEADER_ROOM = 56
    BLOCK_CAPACITY = 65520     # 16 pages of LMDB, less the header of an overflow page
    # mask, eight varints, a two-byte length for each text, the texts
    RECORD_MAX = 4 + 8 * 10 + TEXT_COUNT * 2 + 2 * LONG_TEXT + (TEXT_COUNT - 2) * SHORT_TEXT

HEADER_SIZE = HEADER_ROOM
BLOCK_SIZE = BLOCK_CAPACITY
TEXTS = (
    "method", "path", "query", "host", "route", "upstream", "target", "client", "request_id", "trace_id",
    "consumer", "problem", "protocol", "user_agent",
)
TEXT_LIMITS = {name: LONG_TEXT if name in ("path", "query") else SHORT_TEXT for name in TEXTS}
FLAGS = ("aborted", "upgraded", "cached", "tls")
cdef dict TEXT_INDEX = {name: index for index, name in enumerate(TEXTS)}


cdef inline char* put_varint(char* out, uint64_t value) noexcept nogil:
    while value >= 0x80:
        out[0] = <char>(value | 0x80)
        out += 1
        value >>= 7
    out[0] = <char>value
    return out + 1


cdef inline uint64_t not_negative(int64_t value) noexcept nogil:
    return <uint64_t>value if value > 0 else 0


cdef class Block:
    """Hold records in the order in which they were appended; a writable buffer of header and records."""

    def __cinit__(self):
        self.data = <char*>PyMem_RawMalloc(BLOCK_CAPACITY)
        if self.data == NULL:
            raise MemoryError
        memset(self.data, 0, HEADER_ROOM)
        self.reset()

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 0, flags)

    cdef void reset(self) noexcept:
        self.size = HEADER_ROOM
        self.count = 0
        self.oldest_ns = self.newest_ns = self.last_ns = 0
        self.dropped = 0
        memset(self.seen, 0, sizeof(self.seen))

    cdef void write(self, const RecordFields* fields) noexcept nogil:
        # SAFETY: the caller has seen to it that RECORD_MAX bytes are free.
        cdef char* start = self.data + self.size
        cdef char* out = put_numbers(start + 4, fields, self.last_ns)
        cdef uint32_t mask = 0
        cdef uint32_t code, size
        cdef const char* text
        cdef Seen* seen
        cdef int index
        for index in range(<int>TEXT_COUNT):
            size = fields.text[index].size
            if size == 0:
                continue
            code = NEW
            if size > text_limit(index):
                size = text_limit(index)
                code = CUT
            text = fields.text[index].data
            seen = &self.seen[index]
            if seen.size == size and seen.code == code and memcmp(self.data + seen.offset, text, size) == 0:
                mask |= <uint32_t>SAME << (2 * index)
                continue
            out = put_varint(out, size)
            seen.offset = <uint32_t>(out - self.data)
            seen.size = size
            seen.code = code
            memcpy(out, text, size)
            out += size
            mask |= code << (2 * index)
        put_mask(start, mask)
        self.size = <uint32_t>(out - self.data)
        if self.count == 0 or fields.time_ns < self.oldest_ns:
            self.oldest_ns = fields.time_ns
        if self.count == 0 or fields.time_ns > self.newest_ns:
            self.newest_ns = fields.time_ns
        self.last_ns = fields.time_ns
        self.count += 1


cdef inline void put_mask(char* out, uint32_t mask) noexcept nogil:
    out[0] = <char>mask
    out[1] = <char>(mask >> 8)
    out[2] = <char>(mask >> 16)
    out[3] = <char>(mask >> 24)


cdef inline char* put_numbers(char* out, const RecordFields* fields, int64_t last_ns) noexcept nogil:
    cdef int64_t moved = <int64_t>(<uint64_t>fields.time_ns - <uint64_t>last_ns)
    out = put_varint(out, fields.status)
    out = put_varint(out, (<uint64_t>moved << 1) ^ <uint64_t>(moved >> 63))
    out = put_varint(out, not_negative(fields.duration_ns))
    out = put_varint(out, 0 if fields.upstream_ns < 0 else <uint64_t>fields.upstream_ns + 1)
    out = put_varint(out, not_negative(fields.bytes_in))
    out = put_varint(out, not_negative(fields.bytes_out))
    out = put_varint(out, fields.attempts)
    return put_varint(out, fields.flags)


cdef class RecordBuffer:
    """Gather encoded records until a writer takes them; holds at most ``limit_bytes`` of blocks.

    ``wake`` is called with False when a record arrives in an empty buffer and with True when a quarter
    of the limit is waiting. It must not raise and not wait (``queue.SimpleQueue.put`` fits).
    """

    def __init__(self, Py_ssize_t limit_bytes, wake=None):
        self.sealed = []
        self.spare = []
        self.wake = wake
        self.asleep = True
        self.resize(limit_bytes)

    def resize(self, Py_ssize_t limit_bytes):
        """Set how many bytes of blocks may be in use, taken ones included; at least two blocks."""
        self.limit = max(2, limit_bytes // BLOCK_CAPACITY)

    cdef int append(self, const RecordFields* fields) except -1:
        cdef bint much = False
        if self.block is None or self.block.size + RECORD_MAX > BLOCK_CAPACITY:
            if not self.roll():
                self.dropped += 1
                self.dropped_here += 1
                return 0
            much = len(self.sealed) == max(1, self.limit // 4)
        self.block.write(fields)
        self.appended += 1
        if self.asleep or much:
            self.asleep = False
            if self.wake is not None:
                self.wake(much)
        return 0

    cdef bint roll(self) except -1:
        """Begin a new block; False if there may be none."""
        cdef Block fresh
        if self.closed or self.blocks >= self.limit:
            return False
        # NOTE: Block has no references, so making one never runs the cycle collector, thus no foreign code.
        if self.spare:
            fresh = <Block>self.spare.pop()
        else:
            try:
                fresh = Block()
            except MemoryError:
                return False
        if self.block is not None:
            self.sealed.append(self.block)
        fresh.dropped = self.dropped_here
        self.dropped_here = 0
        self.block = fresh
        self.blocks += 1
        return True

    def append_fields(self, *, unsigned int status=0, long long time_ns=0, long long duration_ns=0,
                      long long upstream_ns=-1, long long bytes_in=0, long long bytes_out=0,
                      unsigned int attempts=0, unsigned int flags=0, **texts):
        """Append one record from Python values; texts are bytes, by their names in TEXTS."""
        cdef RecordFields fields
        cdef int index
        cdef bytes value
        memset(&fields, 0, sizeof(fields))
        for name, value in texts.items():
            if name not in TEXT_INDEX:
                raise TypeError(f"a record has no text {name!r}; it has {', '.join(TEXTS)}")
            index = TEXT_INDEX[name]
            fields.text[index].data = value
            fields.text[index].size = <uint32_t>min(len(value), LONG_TEXT + 1)
        fields.status = status
        fields.time_ns = time_ns
        fields.duration_ns = duration_ns
        fields.upstream_ns = upstream_ns
        fields.bytes_in = bytes_in
        fields.bytes_out = bytes_out
        fields.attempts = attempts
        fields.flags = flags
        self.append(&fields)

    def take(self):
        """Return the blocks filled so far, oldest first; give them back with ``recycle`` when done."""
        cdef list fresh = []
        cdef list taken = self.sealed
        cdef Block block = self.block
        self.sealed = fresh
        self.block = None
        self.asleep = True
        if block is not None:
            taken.append(block)
        return taken

    def recycle(self, list blocks):
        """Make room for as many new blocks, and keep the memory of a quarter of the limit at most."""
        cdef Block block
        for block in blocks:
            self.blocks -= 1
            if len(self.spare) < self.limit // 4:
                block.reset()
                self.spare.append(block)

    def close(self):
        """Refuse further records: they are counted as dropped."""
        self.closed = True

    @property
    def used_bytes(self):
        """Return the memory of all blocks in use, in bytes."""
        return self.blocks * BLOCK_CAPACITY
