from core._fast.app_run cimport AppRun
from core._fast.exchange cimport Exchange

cdef enum Socket:
    CONNECTING       # the application has not accepted yet
    OPEN
    CLOSING          # the application closed; the client's close is awaited
    OVER

cdef class WebSocketRun(AppRun):
    cdef object frames                 # core.websocket.WebSocketFrames
    cdef Socket state
    cdef bytes key, extensions
    cdef object inbox                  # deque of events for the application
    cdef Py_ssize_t waiting            # bytes in them
    cdef bint told_connect
    cdef dict farewell                 # the disconnect event; None: the client is there
    cdef object deadline               # handle of the wait for the client's close

    cdef int open(self, Exchange exchange, dict scope, Py_ssize_t message_limit, bint compress) except -1
    cdef int _accept(self, dict message) except -1
    cdef int _say(self, bytes frame) except -1
    cdef int _close(self, int code, str reason) except -1
    cdef int _reject(self) except -1
    cdef int _end(self) except -1
    cdef int _disconnected(self, int code, str reason) except -1
    cdef int _close_for_app(self, int code) except -1

cdef bint wants_websocket(Exchange exchange)
cdef object handshake_refusal(Exchange exchange)
