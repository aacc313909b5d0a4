"""Speak HTTP/1 with an upstream server: one pooled connection, one exchange at a time.

The rules it guards: an answer that cannot be trusted becomes a 502 and its connection is closed; a request is
sent again only if no byte of an answer came, the connection had been used before, and the method is
idempotent; bytes that nobody asked for end the connection.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, errno
from libc.string cimport memset

from core._fast.chunked cimport CHUNK_HEADER_MOST, write_chunk_header
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport ENDED, FORWARDED, STREAMING, Target
from core._fast.head cimport Head, find_head_end, parse_response
from core._fast.head_writer cimport BY_CHUNKS, BY_CLOSE, BY_LENGTH, NO_BODY, write_request_head, write_trailers
from core._fast.headers cimport Headers
from core._fast.out cimport Out, put, room
from core._fast.wheel cimport new_timer

from core._fast.head import PROBLEMS
from core.errors import Problem

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void* data, size_t size, int flags)
    enum:
        MSG_PEEK
        MSG_DONTWAIT

log = logging.getLogger("agora.upstream")

cdef object CLOSED = Problem(502, "upstream-closed", "The upstream closed without an answer", "upstream", True)
cdef object BROKEN = Problem(502, "upstream-broken", "The upstream's answer broke off", "upstream")
cdef object MALFORMED = Problem(502, "upstream-malformed", "The upstream's answer is malformed", "upstream")
cdef object LATE = Problem(504, "upstream-timeout", "The upstream did not answer in time", "upstream")

cdef enum:
    COPIED = 16384
    FULL_READ = 65536     # bytes that the reactor reads at once

# A request's head and the beginning of its body lie here until begin() has sent them.
cdef Out out
out.data = NULL
out.size = out.capacity = 0


cdef class Origin:
    cdef int start(self, Exchange exchange) except -1:
        raise NotImplementedError
    cdef int release(self, UpstreamConnection connection, bint reusable) except -1:
        raise NotImplementedError
    cdef int lost(self, UpstreamConnection connection) except -1:
        raise NotImplementedError
    cdef bint current(self, object address):
        return True


cdef class UpstreamConnection(Handler):
    """Be the asyncio protocol of one connection to an upstream server."""

    # -- what the loop calls -------------------------------------------------------------------

    def connection_made(self, transport):
        self.link = Link.__new__(Link)
        self.link.open(transport)
        self.timer = new_timer(self, fired)

    def data_received(self, data):
        self.received(data if type(data) is bytes else bytes(data))

    cdef int received(self, bytes data) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None:
            # NOTE: bytes on an idle connection belong to no request; the next one must not get them.
            return self.link.abort()
        if self.partial is not None:
            self.partial += data
            if find_head_end(<char*>self.partial, len(self.partial), &self.origin.limits, &self.scan) == 0:
                return 0
            data = bytes(self.partial)
            self.partial = None
        self._take(data)
        if exchange.down is not None:
            exchange.down.flush()
        return 0

    def eof_received(self):
        return False

    def connection_lost(self, error):
        cdef Exchange exchange = self.exchange
        cdef Origin origin = self.origin
        if self.link is None or self.link.transport is None:
            return
        self.link.transport = self.link.write = None
        if origin is None:
            self.timer.owner = None
            return  # it was given up before it was anybody's
        origin.wheel.cancel(self.timer)
        self.timer.owner = None
        self.exchange = None
        self.partial = None
        if exchange is not None:
            exchange.handler = None
        origin.lost(self)
        if exchange is None or exchange.stage == ENDED:
            return
        if self.state == RELAY_RAW or (self.state == RELAY and self.response_framing == BY_CLOSE and error is None):
            exchange.end_response(None)
        elif self.heard:
            origin.count(BROKEN.slug)
            if exchange.stage == FORWARDED:
                exchange.target_failed(BROKEN)
            else:
                exchange.break_response(BROKEN.slug)
        elif self._replayable(exchange):
            exchange.held = exchange.kept
            exchange.kept = None
            origin.start(exchange)
        else:
            origin.count(CLOSED.slug)
            exchange.target_failed(CLOSED)
        exchange.down.flush()

    def pause_writing(self):
        self.link.blocked = True
        if self.exchange is not None:
            self.exchange.down.pause_request()

    def resume_writing(self):
        self.link.blocked = False
        if self.exchange is not None:
            self.exchange.down.resume_request()

    # -- the request ---------------------------------------------------------------------------

    cdef bint alive(self):
        """Look whether the server has closed, or sent what nobody asked for."""
        cdef char byte
        if self.link.transport is None or self.link.closing or self.link.dead:
            return False
        if self.link.fd < 0:
            return True
        return recv(self.link.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and errno == EAGAIN

    cdef int begin(self, Exchange exchange) except -1:
        """Send the exchange's request, as far as it has come."""
        cdef Origin origin = self.origin
        cdef int64_t now = monotonic_ns()
        cdef bytes host = origin.host
        if host is None and exchange.request.head.host_len == 0:
            host = origin.default_host
        self.exchange = exchange
        self.state = AWAIT_HEAD
        self.request_sent = self.heard = False
        self.mark = 0
        exchange.handler = self
        exchange.began_target = now
        exchange.forwarded = True
        if exchange.replayable:
            exchange.kept = exchange.held
        out.size = 0
        write_request_head(
            &out, exchange, origin.wording,
            PyBytes_AS_STRING(host) if host is not None else NULL, PyBytes_GET_SIZE(host) if host is not None else 0,
            &self.request_framing,
        )
        if (
            exchange.request_ended and exchange.held is None and exchange.request.body is None
            and not exchange.plan.chunk
        ):
            self.request_sent = True
            if self.request_framing == BY_CHUNKS:
                write_trailers(&out, exchange.trailers)
        else:
            exchange._release_held()
        if out.size and self.exchange is exchange:
            self.link.send(out.data, out.size, NULL, 0, NULL, 0)
        out.size = 0
        if self.exchange is exchange:
            self._arm(now, <int64_t>(exchange.first_byte_timeout * 1e9) or origin.first_byte_timeout)
        return 0

    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        cdef const char* tail = NULL
        cdef Py_ssize_t tail_size = 0
        if self.state == AWAIT_HEAD or self.state == RELAY:
            if self.request_framing == BY_CHUNKS:
                room(&out, CHUNK_HEADER_MOST)
                out.size += write_chunk_header(out.data + out.size, size)
                tail = b"\r\n"
                tail_size = 2
            elif self.request_framing == NO_BODY:
                return 0  # a plugin added to what was announced to be empty
        if out.size and size <= COPIED and exchange.request_ended:
            room(&out, size + 2)
            put(&out, data, size)
            put(&out, tail, tail_size)
            return 0
        self.link.send(out.data, out.size, data, size, tail, tail_size)
        out.size = 0
        return 0

    cdef int end_request(self, Exchange exchange, Headers trailers) except -1:
        if self.state == RELAY_RAW:
            return self.link.shut()
        self.request_sent = True
        if self.timer.deadline and self.state == AWAIT_HEAD:
            # NOTE: begin() armed it; the time for an answer runs from here.
            self._arm(monotonic_ns(), <int64_t>(exchange.first_byte_timeout * 1e9) or self.origin.first_byte_timeout)
        if self.request_framing == BY_CHUNKS:
            write_trailers(&out, trailers)
            self.link.send(out.data, out.size, NULL, 0, NULL, 0)
            out.size = 0
        return 0

    cdef int pause_response(self) except -1:
        return self.link.pause()

    cdef int resume_response(self) except -1:
        return self.link.resume()

    cdef int cancel(self, Exchange exchange) except -1:
        """Let go of the exchange; a connection in the middle of something is of no more use."""
        self.exchange = None
        if self.state == RELAY and self.response_framing == NO_BODY and self.request_sent:
            # NOTE: the answer ended with its head, which is being handed on: _take() sees to the rest.
            self.state = LISTENING
            return 0
        return self.link.abort()

    # -- the response --------------------------------------------------------------------------

    cdef int _take(self, bytes data) except -1:
        cdef Exchange exchange = self.exchange
        cdef const char* start = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t at = 0, used
        cdef bint done = False
        self.heard = True
        while at < size or done:
            if self.exchange is not exchange:
                return 0
            if self.state == AWAIT_HEAD:
                used = self._head(data, at)
                if used <= 0:
                    return 0
                at += used
                if self.state == LISTENING:
                    self.timer.deadline = 0
                    return self._release(at == size and (size < FULL_READ or self.alive()))
                if self.state != RELAY or self.exchange is not exchange:
                    continue
                done = self.response_framing == NO_BODY or (self.response_framing == BY_LENGTH and self.left == 0)
            elif self.state == RELAY:
                if not done:
                    used = self._body(start + at, size - at, &done)
                    if used < 0:
                        return 0
                    at += used
                if done and self.exchange is exchange:
                    # NOTE: what comes after an answer must not become the next one; after a full read, more of it
                    # may lie in the socket.
                    return self._complete(at == size and (size < FULL_READ or self.alive()))
            else:
                return exchange.response_piece(start + at, size - at)
        return 0

    cdef Py_ssize_t _head(self, bytes data, Py_ssize_t at) except -2:
        """Parse a response's head and hand it on; return its length, 0: not complete, -1: refused."""
        cdef Exchange exchange = self.exchange
        cdef Headers headers = exchange._response.headers
        cdef Head head
        cdef Py_ssize_t used
        headers.clear()
        headers.backing = data
        used = parse_response(PyBytes_AS_STRING(data) + at, PyBytes_GET_SIZE(data) - at, &self.origin.limits,
                              exchange.request.head.method, &head, headers)
        if used == 0:
            self.partial = bytearray(data[at:])
            memset(&self.scan, 0, sizeof(HeadScan))
            find_head_end(<char*>self.partial, len(self.partial), &self.origin.limits, &self.scan)
            return 0
        if used < 0:
            return self._malformed(-used)
        if head.status < 200 and head.status != 101:
            if head.status != 100:
                exchange.interim(head.status, headers)
            return used
        if exchange.retry is not None and head.status >= 400 and self._tried_again(exchange, &head, headers):
            return -1
        if head.status == 101:
            if not exchange.request.head.upgrade:
                return self._malformed(0)
            exchange.upgraded = True
            self.state = RELAY_RAW
            self.timer.deadline = 0
        else:
            self.state = RELAY
            self.keep = head.keep_alive
            self._frame(&head)
        exchange.first_byte = monotonic_ns()
        exchange._response.code = head.status
        exchange._response.reason = head.reason
        exchange._response.reason_len = head.reason_len
        exchange._response.content_length = head.content_length
        exchange._response.body = None
        if self.state == RELAY and self.response_framing != NO_BODY:
            self.mark = exchange.bytes_in
            self._arm(exchange.first_byte, <int64_t>(exchange.idle_timeout * 1e9) or self.origin.idle_timeout)
        exchange.response_head()
        return used

    cdef bint _tried_again(self, Exchange exchange, const Head* head, Headers headers) except -1:
        """Leave an answer that asks for another try, if there is one to be had."""
        cdef bytes after = headers.get(b"retry-after")
        cdef int64_t wait = -1
        if after is not None and after.isdigit() and len(after) < 6:
            wait = int(after) * 1_000_000_000
        self.exchange = None
        exchange.handler = None
        if (<Target>exchange.plan.target).again(exchange, None, head.status, wait):
            self.link.abort()
            return True
        self.exchange = exchange
        exchange.handler = self
        return False

    cdef int _frame(self, const Head* head) except -1:
        self.left = head.content_length
        if head.bodiless:
            self.response_framing = NO_BODY
        elif head.chunked:
            self.response_framing = BY_CHUNKS
            if self.decoder is None:
                self.decoder = ChunkedDecoder.__new__(ChunkedDecoder)
            self.decoder.reset()
        elif head.content_length >= 0:
            self.response_framing = BY_LENGTH
        else:
            self.response_framing = BY_CLOSE
        return 0

    cdef Py_ssize_t _malformed(self, int code) except -2:
        reason = PROBLEMS[code][1] if code else "unasked-upgrade"
        log.warning("malformed answer from %s: %s", self.origin.text, reason)
        self._fail(MALFORMED)
        return -1

    cdef Py_ssize_t _body(self, const char* data, Py_ssize_t size, bint* done) except -2:
        cdef const char* piece = data
        cdef Py_ssize_t piece_size = size, used = size
        if self.response_framing == BY_LENGTH:
            if piece_size > self.left:
                piece_size = used = self.left
            self.left -= piece_size
            done[0] = self.left == 0
        elif self.response_framing == BY_CHUNKS:
            used = self.decoder.feed(data, size, &piece, &piece_size, done)
            if used < 0:
                return self._malformed(-used)
        if piece_size:
            self.exchange.response_piece(piece, piece_size)
        return used

    cdef int _complete(self, bint reusable) except -1:
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.state = LISTENING
        self.timer.deadline = 0
        exchange.end_response(self.decoder.trailers if self.response_framing == BY_CHUNKS else None)
        if not self.request_sent:
            # NOTE: what is queued of the request may never be taken.
            self.link.abort()
        return self._release(reusable)

    cdef int _release(self, bint reusable) except -1:
        reusable = reusable and self.keep and self.request_sent and not self.link.closing
        return self.origin.release(self, reusable)

    cdef int _fail(self, object problem) except -1:
        """End the exchange with a problem of the upstream's, and the connection with it."""
        cdef Exchange exchange = self.exchange
        self.exchange = None
        exchange.handler = None
        self.origin.count(problem.slug)
        self.link.abort()
        if exchange.stage == STREAMING:
            return exchange.break_response(problem.slug)
        return exchange.target_failed(problem)

    cdef bint _replayable(self, Exchange exchange):
        if self.slot.uses < 2 or not exchange.replayable or exchange.replayed:
            return False
        exchange.replayed = True
        return True

    # -- deadlines -----------------------------------------------------------------------------

    cdef int _arm(self, int64_t now, int64_t timeout) except -1:
        if timeout:
            return self.origin.wheel.arm(self.timer, now + timeout)
        self.timer.deadline = 0
        return 0

    cdef int _fired(self, int64_t now) except -1:
        cdef Exchange exchange = self.exchange
        cdef int64_t moved
        cdef int64_t timeout
        if exchange is None:
            return 0
        moved = exchange.bytes_in + exchange.bytes_out
        if self.state == AWAIT_HEAD and self.request_sent:
            self._fail(LATE)
            return exchange.down.flush()
        if self.link.paused or moved != self.mark or (self.state == AWAIT_HEAD and not self.link.blocked):
            # NOTE: the client is slow, or bytes have moved since the last look.
            self.mark = moved
            timeout = <int64_t>(exchange.idle_timeout * 1e9) or self.origin.idle_timeout
            return self._arm(now, timeout)
        self._fail(LATE)
        return exchange.down.flush()


cdef int fired(object owner, int64_t now) except -1:
    return (<UpstreamConnection>owner)._fired(now)
