from libc.stdint cimport int64_t, uint64_t

from core._fast.balancer cimport Balancer
from core._fast.exchange cimport Exchange, Handler, Target

cdef enum HashKind:
    BY_IP
    BY_PATH
    BY_CONSUMER
    BY_HEADER
    BY_COOKIE

cdef class Upstream(Target):
    cdef readonly tuple servers
    cdef readonly Balancer balancer
    cdef readonly int active           # exchanges under way
    cdef readonly int retrying         # those of them that are not at their first try
    cdef public object checks          # what asks the servers how they are; None: nothing does
    cdef bint hashes                   # the balancer goes by a key
    cdef bint answers_fail             # an answer of 500 and more is a failure
    cdef HashKind hash_kind
    cdef bytes hash_name               # of the header or cookie

    cdef uint64_t _key(self, Exchange exchange) except? 0
    cdef int _note(self, Exchange exchange, bint failed) except -1

cdef class Pause(Handler):
    """Stand in for the handler while an exchange waits for its next try."""
    cdef Exchange exchange
    cdef object handle                 # of the loop's timer
