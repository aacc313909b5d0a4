from libc.stdint cimport int64_t

from core._fast.chunked cimport ChunkedDecoder
from core._fast.exchange cimport Downstream, Exchange
from core._fast.head cimport HeadScan, Limits
from core._fast.head_writer cimport Framing, Wording
from core._fast.link cimport Link
from core._fast.plan cimport Snapshot
from core._fast.wheel cimport Timer, Wheel

cdef class Door:
    cdef public Snapshot snapshot      # what serves requests that begin from now on
    cdef readonly Wheel wheel
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

cdef enum State:
    IDLE          # between requests, or within a head
    BODY          # a request's body is coming
    AWAIT         # the request is complete, its response is not
    DRAIN         # the response is complete, the rest of the request is thrown away
    LINGER        # nothing more is sent; what comes is thrown away until the peer closes
    TUNNEL        # after a 101

cdef class ClientConnection(Downstream):
    cdef Door door
    cdef Link link
    cdef Timer timer
    cdef Exchange exchange
    cdef State state
    cdef bint chunked, reading, keep
    cdef bint counted                  # among those of its address
    cdef bint continue_due             # the client waits for 100 Continue
    cdef Framing framing
    cdef int64_t body_left             # of a request's body by length
    cdef int64_t response_left         # of a response's body by length
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
    cdef int _linger(self) except -1
    cdef int _fired(self, int64_t now) except -1
    cdef int _slow_body(self, int64_t now) except -1
    cdef int _watch_reader(self) except -1
    cdef int _slow_reader(self, int64_t now) except -1
    cdef int _put_off(self, bytes data, Py_ssize_t at) except -1
    cdef int _ready(self) except -1
    cdef Py_ssize_t _broken_body(self, int code, Py_ssize_t size) except -1
    cdef bint _head_complete(self)
    cdef int _deliver_pending(self) except -1
    cdef int _watch_body(self) except -1
