from libc.stdint cimport int64_t

cdef class Meter:
    cdef int64_t* requests[6]          # SAFETY: by class of status; shared memory kept mapped by `keeps`
    cdef int64_t* sent
    cdef int64_t* received
    cdef list keeps

    cdef int count(self, int status, int64_t duration, int64_t received, int64_t sent) noexcept
