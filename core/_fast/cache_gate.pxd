from libc.stdint cimport int64_t

from core._fast.cache_slot cimport Slot
from core._fast.exchange cimport Exchange
from core._fast.headers cimport Headers
from core._fast.message cimport Response

cdef class ReadyAnswer(Slot):
    cdef Response base             # as it was kept; nobody changes it
    cdef Response ready            # the same with the fields of one second
    cdef int64_t second            # its age then
    cdef bytes wording             # how its Cache-Status begins
    cdef readonly double born      # seconds since 1970 at which its age was 0
    cdef readonly double fresh_until
    cdef bint for_cookies          # also good for requests with cookies

    cdef Response at(self, double now, bytes wording)

cdef class VarySplit(Slot):
    cdef readonly tuple fields     # names of the request headers that choose among the answers, in small letters

cdef class CacheGate:
    cdef dict items
    cdef object timed, hits
    cdef bytes wording
