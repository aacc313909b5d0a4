from libc.stdint cimport int64_t

from core._fast.exchange cimport Exchange, Handler
from core._fast.pool cimport Slot, Waiter
from core._fast.reactor cimport Reactor
from core._fast.upstream_connection cimport Origin, UpstreamConnection
from core._fast.wheel cimport Timer

cdef class Server(Origin):
    cdef Reactor reactor
    cdef object addresses              # finds the address to connect to; see gateway/addresses
    cdef object tls                    # ssl.SSLContext or None
    cdef str server_name               # for TLS
    cdef double connect_timeout        # seconds
    cdef double queue_timeout          # seconds
    cdef Timer sweep                   # of idle connections
    cdef set tasks                     # connects under way
    cdef bint closed

    cdef int connect(self) except -1
    cdef int hand_out(self, UpstreamConnection connection) except -1
    cdef int _watch_idle(self) except -1

cdef class Errand(Handler):
    cdef Server server
    cdef Exchange exchange
    cdef Waiter waiter
    cdef Timer timer
    cdef bint connects                 # it opened a connection for itself
