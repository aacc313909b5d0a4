"""Decide which exchanges a sampled log keeps. The request log's plugin asks."""

from libc.stdint cimport uint64_t

cdef class Sampler:
    """Keep a share of all exchanges, decided by a hash of a key: the same key, the same decision, everywhere.

    With the trace id as key, all gateways and workers keep the same traces. The share is 0 to 1.
    """

    def __init__(self, double share):
        if not 0.0 <= share <= 1.0:
            raise ValueError("a share lies between 0 and 1")
        self.all = share == 1.0
        self.threshold = 0 if self.all else <uint64_t>(share * 18446744073709551616.0)

    cdef bint take(self, const char* key, Py_ssize_t size) noexcept nogil:
        cdef uint64_t state = 0xCBF29CE484222325
        cdef Py_ssize_t index
        if self.all:
            return True
        for index in range(size):
            state = (state ^ <unsigned char>key[index]) * <uint64_t>0x100000001B3
        # NOTE: FNV-1a leaves the high bits of short keys poor; the finish is that of splitmix64.
        state = (state ^ (state >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        state = (state ^ (state >> 27)) * <uint64_t>0x94D049BB133111EB
        return (state ^ (state >> 31)) < self.threshold

    def wants(self, bytes key):
        """Return whether the exchange with this key is kept."""
        return self.take(key, len(key))
