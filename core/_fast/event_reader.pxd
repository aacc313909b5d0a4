# What is read of an event log: copies, gathered in one short transaction without the interpreter.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from core._fast.event_append cimport QueryPart
from core._fast.event_catalogue cimport Catalogue
from core._fast.event_env cimport EventEnv
from core._fast.mdb cimport Cursor, Dbi, Txn, Val

cdef struct Piece:
    size_t offset
    size_t size
    uint64_t position

cdef struct Found:             # zeroed, then the limits; free_found when done
    char* data                 # SAFETY: owned
    size_t used, room
    Piece* pieces              # SAFETY: owned
    uint32_t count, piece_room
    uint32_t most              # pieces
    size_t most_bytes          # a first piece may have more
    int damage                 # what is wrong with the last piece, an event
    uint64_t reached           # the last position that was looked at

cdef void free_found(Found* found) noexcept nogil

# Each returns 0 or a code; `found` holds what it came to before that.
cdef int find_range(EventEnv env, uint64_t first, bint backwards, Found* found) noexcept nogil
cdef int find_events_of(EventEnv env, const char* stream, uint32_t size, uint64_t first, bint backwards,
                        Found* found) noexcept nogil
cdef int find_matching(EventEnv env, const QueryPart* query, uint64_t after, Found* found) noexcept nogil
cdef int find_last(EventEnv env, uint64_t* position) noexcept nogil
cdef int find_version(EventEnv env, const char* stream, uint32_t size, uint64_t* version) noexcept nogil
# Keys with a prefix, after `after` (size 0: from the first): two pieces for each, key and value.
cdef int find_values(EventEnv env, Dbi table, bint checked, const Val* prefix, const Val* after,
                     Found* found) noexcept nogil
cdef int find_value(EventEnv env, Dbi table, const Val* key, Found* found) noexcept nogil
