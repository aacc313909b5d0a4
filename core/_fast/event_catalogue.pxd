# Which segments an event log has: one value in its database `meta`, read and written whole.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from core._fast.event_layout cimport ID_SIZE
from core._fast.mdb cimport Dbi, Txn

cdef extern from "<endian.h>" nogil:
    uint32_t htole32(uint32_t word)
    uint64_t htole64(uint64_t word)
    uint64_t htobe64(uint64_t word)
    uint64_t be64toh(uint64_t word)

cdef enum:
    HASH_ROOM = 32
    MOST_SEGMENTS = 1000

cdef struct Segment:
    uint32_t number            # from 1, never used again
    uint64_t first             # position of its first event, also while it has none
    int64_t start_ns           # time of the commit that began it
    int64_t end_ns             # a commit from this time on begins the next
    char[HASH_ROOM] hash_before    # of the record before its first; zeros: there was none
    Dbi events, streams, tags, ids     # open while the environment's catalogue names the segment
    char[ID_SIZE] last_id      # its greatest event id, zeros: none; kept only when another segment follows

cdef struct Catalogue:
    uint64_t revision          # grows with every change; 0: not read yet
    int count                  # at least 1 once read; the last is written to
    Segment* segments          # SAFETY: owned; room for MOST_SEGMENTS

# Each returns 0 or a code. Reading fills in all but handles and last_id.
cdef int read_revision(Txn* txn, Dbi meta, uint64_t* revision) noexcept nogil
cdef int read_catalogue(Txn* txn, Dbi meta, Catalogue* catalogue) noexcept nogil
cdef int write_catalogue(Txn* txn, Dbi meta, const Catalogue* catalogue) noexcept nogil

# The index of the segment that holds a position, or would; -1: it was dropped, or is 0.
cdef int find_segment(const Catalogue* catalogue, uint64_t position) noexcept nogil


cdef inline void put_u64(char* to, uint64_t value) noexcept nogil:
    """Write a key's number: big-endian, so that keys sort as numbers do."""
    value = htobe64(value)
    memcpy(to, &value, 8)


cdef inline uint64_t get_u64(const void* at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return be64toh(value)
