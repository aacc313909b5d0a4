# A stream's place in the log: its id, its head, and the positions of its events.
from libc.stdint cimport uint32_t, uint64_t

from core._fast.event_catalogue cimport Catalogue, Segment
from core._fast.mdb cimport Cursor, Dbi, Txn, Val

cdef enum:
    RUN_KEY = 16               # stream id, first version
    RUN_SIZE = 12              # first position, count

cdef struct Run:               # events of one stream that stand next to each other
    uint64_t stream            # its id
    uint64_t version           # of the first
    uint64_t position          # of the first
    uint32_t count             # 0: only says that versions up to the one before were used

# Each returns 0, or a code; MDB_NOTFOUND where nothing is found.
cdef int find_id(Txn* txn, Dbi table, const char* text, uint32_t size, uint64_t* found) noexcept nogil    # 0: none
cdef int add_id(Txn* txn, Dbi table, const char* text, uint32_t size, uint64_t value) noexcept nogil
cdef int find_head(Txn* txn, const Catalogue* catalogue, uint64_t stream, uint64_t* version) noexcept nogil
cdef int put_run(Txn* txn, const Segment* segment, const Run* run) noexcept nogil
# The run of the stream that holds `version`, or begins before it; moves the cursor there.
cdef int seek_run(Cursor* cursor, uint64_t stream, uint64_t version, Run* run) noexcept nogil
cdef int step_run(Cursor* cursor, uint64_t stream, bint backwards, Run* run) noexcept nogil
# The first run of the stream from `version` on.
cdef int seek_run_from(Cursor* cursor, uint64_t stream, uint64_t version, Run* run) noexcept nogil
cdef int read_run(const Val* key, const Val* value, Run* run) noexcept nogil
