# The writer of an event log: runs a batch of appends in one transaction.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from core._fast.event_append cimport AppendPart, DraftPart, QueryPart, TargetPart
from core._fast.event_catalogue cimport HASH_ROOM, Segment
from core._fast.event_env cimport EventEnv
from core._fast.event_layout cimport ID_SIZE
from core._fast.event_names cimport Name, NameList, NameTable
from core._fast.event_postings cimport Postings
from core._fast.locks cimport pthread_mutex_t
from core._fast.mdb cimport Cursor, Txn

cdef class EventWriter:
    cdef EventEnv env
    cdef pthread_mutex_t turn  # one batch after the other, whichever thread brings it
    # What the writer remembers of the log; true for the transaction numbered `next_txn`, if nobody else has it.
    cdef size_t next_txn       # 0: nothing is remembered
    cdef uint64_t revision     # of the catalogue
    cdef uint64_t epoch        # grows when what is said of names is forgotten
    cdef uint64_t position     # the last one given
    cdef char[HASH_ROOM] hash  # of its record
    cdef char[ID_SIZE] last_id     # the greatest of the segment
    cdef char[ID_SIZE] newest_id   # the greatest of all
    cdef uint64_t stream_count, tag_count      # names stored
    cdef NameTable streams, tags   # SAFETY: owned
    # The batch under way.
    cdef Txn* txn
    cdef Segment* segment
    cdef Cursor* events
    cdef Cursor* ids
    cdef int64_t now_ns
    cdef uint64_t stored       # the last position before the batch
    cdef bint changed          # something was written
    cdef NameList written      # SAFETY: owned; the streams that the batch wrote to
    cdef Postings postings     # SAFETY: owned
    cdef Name** asked          # SAFETY: owned; the names of a condition's tags, all items', in order
    cdef uint64_t* asked_ids   # SAFETY: owned; their ids
    cdef uint32_t asked_room

    # Commit appends, each with its outcome; 0 or a code, and then nothing of them is in the log (but for codes
    # of a commit that failed: then nobody knows). SEGMENT_OVER: the next is to be begun first.
    cdef int commit(self, AppendPart** appends, Py_ssize_t count, int64_t now_ns) noexcept nogil

    cdef int _try(self, AppendPart** appends, Py_ssize_t count) noexcept nogil
    cdef int _begin(self) noexcept nogil
    cdef int _recall(self) noexcept nogil
    cdef int _run(self, AppendPart* part) noexcept nogil
    cdef int _check_ids(self, AppendPart* part) noexcept nogil
    cdef int _find_id(self, const char* event_id, uint64_t* position) noexcept nogil
    cdef const Segment* _segment_of(self, uint64_t position) noexcept nogil
    cdef int _know_asked(self, const QueryPart* query) noexcept nogil
    cdef int _compare_repeat(self, AppendPart* part) noexcept nogil
    cdef int _check_targets(self, AppendPart* part) noexcept nogil
    cdef int _check_condition(self, AppendPart* part) noexcept nogil
    cdef int _search_stored(self, AppendPart* part, uint64_t* found) noexcept nogil
    cdef int _write(self, AppendPart* part) noexcept nogil
    cdef int _write_event(self, const DraftPart* draft, Name* stream) noexcept nogil
    cdef int _write_id(self, const char* event_id) noexcept nogil
    cdef int _write_state(self, AppendPart* part) noexcept nogil
    cdef int _index(self, const DraftPart* draft) noexcept nogil
    cdef int _post(self, const char* prefix, uint32_t prefix_size, const char* text, uint32_t size) noexcept nogil
    cdef int _will_write(self, Name* stream) noexcept nogil
    cdef int _finish(self) noexcept nogil
    cdef int _know(self, NameTable* table, const char* text, uint32_t size, Name** found) noexcept nogil
