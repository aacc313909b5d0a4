# The compact record of one exchange, and the bounded buffer that the log phase appends it to.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum Text:                # the texts of a record, in the order in which they are written
    T_METHOD
    T_PATH                     # normalised path
    T_QUERY
    T_HOST
    T_ROUTE                    # name of the route
    T_UPSTREAM                 # name of the upstream
    T_TARGET                   # the server that answered, or app, respond, model
    T_CLIENT                   # the client's address
    T_REQUEST_ID
    T_TRACE_ID
    T_CONSUMER
    T_PROBLEM                  # slug of the refusal or failure
    T_PROTOCOL                 # http/1.1, websocket, ...
    T_USER_AGENT
    TEXT_COUNT

cdef enum RecordFlag:
    RECORD_ABORTED = 1         # the client went away before the answer's end
    RECORD_UPGRADED = 2        # the connection became a tunnel
    RECORD_CACHED = 4          # answered from the cache
    RECORD_TLS = 8             # the client's connection was encrypted

cdef enum Code:                # what a record's mask says of a text
    ABSENT
    SAME                       # as its last value in this block
    NEW
    CUT                        # new, and cut to the text's limit

cdef enum:
    LONG_TEXT = 1024           # bytes kept of a path and of a query
    SHORT_TEXT = 256           # bytes kept of any other text

cdef inline uint32_t text_limit(int index) noexcept nogil:
    return LONG_TEXT if index == T_PATH or index == T_QUERY else SHORT_TEXT

cdef struct Slice:
    const char* data
    uint32_t size              # 0: absent

cdef struct RecordFields:      # zero it, then fill in what is known
    Slice text[TEXT_COUNT]
    int64_t time_ns            # wall clock when the exchange began
    int64_t duration_ns
    int64_t upstream_ns        # until the upstream or application answered; -1: none was asked
    int64_t bytes_in
    int64_t bytes_out
    uint32_t status            # 0: no answer was sent
    uint32_t attempts          # how often one was asked
    uint32_t flags             # RecordFlag

cdef struct Seen:              # where a text was last written in the block, for "the same again"
    uint32_t offset
    uint32_t size
    uint32_t code

cdef class Block:
    cdef char* data            # SAFETY: owned; BLOCK_SIZE bytes, freed with the Block
    cdef uint32_t size         # bytes used, with the room for the header
    cdef readonly uint32_t count
    cdef readonly int64_t oldest_ns
    cdef readonly int64_t newest_ns
    cdef public uint64_t dropped       # records lost before this block's first
    cdef int64_t last_ns
    cdef Seen seen[TEXT_COUNT]

    cdef void reset(self) noexcept
    cdef void write(self, const RecordFields* fields) noexcept nogil

cdef class RecordBuffer:
    cdef Block block           # being filled; None: none
    cdef list sealed           # full, not yet taken
    cdef list spare            # written, for the next use
    cdef object wake           # called with False at the first record, with True when much is waiting
    cdef Py_ssize_t blocks     # all in use: filled, sealed and taken
    cdef Py_ssize_t limit      # how many may be
    cdef bint asleep           # nobody was told yet that there are records
    cdef bint closed
    cdef readonly uint64_t appended
    cdef readonly uint64_t dropped
    cdef uint64_t dropped_here  # since the last block was begun

    cdef int append(self, const RecordFields* fields) except -1
    cdef bint roll(self) except -1
