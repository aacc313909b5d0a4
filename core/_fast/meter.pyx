"""Count one route's exchanges in shared memory: by class of status, how long they took, bytes both ways."""


cdef class Meter:
    cdef int count(self, int status, int64_t duration, int64_t received, int64_t sent) noexcept:
        return 0
