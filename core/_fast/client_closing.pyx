"""End a client's connection: refuse it, leave it after the answer, give up on a reader that does not read.

The rule it guards: a client that can still read its answer gets it whole, and none holds the connection for
longer than the door's timeouts. Between core/_fast/client_writer and core/_fast/client.
"""

import logging

from core._fast.clock cimport monotonic_ns
from core._fast.door cimport Door

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void* data, size_t size, int flags)
    enum:
        MSG_PEEK
        MSG_DONTWAIT

log = logging.getLogger("agora.client")

cdef class ClientClosing(ClientWriter):
    cdef int _refuse(self, object problem) except -1:
        """Answer what cannot become an exchange, and close."""
        self.door.refused(problem.slug)
        log.info("refused a request from %s: %s", self.peer.decode(), problem.title)
        self.send_refusal(problem)
        return self._linger()

    cdef int _leave(self) except -1:
        """Close after the answer, at once unless the client has sent more than it was to."""
        cdef char byte
        self.leaving = False
        if self.pending is None and (self.link.fd < 0 or recv(self.link.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0):
            self.link.close()
            return self._watch_reader()
        return self._linger()

    cdef int _linger(self) except -1:
        """Say that nothing more is sent, and give the peer a moment to read it before closing."""
        # NOTE: closing with unread bytes in the socket makes the kernel throw away the answer under way.
        cdef Door door = self.door
        self.state = LINGER
        self.drained = 0
        self.pending = self.partial = None
        if self.secure:
            self.link.close()
        else:
            self.link.shut()
            self.link.resume()
        self.unsent_mark = self.link.transport.get_write_buffer_size()
        door.wheel.arm(self.timer, monotonic_ns() + (door.write_timeout if self.unsent_mark else door.linger_timeout))
        return 0

    cdef int _watch_reader(self) except -1:
        """Give the peer time to take what is queued."""
        self.unsent_mark = self.link.transport.get_write_buffer_size()
        return self.door.wheel.arm(self.timer, monotonic_ns() + self.door.write_timeout)

    cdef int _slow_reader(self, int64_t now) except -1:
        """Cut off a peer that has taken nothing since the last look."""
        cdef int64_t unsent = self.link.transport.get_write_buffer_size()
        if unsent >= self.unsent_mark:
            return self.link.abort()
        self.unsent_mark = unsent
        return self.door.wheel.arm(self.timer, now + self.door.write_timeout)
