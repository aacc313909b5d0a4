"""Move bytes between plain sockets and their protocols: an epoll of our own inside the event loop.

The loop watches one descriptor, the epoll's; everything that is ready is served in one go, edge-triggered, by
calls in C. Channels look like asyncio transports, so that protocols run on them and on the loop's own
transports (TLS) alike. The rules it guards: connection_lost comes later, never out of a call of the
protocol's own; no channel keeps the others waiting; what is closed is not touched again.

PERF: the loop's own transports cost about 1 us more for each piece received (bench: fixed answer, proxied).
"""

import asyncio
import logging
import os
import socket
from collections import deque

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, errno
from libc.stdlib cimport free, malloc

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout)
    enum:
        EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL
        EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP
    uint32_t EPOLLET, EPOLLEXCLUSIVE

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    int accept4(int fd, sockaddr* address, socklen_t* size, int flags)
    int setsockopt(int fd, int level, int name, const void* value, socklen_t size)
    int shutdown(int fd, int how)
    ssize_t recv(int fd, void* data, size_t size, int flags)
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)
    enum:
        SOCK_NONBLOCK, SOCK_CLOEXEC, SHUT_WR, MSG_DONTWAIT, MSG_NOSIGNAL, AF_INET, AF_INET6

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        in6_addr sin6_addr
    unsigned short ntohs(unsigned short port)
    enum:
        IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    enum:
        TCP_NODELAY

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* address, char* text, socklen_t size)

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)

log = logging.getLogger("agora.reactor")

# What one connection's callbacks may raise without harm to the others.
cdef tuple FAILURES = (Exception, asyncio.CancelledError)

cdef enum:
    EVENTS = 256              # taken from the kernel at once
    ROUNDS = 8                # times that is done before the loop's other work gets its turn
    BUFFER = 65536            # bytes received at once
    READS = 4                 # times in a row that one channel is read from
    ACCEPTS = 64              # connections accepted in a row
    HIGH_WATER = 65536        # unsent bytes over which the protocol is told to pause
    LOW_WATER = 16384         # and at which it may go on

cdef uint32_t BOTH_WAYS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
cdef double NO_FILES_PAUSE = 0.5    # seconds without accepting, when descriptors have run out


cdef class Watched:
    cdef int happened(self, uint32_t events) except -1:
        raise NotImplementedError


cdef class Reactor:
    """Serve channels and listeners on one running event loop."""

    def __cinit__(self):
        self.epoll = -1
        self.buffer = <char*>malloc(BUFFER)
        if self.buffer is NULL:
            raise MemoryError

    def __init__(self, loop):
        self.loop = loop
        self.watched = set()
        self.again = []
        self.ending = []
        self._settle = self.settle
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        loop.add_reader(self.epoll, self.ready)

    def __dealloc__(self):
        free(self.buffer)
        if self.epoll >= 0:
            c_close(self.epoll)

    def close(self):
        """Close every channel and stop."""
        cdef Watched watched
        for watched in list(self.watched):
            if isinstance(watched, Channel):
                (<Channel>watched).end(None)
            else:
                watched.close()
        self.settle_all()
        if self.epoll >= 0:
            self.loop.remove_reader(self.epoll)
            c_close(self.epoll)
            self.epoll = -1

    def listen(self, listener, factory):
        """Accept connections on a listening socket, which stays the caller's; return what close() ends."""
        cdef Listener made = Listener.__new__(Listener)
        listener.setblocking(False)
        made.reactor = self
        made.socket = listener
        made.fd = listener.fileno()
        made.factory = factory
        # NOTE: one worker is woken for a connection, not all of them.
        self.watch(made, EPOLLIN | EPOLLEXCLUSIVE)
        return made

    async def connect(self, factory, address):
        """Connect to ``(host, port)``, an IP address, or a unix socket's path; return the protocol."""
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await self.loop.sock_connect(made, address)
        except BaseException:
            made.close()
            raise
        protocol = factory()
        self.adopt(made.detach(), protocol, address, family != socket.AF_UNIX)
        return protocol

    cdef int adopt(self, int fd, Peer protocol, object peer, bint tcp) except -1:
        """Make a connected socket a channel of a protocol."""
        cdef Channel channel = Channel.__new__(Channel)
        cdef int on = 1
        if tcp:
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))
        channel.reactor = self
        channel.fd = fd
        channel.peer = peer
        channel.protocol = protocol
        try:
            protocol.connection_made(channel)
            if not channel.ended:
                self.watch(channel, BOTH_WAYS)
        except FAILURES:
            channel.end(None)
            raise
        return 0

    cdef int watch(self, Watched watched, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.ptr = <PyObject*>watched
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, watched.fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        self.watched.add(watched)
        return 0

    def ready(self):
        """Serve what is ready; the loop calls this when the epoll has something."""
        cdef epoll_event events[EVENTS]
        cdef int i, count, _
        cdef Watched watched
        self.running = True
        try:
            for _ in range(ROUNDS):
                count = epoll_wait(self.epoll, events, EVENTS, 0)
                for i in range(count):
                    # SAFETY: `watched` holds it; nothing leaves that set before this round's events are done.
                    watched = <Watched><PyObject*>events[i].data.ptr
                    try:
                        watched.happened(events[i].events)
                    except FAILURES:
                        log.exception("a connection failed")
                        watched.abort()
                if self.again or self.ending:
                    self.settle_all()
                if count <= 0:
                    break
        finally:
            self.running = False
        if self.again or self.ending:
            self.schedule()

    cdef int schedule(self) except -1:
        if not self.running and not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self._settle)
        return 0

    def settle(self):
        """Do what was put off: read on, and say that connections are lost."""
        self.scheduled = False
        self.running = True
        try:
            self.settle_all()
        finally:
            self.running = False
        if self.again or self.ending:
            self.schedule()

    cdef int settle_all(self) except -1:
        cdef Channel channel
        cdef list channels
        if self.again:
            channels, self.again = self.again, []
            for channel in channels:
                if channel.paused:
                    channel.missed = True
                elif not channel.closing:
                    try:
                        channel.read()
                    except FAILURES:
                        log.exception("a connection failed")
                        channel.end(None)
        while self.ending:
            channels, self.ending = self.ending, []
            for channel in channels:
                try:
                    channel.finish()
                except FAILURES:
                    log.exception("closing a connection failed")
        return 0


cdef class Listener(Watched):
    """Accept connections on one listening socket."""

    cdef int happened(self, uint32_t events) except -1:
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef int fd, _
        for _ in range(ACCEPTS):
            if self.fd < 0:
                return 0
            size = sizeof(address)
            fd = accept4(self.fd, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if errno == EMFILE or errno == ENFILE:
                    self._pause()
                elif errno != EAGAIN and errno != EINTR and errno != ECONNABORTED:
                    log.error("accept failed: %s", os.strerror(errno))
                return 0
            try:
                protocol = self.factory()
            except Exception:
                c_close(fd)
                log.exception("a new connection has no protocol")
                continue
            try:
                self.reactor.adopt(fd, protocol, peer_name(&address), address.ss_family != socket.AF_UNIX)
            except Exception:
                log.exception("a new connection failed")
        return 0

    def _pause(self):
        log.error("no file descriptors left: accepting again in %s s", NO_FILES_PAUSE)
        fd = self.fd
        self.close()
        self.reactor.loop.call_later(NO_FILES_PAUSE, self._go_on, fd)

    def _go_on(self, fd):
        if self.socket.fileno() == fd and self.reactor.epoll >= 0:
            self.fd = fd
            self.reactor.watch(self, EPOLLIN | EPOLLEXCLUSIVE)

    def close(self):
        """Accept no more; the socket stays open."""
        if self.fd >= 0:
            epoll_ctl(self.reactor.epoll, EPOLL_CTL_DEL, self.fd, NULL)
            self.fd = -1
            self.reactor.watched.discard(self)

    def abort(self):
        """Accept no more."""
        self.close()


cdef object peer_name(sockaddr_storage* address):
    cdef char text[64]
    if address.ss_family == AF_INET:
        inet_ntop(AF_INET, &(<sockaddr_in*>address).sin_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs((<sockaddr_in*>address).sin_port)
    if address.ss_family == AF_INET6:
        inet_ntop(AF_INET6, &(<sockaddr_in6*>address).sin6_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs((<sockaddr_in6*>address).sin6_port)
    return ""


cdef class Channel(Watched):
    """Be the transport of one plain socket, as asyncio knows transports."""

    cdef int happened(self, uint32_t events) except -1:
        if self.ended:
            return 0
        if events & EPOLLOUT and self.unsent_size:
            self.flush()
        if events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP):
            self.peer_ended = True
        elif not events & EPOLLIN:
            return 0
        if self.closing or self.ended:
            if events & (EPOLLERR | EPOLLHUP):
                self.end(None)
            return 0
        if self.paused:
            self.missed = True
            if events & EPOLLERR:
                self.end(ConnectionResetError())
            return 0
        return self.read()

    cdef int read(self) except -1:
        cdef ssize_t size
        cdef int code, _
        for _ in range(READS):
            size = recv(self.fd, self.reactor.buffer, BUFFER, MSG_DONTWAIT)
            if size < 0:
                code = errno
                if code == EAGAIN or code == EINTR:
                    return 0
                return self.failed(code)
            if size == 0:
                if not self.protocol.eof_received():
                    self.close()
                return 0
            self.protocol.received(PyBytes_FromStringAndSize(self.reactor.buffer, size))
            if self.ended or self.closing:
                return 0
            if size < BUFFER and not self.peer_ended:
                return 0
            if self.paused:
                self.missed = True
                return 0
        self.reactor.again.append(self)
        return 0

    cdef int flush(self) except -1:
        """Send what could not be sent before."""
        cdef const unsigned char[::1] piece
        cdef ssize_t sent
        while self.unsent:
            piece = self.unsent[0]
            sent = c_send(self.fd, &piece[0], piece.shape[0], MSG_NOSIGNAL | MSG_DONTWAIT)
            if sent < 0:
                if errno == EAGAIN or errno == EINTR:
                    return 0
                return self.failed(errno)
            self.unsent_size -= sent
            if sent < piece.shape[0]:
                self.unsent[0] = self.unsent[0][sent:]
                break
            self.unsent.popleft()
        if self.write_paused and self.unsent_size <= LOW_WATER:
            self.write_paused = False
            self.protocol.resume_writing()
        if not self.unsent and not self.ended:
            if self.shut_due:
                shutdown(self.fd, SHUT_WR)
            if self.closing:
                return self.end(None)
        return 0

    cdef int failed(self, int code) except -1:
        return self.end(OSError(code, os.strerror(code)))

    cdef int end(self, object error) except -1:
        """Have the channel closed soon; the protocol hears of it then."""
        if self.ended:
            return 0
        self.ended = self.closing = True
        self.error = error
        self.unsent = None
        self.unsent_size = 0
        self.reactor.ending.append(self)
        return self.reactor.schedule()

    cdef int finish(self) except -1:
        cdef Peer protocol = self.protocol
        if self.fd < 0:
            return 0
        c_close(self.fd)
        self.fd = -1
        self.reactor.watched.discard(self)
        self.protocol = None
        protocol.connection_lost(self.error)
        return 0

    # -- what protocols call ---------------------------------------------------------------------

    def write(self, data):
        """Send bytes after those that could not be sent yet."""
        cdef const unsigned char[::1] piece = data
        cdef ssize_t sent = 0
        if self.ended or piece.shape[0] == 0:
            return
        if not self.unsent_size:
            sent = c_send(self.fd, &piece[0], piece.shape[0], MSG_NOSIGNAL | MSG_DONTWAIT)
            if sent == piece.shape[0]:
                return
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    self.failed(errno)
                    return
                sent = 0
        if self.unsent is None:
            self.unsent = deque()
        self.unsent.append(memoryview(data)[sent:])
        self.unsent_size += piece.shape[0] - sent
        if self.unsent_size > HIGH_WATER and not self.write_paused:
            self.write_paused = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self):
        """Count the bytes that could not be sent yet."""
        return self.unsent_size

    def can_write_eof(self):
        """Tell that the sending half can be closed alone."""
        return True

    def write_eof(self):
        """Close the sending half once everything is sent."""
        if self.ended or self.shut_due:
            return
        self.shut_due = True
        if not self.unsent_size:
            shutdown(self.fd, SHUT_WR)

    def pause_reading(self):
        """Take nothing more from the socket for now."""
        self.paused = True

    def resume_reading(self):
        """Go on reading, soon."""
        self.paused = False
        if self.missed:
            self.missed = False
            self.reactor.again.append(self)
            self.reactor.schedule()

    def is_closing(self):
        """Tell whether the channel is closed or about to be."""
        return self.closing

    def close(self):
        """Close once everything is sent."""
        if not self.closing:
            self.closing = True
            if not self.unsent_size:
                self.end(None)

    def abort(self):
        """Close at once, by a reset if bytes are left in either direction."""
        self.end(None)

    def get_extra_info(self, name, default=None):
        """Give "peername" or "descriptor"."""
        if name == "peername":
            return self.peer
        if name == "descriptor":
            return self.fd
        return default
