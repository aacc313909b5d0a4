from core._fast.exchange cimport Exchange, Target

cdef class App(Target):
    cdef object application
    cdef dict state                    # what the application's lifespan left for its requests
    cdef set running                   # tasks of its calls
    cdef public Py_ssize_t message_limit   # bytes of one WebSocket message; more closes with 1009
    cdef public bint compress          # offer permessage-deflate

    cdef int _websocket(self, Exchange exchange) except -1
