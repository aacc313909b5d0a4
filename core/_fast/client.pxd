from libc.stdint cimport int64_t

from core._fast.chunked cimport ChunkedDecoder
from core._fast.client_closing cimport AWAIT, BODY, DRAIN, IDLE, LINGER, TUNNEL, ClientClosing, State
from core._fast.exchange cimport Exchange
from core._fast.head cimport HeadScan, Limits

cdef class ClientConnection(ClientClosing):
    cdef Exchange exchange
    cdef bint chunked
    cdef bint counted                  # among those of its address
    cdef int64_t body_left             # of a request's body by length
    cdef int64_t body_mark             # bytes_in at the last look at the sender's rate
    cdef ChunkedDecoder decoder
    cdef HeadScan scan
    cdef bint trusted
    cdef object certificate

    cdef int _consume(self, bytes data) except -1
    cdef Py_ssize_t _request(self, bytes data, Py_ssize_t at) except -2
    cdef Py_ssize_t _body(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t _drain_body(self, const char* data, Py_ssize_t size) except -1
    cdef int _collect(self, bytes data, Py_ssize_t at) except -1
    cdef int _fired(self, int64_t now) except -1
    cdef int _slow_body(self, int64_t now) except -1
    cdef int _put_off(self, bytes data, Py_ssize_t at) except -1
    cdef int _ready(self, int64_t now=*) except -1
    cdef Py_ssize_t _broken_body(self, int code, Py_ssize_t size) except -1
    cdef bint _head_complete(self)
    cdef int _deliver_pending(self) except -1
    cdef int _watch_body(self) except -1
