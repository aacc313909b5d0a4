# What is to be appended in one piece, prepared as C arrays; and what came of it.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from core._fast.event_names cimport Name

cdef enum:
    MOST_INDEX_NAME = 405      # bytes of a name in the database `tags`: a prefix of 4 or 5, then MOST_NAME

cdef enum Expectation:         # or the exact version, from 1
    EXPECT_EXISTS = -2
    EXPECT_ANY = -1
    EXPECT_NO_STREAM = 0

cdef enum Outcome:
    APPENDED
    REPEATED                   # all its events were there already
    VERSION_WRONG              # of target `culprit`; `found` is the version it has
    CONDITION_FALSE            # `found` is the position of an event that matches
    ID_TAKEN                   # of draft `culprit`; `found` is the position that has it

cdef struct DraftPart:
    const char* record
    Py_ssize_t size
    const char* content        # its hash
    uint64_t position          # where its id was found; 0: nowhere

cdef struct TargetPart:        # events for one stream, or a stream that is only checked
    const char* stream
    uint32_t size
    int64_t expected
    uint32_t count             # of the drafts that belong to it
    Name* name                 # while a commit runs
    uint64_t version           # after it: the stream's

cdef struct TagPart:
    const char* text
    uint32_t size

cdef struct ItemPart:          # tags that an event must have all of
    TagPart* tags
    uint32_t count

cdef struct QueryPart:         # matches events that match any item; never changed, so threads may share it
    ItemPart* items
    uint32_t count
    uint32_t tag_count         # of all items

cdef struct StatePart:
    const char* key
    uint32_t key_size
    const char* value          # NULL: the key is removed
    size_t size
    bint secret                # belongs into the database `keys`

cdef struct AppendPart:
    DraftPart* drafts          # of all writes, in order
    TargetPart* targets        # the writes, then the checks
    StatePart* states
    QueryPart query
    uint32_t draft_count, write_count, target_count, state_count
    uint64_t after
    Outcome outcome
    uint32_t culprit
    uint64_t found
    uint64_t first, last       # positions

cdef class Query:
    cdef QueryPart part        # SAFETY: owned; the texts belong to `held`
    cdef readonly tuple items
    cdef list held

cdef class Append:
    cdef AppendPart part       # SAFETY: arrays are owned; what they point into belongs to `held`
    cdef list held
    cdef Query query

    cdef int take_target(self, object stream, object expected, Py_ssize_t count) except -1
    cdef int take_drafts(self, list drafts) except -1
    cdef int refuse_twins(self) except -1
    cdef int take_state(self, object key, object value, bint secret) except -1
    cdef object result(self)   # after a commit: an Appended, or the error
