# A stream's place in the log: its id, its head, and where to begin among its events.
from libc.stdint cimport uint32_t, uint64_t

from core._fast.event_catalogue cimport Catalogue, Segment
from core._fast.mdb cimport Cursor, Dbi, Txn, Val

cdef enum:
    NAME_SIZE = 12             # of a tag's value: CRC, id
    STREAM_SIZE = 28           # CRC, id, version, position
    MARK_KEY = 16              # stream id, version
    MARK_SIZE = 8              # position
    MARK_EVERY = 64            # versions

cdef struct Stream:            # zeroed: there is none
    uint64_t id
    uint64_t version           # of its last event
    uint64_t position          # of its last event, also when that was dropped

# Each returns 0, or a code; MDB_NOTFOUND where nothing is found.
cdef int find_tag(Txn* txn, Dbi tags, const char* text, uint32_t size, uint64_t* found) noexcept nogil    # 0: none
cdef int add_tag(Txn* txn, Dbi tags, const char* text, uint32_t size, uint64_t id) noexcept nogil
cdef int find_stream(Txn* txn, Dbi streams, const char* text, uint32_t size, Stream* found) noexcept nogil
cdef int put_stream(Txn* txn, Dbi streams, const char* text, uint32_t size, const Stream* stream) noexcept nogil
cdef int open_tag(const Val* key, const Val* value, uint64_t* found) noexcept nogil
cdef int open_stream(const Val* key, const Val* value, Stream* found) noexcept nogil

cdef int put_mark(Txn* txn, const Segment* segment, const Stream* at) noexcept nogil
# The stream's first mark at a version or beyond it, in the segments from `index` on; moves `index` there.
cdef int find_mark(Txn* txn, const Catalogue* catalogue, uint64_t version, int* index, Stream* at) noexcept nogil


cdef struct StreamWalk:        # from one event of a stream to another, within a transaction
    Txn* txn
    const Catalogue* catalogue
    Cursor* cursor             # of the segment at `index`; NULL: none is open
    int index

cdef void begin_stream_walk(StreamWalk* walk, Txn* txn, const Catalogue* catalogue) noexcept nogil
# Find the record at a position; MDB_NOTFOUND: it was dropped.
cdef int walk_to(StreamWalk* walk, uint64_t position, Val* record) noexcept nogil
# Go to the event before, after a look whether this one stands where it should; before the first: zeros.
cdef int step_down(StreamWalk* walk, Stream* at) noexcept nogil
cdef void end_stream_walk(StreamWalk* walk) noexcept nogil
