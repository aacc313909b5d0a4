# Decide about rates: GCRA in memory shared by all workers. See limiter.pyx.
from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint64_t

from core._fast.table cimport Table

cdef enum:
    MAX_WINDOWS = 8

cdef struct Window:
    int64_t limit      # requests at once
    int64_t seconds    # until an empty window is full again
    int64_t interval   # ns between two requests at an even rate, rounded up
    int64_t burst      # interval * limit, ns
    uint64_t salt      # tells this window's cells from those of other windows and scopes

cdef struct Decision:  # about the tightest window
    int64_t limit
    int64_t remaining    # requests that would still be admitted at this moment
    int64_t reset        # seconds until the window is full again, rounded up
    int64_t retry_after  # seconds until a refused request would be admitted, rounded up; 0 if admitted
    int window           # its index

cdef class Windows:
    cdef Window* items   # SAFETY: owned here, lives as long as this object
    cdef readonly int count
    cdef readonly tuple texts
    cdef readonly bytes policy
    cdef tuple names

    # The value of the RateLimit field for a decision about these windows.
    cdef bytes field(self, const Decision* decision)

cdef class Limiter:
    cdef Py_buffer view
    cdef bint held
    cdef Table table         # SAFETY: points into the view
    cdef uint64_t[2] secret

    # An Outcome (table.pxd). `now` is CLOCK_MONOTONIC in ns, read less than a second ago. No Python object is
    # touched.
    cdef int decide(self, const Window* windows, int n, const char* key, Py_ssize_t key_len,
                    int64_t now, Decision* out) noexcept nogil
    # Whether decide would admit (never FULL); nothing is taken.
    cdef int look(self, const Window* windows, int n, const char* key, Py_ssize_t key_len,
                  int64_t now, Decision* out) noexcept nogil
