from libc.stdint cimport int64_t

from core._fast.exchange_state cimport ANSWERING, DECIDING, ENDED, FORWARDED, FRESH, HOLDING, STREAMING
from core._fast.headers cimport Headers
from core._fast.link cimport Peer
from core._fast.phases cimport FORWARD, Phase, PhaseRunner, REQUEST, RESPONSE
from core._fast.plan cimport Snapshot

cdef class Downstream(Peer):
    """The client's side of an exchange: the native door's connection or the ASGI door's."""
    cdef int start_response(self, Exchange exchange) except -1
    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1
    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1
    cdef int end_response(self, Exchange exchange, Headers trailers) except -1
    cdef int break_response(self, Exchange exchange) except -1
    cdef int exchange_ended(self, Exchange exchange) except -1
    cdef int flush(self) except -1     # send what start_response and response_piece may have kept back
    cdef int request_wanted(self, Exchange exchange) except -1
    cdef int pause_request(self) except -1
    cdef int resume_request(self) except -1

cdef class Handler(Peer):
    """The target's side of one exchange."""
    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1
    cdef int end_request(self, Exchange exchange, Headers trailers) except -1
    cdef int pause_response(self) except -1
    cdef int resume_response(self) except -1
    cdef int cancel(self, Exchange exchange) except -1

cdef class Target:
    """What a route leads to. begin() gives the exchange a handler, or answers."""
    cdef readonly str name
    cdef int choose(self, Exchange exchange) except -1
    cdef int begin(self, Exchange exchange) except -1
    cdef int left(self, Exchange exchange) except -1       # what was chosen is done with
    cdef bint again(self, Exchange exchange, object problem, int status, int64_t wait) except -1

cdef class Exchange(PhaseRunner):
    cdef Downstream down
    cdef Handler handler
    cdef Handler errand                # what goes on for it while it waits for a handler

    cdef int begin(self, Downstream down, Snapshot snapshot) except -1
    cdef int take_whole_body(self, const char* data, Py_ssize_t size) except -1
    cdef int request_piece(self, const char* data, Py_ssize_t size) except -1
    cdef int end_request(self, Headers trailers) except -1
    cdef int client_gone(self) except -1
    cdef int pause_response(self) except -1
    cdef int resume_response(self) except -1
    cdef int response_head(self) except -1
    cdef int interim(self, int status, Headers headers) except -1
    cdef int response_piece(self, const char* data, Py_ssize_t size) except -1
    cdef int end_response(self, Headers trailers) except -1
    cdef int break_response(self, str problem) except -1
    cdef int refuse(self, object problem, str detail=*) except -1
    cdef int target_failed(self, object problem) except -1
    cdef int finish(self) except -1

    cdef int _dispatch(self) except -1
    cdef int _watch_total(self) except -1
    cdef int _begin_target(self) except -1
    cdef int _release_held(self) except -1
    cdef int _run_response(self) except -1
    cdef int _send_head(self) except -1
    cdef int _forward_piece(self, const char* data, Py_ssize_t size) except -1
    cdef int _out(self, const char* data, Py_ssize_t size) except -1
    cdef int _out_end(self) except -1
    cdef int _held_whole(self) except -1
    cdef int _body_too_large(self) except -1
    cdef int _hold(self, const char* data, Py_ssize_t size) except -1
    cdef int _end_forward(self) except -1
    cdef int _discard_response(self, object problem) except -1
    cdef int _drop_handler(self) except -1
