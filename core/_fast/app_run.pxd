from libc.stdint cimport int64_t

from core._fast.exchange cimport Exchange, Handler
from core._fast.headers cimport Headers

cdef enum Answer:
    UNBEGUN          # no start came yet
    STARTED          # a start came; it goes out with the first piece of the body
    STREAMS
    TRAILERS_DUE
    ANSWERED

cdef int64_t number_of(bytes digits) noexcept

cdef class AppRun(Handler):
    """One call of an ASGI application; see the module for what it does."""
    cdef object application
    cdef set running                   # tasks of all calls of the application
    cdef Exchange exchange             # None once it has nothing more to do with the call
    cdef Answer answer
    cdef bint trailers_follow
    cdef int64_t length                # of the body, as the application said; -1: it did not
    cdef int64_t left                  # of it
    cdef Headers trailers
    cdef bint holding_back             # the client was asked to send no more for now
    cdef object news                   # asyncio.Event: there is something for receive()
    cdef object room                   # asyncio.Event: the client reads fast enough for send()

    cdef int start(self, Exchange exchange, dict scope) except -1
    cdef int _wake(self) except -1
    cdef int _on_start(self, dict message) except -1
    cdef int _on_body(self, dict message) except -1
    cdef int _on_trailers(self, dict message) except -1
    cdef int _on_early_hint(self, dict message) except -1
    cdef int _finish(self) except -1
    cdef int _refuse(self, object problem) except -1
    cdef int _failed(self, object problem) except -1
    cdef int _left_out(self) except -1
    cdef int _gone(self) except -1

cdef class HttpRun(AppRun):
    cdef list pieces                   # of the request's body
    cdef Py_ssize_t waiting            # bytes in them
    cdef bint complete                 # the request's body has come
    cdef bint told_end                 # the application knows
    cdef bint continue_due             # the client waits to be told to go on
