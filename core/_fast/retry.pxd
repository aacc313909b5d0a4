from libc.stdint cimport int64_t

cdef class RetryPolicy:
    cdef readonly int attempts                # tries in all
    cdef readonly frozenset slugs             # problems after which there is another try
    cdef readonly frozenset statuses          # answers after which there is one
    cdef readonly int64_t backoff, most_backoff      # ns
    cdef readonly int64_t most_wait           # ns that a Retry-After may ask for
    cdef readonly double budget               # further tries, as a share of the exchanges under way
    cdef readonly int least_budget            # so many at once are always allowed

    cdef bint wants(self, object problem, int status) except -1
    cdef int64_t pause(self, int retries, int64_t asked, double random) noexcept
