from libc.stdint cimport int64_t

from core._fast.door cimport Door
from core._fast.exchange cimport Downstream, Exchange
from core._fast.head_writer cimport Framing
from core._fast.headers cimport Headers
from core._fast.link cimport Link

cdef class ClientWriter(Downstream):
    cdef Door door
    cdef Link link
    cdef Framing framing               # of the response
    cdef int64_t response_left         # of a response's body by length; -1: not by length
    cdef bint reading                  # in received(): what is written is sent when it returns
    cdef bint keep                     # the connection lives on after this exchange
    cdef bint continue_due             # the client waits for 100 Continue

    cdef int write_head(self, Exchange exchange) except -1
    cdef int send_refusal(self, object problem) except -1
    cdef int flush_large(self) except -1
