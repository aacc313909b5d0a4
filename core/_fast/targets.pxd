from core._fast.exchange cimport Exchange, Target
from core._fast.message cimport Response

cdef class Respond(Target):
    cdef Response response

cdef class Unmatched(Target):
    pass
