# Read blocks of exchanges, and say which records are wanted.
from libc.stdint cimport int64_t, uint32_t

from core._fast.record cimport TEXT_COUNT, RecordFields, Slice

cdef class RecordFilter:
    cdef list kept             # SAFETY: owns the bytes that `text` points into
    cdef Slice text[TEXT_COUNT]
    cdef bint path_is_prefix
    cdef uint32_t status_low
    cdef uint32_t status_high
    cdef int64_t min_duration_ns
    cdef int64_t since_ns
    cdef int64_t until_ns

    cdef int want(self, int index, bytes value) except -1
    cdef bint wants(self, const RecordFields* record, uint32_t mask) noexcept nogil
