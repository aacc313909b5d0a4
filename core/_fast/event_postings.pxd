# Which events of a batch under way have a type or a tag: what is not in the index yet.
from libc.stdint cimport uint32_t, uint64_t

from core._fast.event_catalogue cimport Segment
from core._fast.event_names cimport Name
from core._fast.event_tags cimport Packer
from core._fast.mdb cimport Txn

cdef struct Posting:
    uint64_t position
    uint32_t next              # the tag's next one, or NO_POSTING

cdef struct Postings:          # zeroed: empty
    uint64_t batch             # its number; what a Name says of postings holds for one batch alone
    Posting* items             # SAFETY: owned
    uint32_t count, room
    Name** tags                # SAFETY: owned; those that have postings
    uint32_t tag_count, tag_room
    Packer packer

cdef void begin_postings(Postings* postings) noexcept nogil
cdef void free_postings(Postings* postings) noexcept nogil
# Positions ascend. 0 or ENOMEM.
cdef int add_posting(Postings* postings, Name* tag, uint64_t position) noexcept nogil
# The first position from `least` on whose event has all of `count` tags; NOWHERE: none.
cdef uint64_t find_posting(const Postings* postings, Name** tags, uint32_t count, uint64_t least) noexcept nogil
# Write them into the index, once all their tags have ids. 0 or a code.
cdef int put_postings(Postings* postings, Txn* txn, const Segment* segment) noexcept nogil
