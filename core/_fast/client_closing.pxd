from libc.stdint cimport int64_t

from core._fast.client_writer cimport ClientWriter
from core._fast.wheel cimport Timer

cdef enum State:
    IDLE          # between requests, or within a head
    BODY          # a request's body is coming
    AWAIT         # the request is complete, its response is not
    DRAIN         # the response is complete, the rest of the request is thrown away
    LINGER        # nothing more is sent; what comes is thrown away until the peer closes
    TUNNEL        # after a 101

cdef class ClientClosing(ClientWriter):
    cdef Timer timer
    cdef State state
    cdef bint leaving                  # to be closed once it is known what else the client has sent
    cdef bint secure                   # over TLS
    cdef int64_t drained               # bytes thrown away
    cdef int64_t unsent_mark           # bytes that the reader had not taken at the last look
    cdef bytearray partial             # of a head that came in pieces
    cdef bytes pending                 # bytes after the current request
    cdef bytes peer

    cdef int _refuse(self, object problem) except -1
    cdef int _leave(self) except -1
    cdef int _linger(self) except -1
    cdef int _watch_reader(self) except -1
    cdef int _slow_reader(self, int64_t now) except -1
