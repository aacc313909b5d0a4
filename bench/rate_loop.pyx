"""Ask a limiter from a compiled loop, as the rate-limit plugin does. bench/rate_limit compiles it."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from core._fast.clock cimport monotonic_ns
from core._fast.limiter cimport Decision, Limiter, Windows
from core._fast.table cimport ADMITTED

cdef enum:
    ROOM = 64  # bytes for a key and its size


def decide_repeatedly(Limiter limiter not None, Windows windows not None, list keys not None,
                      Py_ssize_t count):
    """Decide `count` times about keys in turn, at the clock's reading; return how many were admitted.

    The keys lie in a row: in a gateway the key is near, since it was just read from the connection.
    """
    cdef char* row = <char*>malloc(len(keys) * ROOM)
    cdef Py_ssize_t _, place, number = len(keys), admitted = 0
    cdef Decision decision
    cdef int64_t now
    cdef bytes key
    try:
        for place in range(number):
            key = keys[place][:ROOM - 1]
            row[place * ROOM] = <char>len(key)
            memcpy(row + place * ROOM + 1, <const char*>key, len(key))
        with nogil:
            place = 0
            for _ in range(count):
                now = monotonic_ns()
                if limiter.decide(windows.items, windows.count, row + place * ROOM + 1, row[place * ROOM],
                                  now, &decision) == ADMITTED:
                    admitted += 1
                place += 1
                if place == number:
                    place = 0
    finally:
        free(row)
    return admitted
