from libc.stdint cimport int64_t

from core._fast.door cimport Door
from core._fast.exchange cimport Downstream, Exchange
from core._fast.headers cimport Headers

cdef class AsgiSide(Downstream):
    """The client's side of an exchange that an ASGI server carries; see the module for what it does."""
    cdef Door door
    cdef dict scope
    cdef object send
    cdef Exchange exchange             # None before it begins and once it has ended
    cdef Exchange carried              # the same, until serve() ends
    cdef str kind                      # of its messages: http.response or websocket.http.response
    cdef object messages               # deque of what send() has yet to take
    cdef Py_ssize_t queued             # bytes of bodies in it
    cdef object reader                 # task that takes the server's messages; None: there is none
    cdef object news                   # asyncio.Event: something was queued, or the end came
    cdef object may_read               # asyncio.Event: the exchange takes more of the request
    cdef bint blocked                  # the exchange was asked to wait
    cdef bint over                     # nothing more is queued
    cdef bint broken                   # the response is to be cut off
    cdef str problem                   # why
    cdef bint bodiless
    cdef bint trailers_told
    cdef int64_t response_left         # of a response's body by length; -1: by the server's framing
    cdef int64_t body_left             # of the request's body by length; -1: not known

    cdef object _begin(self, bytes head)
    cdef int _put(self, object message, Py_ssize_t size) except -1
    cdef int _on_message(self, object message) except -1
    cdef int _take(self, bytes body, bint more) except -1
    cdef int _body_differs(self) except -1
    cdef list _fields(self, Exchange exchange)
    cdef int64_t _length(self, Exchange exchange)
    cdef int _leave(self) except -1

cdef bytes head_of(object write, object scope, object more)
