# The positions of a type's or a tag's events, and walks over what a query matches.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from core._fast.event_append cimport QueryPart
from core._fast.event_catalogue cimport Catalogue, Segment
from core._fast.mdb cimport Cursor, Txn

cdef enum:
    POSTING_KEY = 16           # tag id, first position
    MOST_PACKED = 1900         # bytes of an entry, so that it stays within a page
    NOWHERE = 0xffffffffffffffff   # a position after all others

cdef struct Packer:            # positions on their way into entries; `tag` first, then add_position, end_packing
    Txn* txn
    const Segment* segment
    uint64_t tag
    uint64_t first, last       # of the entry being filled; 0: none
    uint32_t size
    uint8_t[MOST_PACKED + 16] packed

cdef int add_position(Packer* packer, uint64_t position) noexcept nogil
cdef int end_packing(Packer* packer) noexcept nogil

cdef struct Walk:              # over one tag's positions in one segment, upwards
    Cursor* cursor
    uint64_t tag
    uint64_t position          # where it stands; 0: not begun; NOWHERE: at its end
    const uint8_t* rest        # of the entry
    const uint8_t* end

cdef int seek_position(Walk* walk, uint64_t least) noexcept nogil

# The first event of a segment that a query matches, from `least` up to `last`; NOWHERE: none. `ids`: of the
# query's tags, all items', in order; 0: no event has it.
cdef struct Search:
    const QueryPart* query
    uint64_t last              # the segment's last position
    Walk* walks                # SAFETY: owned; of all items, in order

cdef int begin_search(Search* search, Txn* txn, const Segment* segment, const QueryPart* query,
                      const uint64_t* ids, uint64_t last) noexcept nogil
cdef int next_match(Search* search, uint64_t least, uint64_t* found) noexcept nogil
cdef void end_search(Search* search) noexcept nogil
