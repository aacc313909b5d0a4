from libc.stdint cimport int64_t

from core._fast.head cimport Head
from core._fast.headers cimport Headers

cdef class Request:
    cdef Head head                 # SAFETY: points into headers.backing or into the bytes objects below
    cdef readonly Headers headers
    cdef bytes _path, _query, _host, _method   # what plugins or the normaliser put in the head's place
    cdef public bytes body         # the whole body, where a plugin asked for it; else None

    cdef void clear(self) noexcept
    cdef int put_path(self, bytes path) except -1

cdef class Response:
    cdef int code                  # the status; 0: not known yet
    cdef readonly Headers headers
    cdef public bytes body         # the whole body of an answer made here; None: it streams from the target
    cdef int64_t content_length    # of a streamed body in bytes; -1: not known
    cdef const char* reason        # SAFETY: points into headers.backing
    cdef int reason_len
    cdef bint fixed                # nobody changes it any more: copies may share what it holds
    cdef public bint rewritten     # chunk phases change this body's length: it goes out without Content-Length
    cdef public str problem        # the slug, when the answer reports a problem; else None

    cdef void clear(self) noexcept
    cdef int copy(self, Response other) except -1
