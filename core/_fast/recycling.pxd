from core._fast.exchange cimport Exchange

cdef Exchange new_exchange()
cdef int recycle(Exchange exchange) except -1
