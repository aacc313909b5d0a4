# The segments of an event log: the next is begun, the oldest is dropped.
from libc.stdint cimport int64_t, uint32_t

from core._fast.event_env cimport EventEnv

# Each returns 0 or a code, and does nothing where another process has done it.
cdef int begin_segment(EventEnv env, int64_t now_ns, int64_t end_ns) noexcept nogil
cdef int drop_oldest(EventEnv env, uint32_t number, bint* dropped) noexcept nogil
