# Keep one time for each key in memory shared by all workers. See table.pyx.
from libc.stdint cimport int64_t, uint64_t

from core._fast.atomic cimport Pair

cdef enum Outcome:
    FULL = -1          # no cell is free where the key may live: nothing was decided
    REFUSED = 0
    ADMITTED = 1

cdef enum:
    GROUP = 8                   # cells; two cache lines
    HEADER = 128                # bytes before the first group
    GRACE = 1_000_000_000       # ns by which another worker's reading of the clock may be older

cdef struct Table:
    Pair* cells          # SAFETY: all point into memory that the owner of this struct holds
    int64_t* claims      # how many were made
    int64_t* full        # how often no cell was free
    uint64_t groups

# Point a table at memory that starts zeroed, at a multiple of 16, and holds HEADER bytes and the groups.
cdef void lay(Table* table, char* start, Py_ssize_t size) noexcept nogil

# Move the key's time on by `interval`, unless that leads more than `burst` past `now`. Returns an Outcome;
# `time` is the new time or, if refused, the old one.
cdef int take(Table* table, uint64_t key, int64_t interval, int64_t burst, int64_t now,
              int64_t* time) noexcept nogil

# Undo a take that left the time at `mine`.
cdef void give_back(Table* table, uint64_t key, int64_t interval, int64_t mine) noexcept nogil

# The key's time; 0: it has none.
cdef int64_t look(Table* table, uint64_t key) noexcept nogil

# Forget the key's time. Returns whether it had one.
cdef bint forget(Table* table, uint64_t key) noexcept nogil

# How many cells are not free.
cdef int64_t used(const Table* table, int64_t now) noexcept nogil
