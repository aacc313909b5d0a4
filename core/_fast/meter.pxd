from libc.stdint cimport int64_t

cdef class Meter:
    cdef object metrics                # core.metrics.Metrics
    cdef readonly str route
    cdef int64_t* requests[6]          # SAFETY: by class of status; shared memory that `keeps` keeps mapped
    cdef int64_t* durations
    cdef int64_t* received
    cdef int64_t* sent
    cdef list keeps

    cdef int count(self, int status, int64_t duration, int64_t received, int64_t sent) except -1
    cdef int _open(self) except -1
    cdef int _open_class(self, int kind) except -1
