from libc.stdint cimport int64_t

from core._fast.chunked cimport ChunkedDecoder
from core._fast.client_writer cimport ClientWriter
from core._fast.exchange cimport Exchange
from core._fast.head cimport HeadScan, Limits
from core._fast.wheel cimport Timer

cdef enum State:
    IDLE          # between requests, or within a head
    BODY          # a request's body is coming
    AWAIT         # the request is complete, its response is not
    DRAIN         # the response is complete, the rest of the request is thrown away
    LINGER        # nothing more is sent; what comes is thrown away until the peer closes
    TUNNEL        # after a 101

cdef class ClientConnection(ClientWriter):
    cdef Timer timer
    cdef Exchange exchange
    cdef State state
    cdef bint chunked
    cdef bint leaving                  # to be closed once it is known what else the client has sent
    cdef bint counted                  # among those of its address
    cdef int64_t body_left             # of a request's body by length
    cdef int64_t drained               # bytes thrown away
    cdef int64_t body_mark             # bytes_in at the last look at the sender's rate
    cdef int64_t unsent_mark           # bytes that the reader had not taken at the last look
    cdef ChunkedDecoder decoder
    cdef bytearray partial             # of a head that came in pieces
    cdef HeadScan scan
    cdef bytes pending                 # bytes after the current request
    cdef bytes peer
    cdef bint secure, trusted
    cdef object certificate

    cdef int _consume(self, bytes data) except -1
    cdef Py_ssize_t _request(self, bytes data, Py_ssize_t at) except -2
    cdef Py_ssize_t _body(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _drain_body(self, const char* data, Py_ssize_t size) except -1
    cdef int _collect(self, bytes data, Py_ssize_t at) except -1
    cdef int _refuse(self, int code) except -1
    cdef int _refuse_with(self, object problem) except -1
    cdef int _leave(self) except -1
    cdef int _linger(self) except -1
    cdef int _fired(self, int64_t now) except -1
    cdef int _slow_body(self, int64_t now) except -1
    cdef int _watch_reader(self) except -1
    cdef int _slow_reader(self, int64_t now) except -1
    cdef int _put_off(self, bytes data, Py_ssize_t at) except -1
    cdef int _ready(self, int64_t now=*) except -1
    cdef Py_ssize_t _broken_body(self, int code, Py_ssize_t size) except -1
    cdef bint _head_complete(self)
    cdef int _deliver_pending(self) except -1
    cdef int _watch_body(self) except -1
