from libc.stdint cimport uint32_t

from core._fast.link cimport Peer

cdef class Watched:
    """What the reactor's epoll watches."""
    cdef Reactor reactor
    cdef readonly int fd               # -1: closed

    cdef int happened(self, uint32_t events) except -1

cdef class Reactor:
    cdef object loop
    cdef int epoll
    cdef char* buffer                  # SAFETY: owned; what is received lies here until it is copied out
    cdef set watched                   # Watched: keeps alive what the kernel points to
    cdef list again                    # Channel: to be read from once more
    cdef list ending                   # Channel: to be closed
    cdef object _settle
    cdef bint running, scheduled

    cdef int adopt(self, int fd, Peer protocol, object peer, bint tcp) except -1
    cdef int watch(self, Watched watched, uint32_t events) except -1
    cdef int schedule(self) except -1
    cdef int settle_all(self) except -1

cdef class Channel(Watched):
    cdef Peer protocol
    cdef object peer                   # what get_extra_info("peername") gives
    cdef object unsent                 # deque of memoryview; None until something could not be sent
    cdef Py_ssize_t unsent_size
    cdef bint paused, missed, peer_ended, closing, ended, shut_due, write_paused
    cdef object error

    cdef int read(self) except -1
    cdef int flush(self) except -1
    cdef int end(self, object error) except -1
    cdef int finish(self) except -1
    cdef int failed(self, int code) except -1

cdef class Listener(Watched):
    cdef object socket
    cdef object factory
