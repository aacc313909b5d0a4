from core._fast.asgi_door cimport AsgiSide
from core._fast.exchange cimport Exchange

cdef class AsgiWebSocket(AsgiSide):
    cdef object frames                 # core.websocket.WebSocketFrames, as a client towards the target
    cdef bytes key
    cdef bint tunnel                   # bytes flow both ways
    cdef bint denies                   # the server can pass on an answer that is not a WebSocket
    cdef bint said_close               # the server was told to close
    cdef object deadline               # handle of the wait for the target's close

    cdef int _accept(self, Exchange exchange) except -1
