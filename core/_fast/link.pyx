"""Hold one connected socket's sending half, for the client's and the upstream's connections.

The rule it guards: bytes leave in order. A piece goes straight to the socket while the transport holds
nothing; what the socket does not take goes to the transport, and all that follows goes there too until
it has drained. The loop's own transports (TLS) are always written through.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        void* msg_name
        unsigned int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    struct linger:
        int l_onoff
        int l_linger
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)
    enum:
        MSG_NOSIGNAL
        MSG_DONTWAIT
        SOL_SOCKET
        SO_LINGER


cdef class Peer:
    cdef int received(self, bytes data) except -1:
        raise NotImplementedError


cdef class Link:
    cdef int open(self, object transport) except -1:
        self.transport = transport
        self.write = transport.write
        self.queued = self.blocked = self.paused = self.closing = self.dead = False
        self.fd = -1
        descriptor = transport.get_extra_info("descriptor")
        if descriptor is not None:
            self.fd = descriptor
        return 0

    cdef int send(self, const char* head, Py_ssize_t head_size, const char* body, Py_ssize_t body_size,
                  const char* tail, Py_ssize_t tail_size) except -1:
        """Send three pieces, each may be empty. A dead socket is left for the transport to report."""
        cdef ssize_t sent = 0
        cdef iovec pieces[3]
        cdef msghdr message
        if self.transport is None or self.closing or self.dead:
            return 0
        if self.queued and not self.blocked and self.transport.get_write_buffer_size() == 0:
            self.queued = False
        if self.fd >= 0 and not self.queued:
            # PERF: one system call and no bytes object for each answer (bench: proxied, fixed answer)
            while True:
                if body_size == 0 and tail_size == 0:
                    sent = c_send(self.fd, head, head_size, MSG_NOSIGNAL | MSG_DONTWAIT)
                else:
                    pieces[0] = iovec(<void*>head, head_size)
                    pieces[1] = iovec(<void*>body, body_size)
                    pieces[2] = iovec(<void*>tail, tail_size)
                    message = msghdr(NULL, 0, &pieces[0], 3, NULL, 0, 0)
                    sent = sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                if sent >= 0 or errno != EINTR:
                    break
            if sent == head_size + body_size + tail_size:
                return 0
            if sent < 0:
                if errno != EAGAIN:
                    # NOTE: the peer takes no more, but it may have answered before: let reading find its end.
                    self.dead = True
                    if self.paused:
                        self.abort()
                    return 0
                sent = 0
        self.queued = True
        self._hand_over(head, head_size, &sent)
        self._hand_over(body, body_size, &sent)
        self._hand_over(tail, tail_size, &sent)
        return 0

    cdef int _hand_over(self, const char* data, Py_ssize_t size, Py_ssize_t* sent) except -1:
        if sent[0] < size:
            self.write(PyBytes_FromStringAndSize(data + sent[0], size - sent[0]))
            sent[0] = 0
        else:
            sent[0] -= size
        return 0

    cdef int pause(self) except -1:
        if not self.paused and self.transport is not None and not self.closing:
            self.paused = True
            self.transport.pause_reading()
        return 0

    cdef int resume(self) except -1:
        if self.paused and self.transport is not None and not self.closing:
            self.paused = False
            self.transport.resume_reading()
        return 0

    cdef int shut(self) except -1:
        """Say that nothing more will be sent, after what is queued; the peer may still send."""
        if self.transport is not None and not self.closing and self.transport.can_write_eof():
            self.transport.write_eof()
        return 0

    cdef int close(self) except -1:
        """Close once what is queued has been sent."""
        if self.transport is not None and not self.closing:
            self.closing = True
            self.transport.close()
        return 0

    cdef int abort(self) except -1:
        """Close at once and forget what is queued."""
        if self.transport is not None:
            self.closing = True
            self.transport.abort()
        return 0

    cdef int reset(self) except -1:
        """Close at once so that the peer sees an error, not an end."""
        # NOTE: without this, what ends with the connection would look complete. TLS tells the two apart itself.
        cdef linger now = linger(1, 0)
        if self.fd >= 0 and self.transport is not None:
            setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now))
        return self.abort()
