from libc.stdint cimport int64_t

from core._fast.meter cimport Meter
from core._fast.router cimport Router

cdef class Plan:
    cdef readonly str route            # the route's name; empty: none was found
    cdef readonly int index            # of the route in its snapshot; -1: none was found
    cdef readonly object target        # an exchange.Target
    cdef readonly tuple request, forward, response, chunk, log      # bound methods in calling order
    cdef tuple chunk_back               # those of chunk as responses' bodies meet them
    cdef readonly tuple request_waits, forward_waits, response_waits   # of bool: is it a coroutine function
    cdef readonly bint rewrites_bodies
    cdef readonly int64_t hold_request, hold_response  # bytes of body that a plugin wants whole; 0: none does
    cdef readonly Meter meter
    cdef readonly Snapshot snapshot    # set when the snapshot is made

cdef class Snapshot:
    cdef readonly Router router
    cdef readonly tuple plans          # by route index
    cdef readonly tuple accept         # bound methods, run before a route is known
    cdef readonly Plan unmatched       # for what no route takes, and for what accept phases answer
    cdef readonly int64_t max_request_body    # bytes; 0: no limit
    cdef readonly double total_timeout        # seconds; 0: none
    cdef readonly bytes name                  # the gateway's name in Via
    cdef readonly tuple identity_headers      # bytes: further names that no client may send
    cdef readonly int live             # exchanges begun and not ended
    cdef object retired                # called once, when live falls to 0 after retire()

    cdef int end(self) except -1
