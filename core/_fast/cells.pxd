# Count in memory that all workers can read: plain adds to 64-bit cells of this worker's own. See cells.pyx.
from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t

cdef extern from *:
    """
    /* Upper bounds of a duration's buckets in ns, inclusive, and the bucket of all that is longer. */
    #define AGORA_BOUNDS 18
    static const long long agora_bounds[AGORA_BOUNDS + 1] = {
        100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000,
        250000000, 500000000, 1000000000, 2500000000LL, 5000000000LL, 10000000000LL, 30000000000LL,
        60000000000LL, 0x7fffffffffffffffLL};
    /* How many bounds lie below every number of so many bits; at most one more lies among those numbers. */
    static const unsigned char agora_below[65] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
        13, 14, 15, 16, 17, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18,
        18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18,
        18};
    static inline int agora_bucket(long long ns)
    {
        int below = agora_below[64 - __builtin_clzll((unsigned long long)ns | 1)];
        return below + (ns > agora_bounds[below]);
    }
    """
    int BOUNDS "AGORA_BOUNDS"
    const long long* bounds "agora_bounds"
    int bucket "agora_bucket"(long long ns) noexcept nogil

cdef enum:
    HISTOGRAM_CELLS = 20   # a count for each bucket, not cumulative, and the sum in ns

# Count one duration in a histogram's cells. One table read and one comparison find the bucket.
cdef inline void observe(int64_t* cells, int64_t nanoseconds) noexcept nogil:
    if nanoseconds < 0:
        nanoseconds = 0
    cells[bucket(nanoseconds)] += 1
    cells[HISTOGRAM_CELLS - 1] += nanoseconds

cdef class Cells:
    cdef Py_buffer view    # SAFETY: holds the mapping
    cdef bint held

    # SAFETY: one writer; the pointer is good while this object lives.
    cdef int64_t* pointer(self, Py_ssize_t start, Py_ssize_t count) except NULL

cdef class Counter:
    cdef Cells cells
    cdef int64_t* cell     # the hot path does cell[0] += 1; SAFETY: good while this object lives

cdef class Gauge:
    cdef Cells cells
    cdef int64_t* cell

cdef class Histogram:
    cdef Cells owner
    cdef int64_t* cells    # for observe()
