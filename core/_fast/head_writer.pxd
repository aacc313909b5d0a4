from libc.stdint cimport int64_t

from core._fast.exchange cimport Exchange
from core._fast.out cimport Out

cdef enum Framing:
    NO_BODY        # nothing follows the head
    BY_LENGTH
    BY_CHUNKS
    BY_CLOSE       # the body lasts until the connection closes; also what follows a 101

cdef class Wording:
    """The lines that the gateway adds to heads of its own accord."""
    cdef readonly bytes name           # the gateway's name in Via
    cdef bytes via                     # the whole line, or empty
    cdef bint x_forwarded, forwarded

cdef int write_request_head(Out* out, Exchange exchange, Wording wording, const char* host, Py_ssize_t host_size,
                            Framing* framing) except -1
cdef int write_response_head(Out* out, Exchange exchange, Wording wording, bint keep_alive,
                             Framing* framing) except -1
cdef int write_interim_head(Out* out, Exchange exchange, int status, object headers) except -1
cdef int write_trailers(Out* out, object trailers) except -1
