# An event log's LMDB environment: its map, its handles, its transactions, and what may happen at the same time.
from libc.stdint cimport int64_t

from core._fast.event_catalogue cimport Catalogue, Segment
from core._fast.locks cimport pthread_mutex_t, pthread_rwlock_t
from core._fast.mdb cimport Dbi, Env, Txn

cdef enum:
    MOST_SPARE = 32                # read transactions kept for the next use

cdef class EventEnv:
    cdef Env* env                  # SAFETY: owned; NULL once closed
    cdef readonly str path
    cdef readonly bint read_only
    cdef readonly bytes identity   # 16 bytes, drawn when the log was made
    cdef int pid                   # of the process that opened it
    cdef tuple place               # device and inode
    cdef pthread_rwlock_t gate     # shared: a transaction runs; alone: the map or the handles change
    cdef pthread_mutex_t writing   # held by this process's writer
    cdef pthread_mutex_t sparing
    cdef Txn *spare[MOST_SPARE]
    cdef int spare_count
    cdef int poison                # code of the commit after which there is no other; 0: none
    cdef Dbi meta, streams, keys, state, tags
    cdef Catalogue catalogue       # changes only while the gate is held alone

    # What begins returns 0 or a code. A reader then holds the gate shared, a writer the writer's lock too;
    # one that begins alone holds the gate alone. What ends a transaction gives its locks back.
    cdef int begin_read(self, Txn** txn) noexcept nogil
    cdef void end_read(self, Txn* txn) noexcept nogil
    cdef int begin_write(self, Txn** txn) noexcept nogil
    cdef int begin_alone(self, Txn** txn) noexcept nogil
    cdef int commit(self, Txn* txn) noexcept nogil
    cdef void abort(self, Txn* txn) noexcept nogil
    cdef int grow(self) noexcept nogil     # after MDB_MAP_FULL, outside of transactions
    # Let go of what readers held whose processes died.
    cdef int release_dead_readers(self, int* dead) noexcept nogil
    cdef int refuse(self, int code, bint writing) except -1    # raise what a code stands for

    cdef int _usable(self, bint to_write) noexcept nogil
    cdef int _take_reader(self, Txn** txn) noexcept nogil
    cdef void _keep_reader(self, Txn* txn) noexcept nogil
    cdef int _is_fresh(self, Txn* txn) noexcept nogil
    cdef int _cure(self, int code) noexcept nogil
    cdef int _begin_writing(self, Txn** txn, bint alone) noexcept nogil
    cdef int _reload(self) noexcept nogil
    cdef int _read_catalogue(self, Txn* txn) noexcept nogil
    cdef int _resize(self, size_t size) noexcept nogil
    cdef int _judge(self, int code) noexcept nogil
    cdef int _open(self, const char* path, size_t map_size, bint make, int64_t now_ns, int64_t end_ns) noexcept nogil
    cdef int _open_tables(self, Txn* txn, unsigned int flags) noexcept nogil
    cdef int _make(self, int64_t now_ns, int64_t end_ns) noexcept nogil
    cdef void _release(self) noexcept nogil
    cdef int _read_identity(self, str path) except -1

# Open, or with DB_CREATE make, the four databases of a segment.
cdef int open_segment(Txn* txn, Segment* segment, unsigned int flags) noexcept nogil
cdef int read_last_id(Txn* txn, Segment* segment) noexcept nogil   # the greatest event id, into it

# The log's id, as it stands under `log` with its checksum; None: it is damaged.
cdef bytes open_identity(bytes stored)
