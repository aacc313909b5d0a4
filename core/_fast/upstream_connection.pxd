from libc.stdint cimport int64_t

from core._fast.chunked cimport ChunkedDecoder
from core._fast.exchange cimport Exchange, Handler
from core._fast.head cimport Head, HeadScan, Limits
from core._fast.head_writer cimport Framing, Wording
from core._fast.headers cimport Headers
from core._fast.link cimport Link
from core._fast.pool cimport Pool, Slot
from core._fast.wheel cimport Timer, Wheel

cdef class Origin:
    """What connections to one server share; see core/_fast/upstream_server for what it does."""
    cdef readonly str text             # the server's URL
    cdef readonly Pool pool
    cdef Wheel wheel
    cdef Wording wording
    cdef Limits limits
    cdef bytes host                    # the Host to send; None: the client's
    cdef bytes default_host            # the Host to send where the client named none
    cdef int64_t first_byte_timeout, idle_timeout    # ns; 0: none
    cdef object count                  # slug -> None: counts what went wrong with this server

    cdef int start(self, Exchange exchange) except -1
    cdef int release(self, UpstreamConnection connection, bint reusable) except -1
    cdef int lost(self, UpstreamConnection connection) except -1
    cdef bint current(self, object address)

cdef enum UpstreamState:
    LISTENING      # no exchange: whatever comes is a mistake
    AWAIT_HEAD
    RELAY          # the response's body is coming
    RELAY_RAW      # after a 101

cdef class UpstreamConnection(Handler):
    cdef Origin origin
    cdef Slot slot
    cdef Link link
    cdef Timer timer
    cdef Exchange exchange
    cdef UpstreamState state
    cdef object address                # what it is connected to
    cdef Framing request_framing, response_framing
    cdef int64_t left                  # of a response's body by length
    cdef int64_t mark                  # bytes moved at the last look at the clock
    cdef bint request_sent, keep, heard, expired
    cdef ChunkedDecoder decoder
    cdef bytearray partial
    cdef HeadScan scan

    cdef int begin(self, Exchange exchange) except -1
    cdef bint alive(self)
    cdef int _take(self, bytes data) except -1
    cdef Py_ssize_t _head(self, bytes data, Py_ssize_t at) except -2
    cdef Py_ssize_t _body(self, const char* data, Py_ssize_t size, bint* done) except -2
    cdef int _complete(self, bint reusable) except -1
    cdef int _release(self, bint reusable) except -1
    cdef int _fail(self, object problem) except -1
    cdef int _fired(self, int64_t now) except -1
    cdef int _arm(self, int64_t now, int64_t timeout) except -1
    cdef bint _replayable(self, Exchange exchange)
    cdef bint _tried_again(self, Exchange exchange, const Head* head, Headers headers) except -1
    cdef int _frame(self, const Head* head) except -1
    cdef Py_ssize_t _malformed(self, int code) except -2
