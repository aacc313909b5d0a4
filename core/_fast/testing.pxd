from core._fast.exchange cimport Downstream, Exchange, Handler, Target
from core._fast.headers cimport Headers
from core._fast.message cimport Response
from core._fast.plan cimport Snapshot

cdef class Recorder(Downstream):
    """Keeps what a client would have been sent."""
    cdef readonly list interim         # (status, [(name, value)]) of the 1xx answers
    cdef readonly int status           # 0: no head yet
    cdef readonly list headers         # of (name, value)
    cdef readonly list pieces          # of the body, as bytes
    cdef readonly list trailers        # of (name, value); None: none came
    cdef readonly bint complete        # the body's end was sent
    cdef readonly bint broken          # the answer was cut off
    cdef readonly bint ended           # the exchange has ended: its log phases ran
    cdef readonly bint paused          # the client was told to wait with its body
    cdef public object on_end          # called without arguments when it ended; None

cdef class StandIn(Target):
    """Stands in for an upstream: keeps what it is sent and answers as told."""
    cdef readonly Response answer      # its body is what `pieces` joins to
    cdef readonly list pieces          # of the answer's body
    cdef readonly list received        # a Forwarded for each request

cdef class Forwarded:
    """What a target was sent."""
    cdef readonly str method, path, query, host
    cdef readonly list headers         # of (name, value)
    cdef readonly list pieces          # of the body
    cdef readonly bint complete        # the body's end came
    cdef readonly bint cancelled       # the exchange ended first

cdef class _StandInHandler(Handler):
    cdef StandIn target
    cdef Forwarded forwarded
