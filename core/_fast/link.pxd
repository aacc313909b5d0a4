cdef class Peer:
    """The protocol of one connection."""
    cdef int received(self, bytes data) except -1

cdef class Link:
    cdef object transport      # the loop's transport; None once closed
    cdef object write          # transport.write, bound once
    cdef int fd                # socket to send on directly; -1: always through the transport
    cdef bint queued           # the transport may hold unsent bytes: keep the order, go through it
    cdef bint blocked          # the transport asked to pause writing (its buffer is over the high-water mark)
    cdef bint paused           # reading is paused
    cdef bint closing
    cdef bint dead             # the peer takes nothing more; what it sent may still be read

    cdef int open(self, object transport) except -1
    cdef int send(self, const char* head, Py_ssize_t head_size, const char* body, Py_ssize_t body_size,
                  const char* tail, Py_ssize_t tail_size) except -1
    cdef int _hand_over(self, const char* data, Py_ssize_t size, Py_ssize_t* sent) except -1
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cdef int shut(self) except -1
    cdef int close(self) except -1
    cdef int abort(self) except -1
    cdef int reset(self) except -1
