# A check of everything that an event log's file holds, table by table.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from core._fast.event_names cimport Name, NameTable
from core._fast.event_streams cimport Stream
from core._fast.event_pages cimport PageFile, Tree, TreeWalk
from core._fast.mdb cimport Val

cdef enum:
    FOUND = 3                  # beside event_pages' answers: `what` is wrong with the entry at `at`
    HASH_BYTES = 32

cdef enum Kind:                # of tables
    VALUES                     # of `state` and `keys`
    STREAMS
    TAGS
    MARKS
    POSTINGS
    IDS
    EVENTS

cdef struct Tally:             # a set of entries, whatever their order: a sum of their hashes under a secret
    uint64_t sum, count

cdef enum:                     # what there is a tally of
    OF_MARKS
    OF_POSTINGS
    OF_IDS
    TALLIES

cdef class Names:              # the names of a table, and by their numbers
    cdef NameTable table       # SAFETY: owned
    cdef Name** by_id          # SAFETY: owned; from 1
    cdef Stream* heads         # SAFETY: owned; of streams: what their table says
    cdef uint64_t most         # ids are not greater

cdef class LogCheck:
    cdef readonly PageFile file
    cdef readonly list findings            # (where, what)
    cdef readonly list segments            # (number, first position, hash before), oldest first
    cdef readonly str format, library      # what the log says of itself; None before `read_structure`
    cdef readonly bytes identity
    cdef readonly uint64_t checked         # entries
    cdef readonly uint64_t events          # of them, events
    cdef dict trees                        # name -> record
    cdef readonly str table                # which is walked over
    cdef TreeWalk walk
    cdef Kind kind
    cdef const char* what
    cdef uint64_t at
    cdef uint64_t secret_low, secret_high
    cdef Names streams, tags
    # Of the segment under way
    cdef uint64_t first, last              # positions
    cdef uint64_t position                 # the next event's
    cdef uint64_t oldest_kept              # position
    cdef bint whole                        # no segment was ever dropped
    cdef bint chained                      # `hash` is that of the record before
    cdef char[HASH_BYTES] hash
    cdef uint64_t entry_id, entry_next     # of the index entry before: its stream or tag, and where that ends
    cdef Tally[TALLIES] told   # by the indexes
    cdef Tally[TALLIES] held   # by the events
    cdef bint comparable                   # no table of this segment was damaged so far

    cdef object read_free_pages(self)
    cdef object read_tables(self)
    cdef object read_meta(self)            # returns what is wrong, or None
    cdef object read_catalogue(self, bytes text)
    cdef object place(self)
    cdef object broken(self, str table)
    cdef object page_problem(self)
    cdef object compare_heads(self)
    cdef object look_for_unused(self)

    cdef int take(self, const Val* key, Val* value) noexcept nogil
    cdef int find(self, const char* what, uint64_t at) noexcept nogil
    cdef int take_stream(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_tag(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_name(self, Names names, const Val* key, uint64_t number) noexcept nogil
    cdef int take_mark(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_posting(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_id(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_event(self, const Val* key, const Val* value) noexcept nogil
    cdef int take_places(self, const char* record) noexcept nogil
    cdef int check_order(self, const Name* stream, uint64_t version, uint64_t before) noexcept nogil
    cdef int take_index_name(self, const char* prefix, uint32_t prefix_size, const char* text,
                             Py_ssize_t size) noexcept nogil
    cdef void count(self, Tally* tally, uint64_t one, uint64_t other, uint64_t position) noexcept nogil
