from libc.stdint cimport int64_t

from core._fast.head cimport Limits
from core._fast.head_writer cimport Wording
from core._fast.plan cimport Snapshot
from core._fast.wheel cimport Wheel

cdef class Door:
    cdef public Snapshot snapshot      # what serves requests that begin from now on
    cdef readonly Wheel wheel
    cdef object factory                # (door) -> the protocol of one connection
    cdef readonly Wording wording
    cdef Limits limits
    cdef readonly int64_t head_timeout, body_timeout, keep_alive_timeout, write_timeout, linger_timeout   # ns
    cdef readonly int64_t body_rate    # bytes a second that a sender must reach over a body_timeout
    cdef readonly int max_connections, max_per_address
    cdef readonly int max_extensions   # bytes of chunk extensions in a message
    cdef readonly int connections
    cdef readonly bint draining
    cdef object drained                # called when the last connection has gone while draining
    cdef dict addresses                # address -> connections, where they are limited
    cdef set open                      # ClientConnection
    cdef object trusts                 # address as str -> is it a trusted proxy
    cdef object client_of              # (peer, Headers) -> address as bytes
    cdef object refused                # slug -> None: counts a refusal
    cdef object gauge                  # (+1 or -1) -> None: open connections
