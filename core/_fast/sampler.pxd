# Keep a share of all exchanges, decided by a hash.
from libc.stdint cimport uint64_t

cdef class Sampler:
    cdef uint64_t threshold
    cdef bint all
    cdef bint take(self, const char* key, Py_ssize_t size) noexcept nogil
