# Tell clients apart: write who an exchange is counted as. See client_keys.pyx.
from core._fast.exchange cimport Exchange

cdef enum:
    MOST_PARTS = 8
    KEY_ROOM = 512            # bytes of a key; a part that does not fit is hashed

cdef enum Kind:
    BY_IP
    BY_CONSUMER
    BY_ROUTE
    BY_HEADER

cdef enum Lacking:            # what counts a client that has no consumer or header
    COUNT_BY_IP
    COUNT_TOGETHER
    COUNT_NOT

cdef struct Key:
    Py_ssize_t size
    char data[KEY_ROOM]

# The consumer's name. There is a consumer.
cdef str consumer_name(Exchange exchange)

cdef class ClientKeys:
    cdef Kind kinds[MOST_PARTS]
    cdef int count, prefix
    cdef Lacking lacking
    cdef list names            # of headers, by part

    # Append who is counted to a key; False: nobody.
    cdef bint write(self, Exchange exchange, Key* key) except -1
    cdef bint write_part(self, Exchange exchange, Key* key, Kind kind, bytes name) except -1
    cdef bint write_lacking(self, Exchange exchange, Key* key) except -1
