# A thread that commits what others hand over, batch after batch, without the interpreter.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from core._fast.event_append cimport AppendPart
from core._fast.event_env cimport EventEnv
from core._fast.event_store cimport EventStore
from core._fast.event_writer cimport EventWriter
from core._fast.locks cimport pthread_cond_t, pthread_mutex_t

cdef struct Batch:                 # one transaction that ended
    uint32_t count                 # of appends, in the order in which they were handed over
    int code                       # 0, or why none of them is in the log

cdef class Committer:
    cdef EventStore store
    cdef object thread
    cdef readonly int wake         # a descriptor that can be read when something ended; -1 once closed
    cdef pthread_mutex_t lock      # guards what follows
    cdef pthread_cond_t more
    cdef AppendPart** waiting      # SAFETY: owned; what it points to belongs to `pending`
    cdef uint32_t waiting_count, waiting_room
    cdef Batch* ended              # SAFETY: owned
    cdef uint32_t ended_count, ended_room
    cdef bint idle, closing
    # The thread's alone.
    cdef AppendPart** taken        # SAFETY: owned
    cdef uint32_t taken_room
    # The interpreter's alone.
    cdef object create_future
    cdef object pending            # a deque of (Append, future), in the order in which they were handed over

    cdef int hand_over(self, AppendPart* part) except -1
    cdef int settle(self, const Batch* batch) except -1
    cdef uint32_t _take(self) noexcept nogil
    cdef void _tell(self, uint32_t count, int code) noexcept nogil
    cdef int _commit(self, EventWriter writer, EventEnv env, uint32_t count) noexcept nogil
    cdef int64_t _segment_end(self, int64_t now_ns) noexcept nogil
