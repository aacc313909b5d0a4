"""Speak HTTP/1 with a client: the native door's connection.

The rules it guards: requests are answered in order; a request is parsed where it lies, without a copy;
a message that cannot be trusted is refused once, counted, and the connection closed; nobody holds memory
or the connection longer than the door's timeouts allow.
"""

import asyncio
import logging
from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy, memset

from core._fast.clock cimport monotonic_ns
from core._fast.chunked cimport CHUNK_HEADER_MOST, write_chunk_header
from core._fast.exchange cimport STREAMING, recycle, new_exchange
from core._fast.head cimport find_head_end, parse_request
from core._fast.head_writer cimport (
    BY_CHUNKS, BY_CLOSE, BY_LENGTH, NO_BODY, write_interim_head, write_response_head, write_trailers,
)
from core._fast.headers cimport FIELD_FORWARDING, Headers, H_X_FORWARDED_FOR
from core._fast.message cimport Response
from core._fast.out cimport Out, put, room
from core._fast.wheel cimport new_timer

from core._fast.head import PROBLEMS
from core.errors import Problem

log = logging.getLogger("agora.client")

cdef enum:
    COPIED = 16384             # bytes of a body's piece that are copied behind the head rather than sent beside it
    COLLECTED = 65536          # bytes of answers to pipelined requests that are sent at once
    DRAINED = 262144           # bytes of an unwanted request body that are read rather than closing the connection
    LINGERED = 1048576         # bytes read before a connection is closed under a sending peer

cdef int64_t NEVER = 1 << 60   # ns; about 36 years

cdef dict REFUSALS = {code: Problem(status, slug, title) for code, (status, slug, title) in PROBLEMS.items()}
cdef object TOO_SLOW = Problem(408, "request-timeout", "The request took too long to arrive")
cdef object TOO_MANY = Problem(503, "too-many-connections", "Too many connections", "internal", True)

# What is to be sent lies here until the end of a callback.
cdef Out out
out.data = NULL
out.size = out.capacity = 0
cdef ClientConnection holder = None      # whose bytes they are

# Exchanges that ended, until nobody on the stack uses them any more.
cdef list ended = []


cdef int reap() except -1:
    cdef Exchange exchange
    while ended:
        exchange = ended.pop()
        recycle(exchange)
    return 0


cdef int64_t nanoseconds(double seconds):
    return <int64_t>(seconds * 1e9) if seconds > 0 else NEVER


cdef class Door:
    """Hold what all connections of one worker share: settings, limits, and the snapshot in force."""

    def __init__(self, Wheel wheel, *, refused, gauge):
        self.wheel = wheel
        self.refused = refused
        self.gauge = gauge
        self.addresses = {}
        self.open = set()

    def configure(self, Snapshot snapshot, Wording wording, *, trusts, client_of,
                  int request_line, int header_block, int header_count, int max_extensions,
                  double head_timeout, double body_timeout, double keep_alive_timeout,
                  double write_timeout, int max_connections, int max_per_address,
                  double linger_timeout=2, int64_t body_rate=240):
        """Put a new version of everything in force, for requests that begin from now on.

        Timeouts in seconds, 0: none; sizes in bytes; ``body_rate`` in bytes a second.
        """
        self.snapshot = snapshot
        self.wording = wording
        self.trusts = trusts
        self.client_of = client_of
        self.limits.request_line = request_line
        self.limits.header_block = header_block
        self.limits.header_count = header_count
        self.max_extensions = max_extensions
        self.head_timeout = nanoseconds(head_timeout)
        self.body_timeout = nanoseconds(body_timeout)
        self.keep_alive_timeout = nanoseconds(keep_alive_timeout)
        self.write_timeout = nanoseconds(write_timeout)
        self.linger_timeout = nanoseconds(linger_timeout)
        self.body_rate = body_rate
        self.max_connections = max_connections
        self.max_per_address = max_per_address

    def protocol(self):
        """Make the protocol for one accepted connection: the factory for loop.create_server."""
        cdef ClientConnection connection = ClientConnection.__new__(ClientConnection)
        connection.door = self
        return connection

    def drain(self, then):
        """Close idle connections now and the others after their current exchange; then call ``then``."""
        self.draining = True
        self.drained = then
        if self.connections == 0:
            then()
        cdef ClientConnection connection
        for connection in list(self.open):
            connection.keep = False
            if connection.exchange is None and connection.partial is None:
                connection.link.close()

    def abort(self):
        """Close every connection at once."""
        cdef ClientConnection connection
        for connection in list(self.open):
            connection.link.abort()


cdef class ClientConnection(Downstream):
    """Be the asyncio protocol of one client's connection."""

    # -- what the loop calls -------------------------------------------------------------------

    def connection_made(self, transport):
        cdef Door door = self.door
        self.link = Link.__new__(Link)
        self.link.open(transport)
        self.timer = new_timer(self, fired)
        name = transport.get_extra_info("peername")
        address = name[0] if isinstance(name, tuple) else "unix"
        self.peer = address.encode("ascii", "replace")
        self.trusted = door.trusts(address)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.secure = True
            self.certificate = transport.get_extra_info("peercert")
        door.connections += 1
        door.gauge(1)
        door.open.add(self)
        if door.max_per_address:
            self.counted = True
            door.addresses[self.peer] = door.addresses.get(self.peer, 0) + 1
        if (door.max_connections and door.connections > door.max_connections) or (
            door.max_per_address and door.addresses[self.peer] > door.max_per_address
        ):
            self._refuse_with(TOO_MANY)
            return
        # NOTE: a client that connects and says nothing has the time of a head.
        door.wheel.arm(self.timer, monotonic_ns() + door.head_timeout)

    def connection_lost(self, error):
        cdef Door door = self.door
        cdef Exchange exchange = self.exchange
        if self.link is None or self.link.transport is None:
            return
        self.link.transport = self.link.write = None
        door.connections -= 1
        door.gauge(-1)
        door.open.discard(self)
        if door.draining and door.connections == 0:
            door.drained()
        if self.counted:
            left = door.addresses[self.peer] - 1
            if left:
                door.addresses[self.peer] = left
            else:
                del door.addresses[self.peer]
        door.wheel.cancel(self.timer)
        self.timer.owner = None
        self.pending = self.partial = None
        if exchange is not None:
            exchange.client_gone()

    def data_received(self, data):
        self.received(data if type(data) is bytes else bytes(data))

    cdef int received(self, bytes data) except -1:
        if self.partial is not None:
            self.partial += data
            if not self._head_complete():
                return 0
            data = bytes(self.partial)
            self.partial = None
        self.reading = True
        self._consume(data)
        self.reading = False
        if out.size:
            self.flush()
        if ended:
            reap()
        return 0

    def eof_received(self):
        cdef Exchange exchange = self.exchange
        if self.state == TUNNEL and exchange is not None and exchange.handler is not None:
            exchange.end_request(None)
            return True
        # NOTE: a client that closes its sending half is taken to have left: there is no telling the two
        # apart, and event streams end this way.
        return False

    def pause_writing(self):
        self.link.blocked = True
        if self.exchange is not None:
            self.exchange.pause_response()
        self._watch_reader()

    def resume_writing(self):
        self.link.blocked = False
        if self.link.closing or self.state == LINGER:
            return
        if self.exchange is not None:
            self.timer.deadline = 0
            if self.state == BODY:
                self._watch_body()
            self.exchange.resume_response()
        else:
            self._ready()

    # -- taking bytes --------------------------------------------------------------------------

    cdef int _consume(self, bytes data) except -1:
        cdef const char* start = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t at = 0, used
        while at < size and self.link.transport is not None:
            if self.state == IDLE:
                if self.link.closing:
                    return 0
                if out.size >= COLLECTED:
                    self.flush()
                if self.link.blocked:
                    # NOTE: who does not read its answers gets no further ones.
                    return self._put_off(data, at)
                used = self._request(data, at)
                if used <= 0:
                    return 0
                at += used
            elif self.state == BODY:
                at += self._body(start + at, size - at)
            elif self.state == DRAIN:
                at += self._drain_body(start + at, size - at)
            elif self.state == TUNNEL:
                if self.exchange is not None:
                    self.exchange.request_piece(start + at, size - at)
                return 0
            elif self.state == LINGER:
                self.drained += size - at
                if self.drained > LINGERED:
                    self.link.abort()
                return 0
            else:
                # NOTE: one request at a time; the next waits here, and its sender in the socket's buffer.
                return self._put_off(data, at)
        return 0

    cdef int _put_off(self, bytes data, Py_ssize_t at) except -1:
        self.pending = data[at:]
        return self.link.pause()

    cdef Py_ssize_t _request(self, bytes data, Py_ssize_t at) except -2:
        """Parse a head at `at` and begin its exchange; return its length, 0: not complete, -1: refused."""
        cdef Door door = self.door
        cdef Exchange exchange = new_exchange()
        cdef Py_ssize_t used
        exchange.request.headers.backing = data
        used = parse_request(PyBytes_AS_STRING(data) + at, PyBytes_GET_SIZE(data) - at, &door.limits,
                             &exchange.request.head, exchange.request.headers)
        if used <= 0:
            exchange.request.clear()
            recycle(exchange)
            if used == 0:
                self._collect(data, at)
            else:
                self._refuse(-used)
                return -1
            return 0
        self.timer.deadline = 0
        self.exchange = exchange
        self.keep = exchange.request.head.keep_alive and not door.draining
        self.continue_due = exchange.request.head.expect_continue
        self.body_left = exchange.request.head.content_length
        self.chunked = exchange.request.head.chunked
        exchange.wheel = door.wheel
        exchange.started = monotonic_ns()
        exchange.secure = self.secure
        exchange.trusted = self.trusted
        exchange.certificate = self.certificate
        exchange._peer = exchange._client = self.peer
        if self.trusted:
            exchange._client = door.client_of(self.peer, exchange.request.headers)
        if self.chunked:
            self.state = BODY
            if self.decoder is None:
                self.decoder = ChunkedDecoder.__new__(ChunkedDecoder)
            self.decoder.reset()
            self.decoder.most_extensions = door.max_extensions
        elif self.body_left > 0:
            self.state = BODY
            if self.body_left <= COPIED and self.body_left <= PyBytes_GET_SIZE(data) - at - used:
                # PERF: a small body that came with its head goes on with it, in one piece
                exchange.take_whole_body(PyBytes_AS_STRING(data) + at + used, self.body_left)
                used += self.body_left
                self.body_left = 0
                self.continue_due = False
                self.state = AWAIT
        else:
            self.state = AWAIT
            exchange.request_ended = True
        if self.state == BODY:
            self.body_mark = 0
            self._watch_body()
        exchange.begin(self, door.snapshot)
        return used

    cdef Py_ssize_t _body(self, const char* data, Py_ssize_t size) except -1:
        """Give the exchange a piece of the body; return how many bytes were used."""
        cdef Exchange exchange = self.exchange
        cdef const char* piece = data
        cdef Py_ssize_t piece_size = size, used
        cdef bint done = False
        self.continue_due = False
        if self.chunked:
            used = self.decoder.feed(data, size, &piece, &piece_size, &done)
            if used < 0:
                return self._broken_body(-used, size)
        else:
            if piece_size > self.body_left:
                piece_size = self.body_left
            self.body_left -= piece_size
            used = piece_size
            done = self.body_left == 0
        if done:
            self.state = AWAIT
        if piece_size:
            exchange.request_piece(piece, piece_size)
        if done and self.exchange is exchange:
            if not self.link.blocked:
                self.timer.deadline = 0
            exchange.end_request(self.decoder.trailers if self.chunked else None)
        elif done and self.state == DRAIN:
            self._ready()
        return used

    cdef Py_ssize_t _broken_body(self, int code, Py_ssize_t size) except -1:
        """Refuse a body whose framing is broken: nothing after it can be trusted."""
        cdef Exchange exchange = self.exchange
        cdef object problem = REFUSALS[code]
        self.door.refused(problem.slug)
        log.info("refused a body from %s: %s", self.peer.decode(), problem.title)
        exchange.close = True
        self.keep = False
        if exchange.has_response:
            exchange.break_response(problem.slug)
        else:
            exchange.refuse(problem)
        if self.state == BODY:
            self.state = LINGER
        return size

    cdef Py_ssize_t _drain_body(self, const char* data, Py_ssize_t size) except -1:
        cdef const char* piece = data
        cdef Py_ssize_t piece_size = size, used
        cdef bint done = False
        if self.chunked:
            used = self.decoder.feed(data, size, &piece, &piece_size, &done)
            if used < 0:
                self.link.close()
                return size
        else:
            used = size if size < self.body_left else self.body_left
            self.body_left -= used
            done = self.body_left == 0
        self.drained += used
        if done:
            self.state = IDLE
            self._ready()
        elif self.drained > DRAINED:
            self._linger()
        return used

    cdef int _collect(self, bytes data, Py_ssize_t at) except -1:
        """Keep the beginning of a head until the rest comes; its clock runs from its first byte."""
        self.partial = bytearray(data[at:])
        memset(&self.scan, 0, sizeof(HeadScan))
        self._head_complete()
        self.door.wheel.arm(self.timer, monotonic_ns() + self.door.head_timeout)
        return 0

    cdef bint _head_complete(self):
        cdef const char* start = self.partial
        return find_head_end(start, len(self.partial), &self.door.limits, &self.scan) != 0

    # -- refusing ------------------------------------------------------------------------------

    cdef int _refuse(self, int code) except -1:
        return self._refuse_with(REFUSALS[code])

    cdef int _refuse_with(self, object problem) except -1:
        """Answer what cannot become an exchange, and close."""
        self.door.refused(problem.slug)
        log.info("refused a request from %s: %s", self.peer.decode(), problem.title)
        body = problem.body()
        answer = b"".join((
            b"HTTP/1.1 %d %s\r\n" % (problem.status, HTTPStatus(problem.status).phrase.encode("ascii")),
            b"Content-Type: application/problem+json\r\nConnection: close\r\n",
            b"Content-Length: %d\r\n\r\n" % len(body), body,
        ))
        if holder is not self:
            take_out(self)
        room(&out, PyBytes_GET_SIZE(answer))
        put(&out, PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer))
        self.flush()
        return self._linger()

    cdef int _linger(self) except -1:
        """Say that nothing more is sent, and give the peer a moment to read it before closing."""
        # NOTE: closing with unread bytes in the socket makes the kernel throw away the answer under way.
        self.state = LINGER
        self.drained = 0
        self.pending = self.partial = None
        if self.secure:
            self.link.close()
        else:
            self.link.shut()
            self.link.resume()
        self.door.wheel.arm(self.timer, monotonic_ns() + self.door.linger_timeout)
        return 0

    # -- what the exchange calls ---------------------------------------------------------------

    cdef int start_response(self, Exchange exchange) except -1:
        cdef bint complete = self.state == AWAIT or self.state == TUNNEL
        if self.link.transport is None:
            return 0
        if exchange.close or self.door.draining:
            self.keep = False
        if not complete and self.keep and exchange.answered_here:
            # NOTE: keep the connection only if the rest of the body is small and sure to come.
            self.keep = not self.continue_due and not self.chunked and self.body_left <= DRAINED
        if holder is not self:
            take_out(self)
        write_response_head(&out, exchange, self.door.wording, self.keep, &self.framing)
        if self.framing == BY_CLOSE:
            self.keep = False
        self.response_left = -1
        if self.framing == BY_LENGTH:
            self.response_left = exchange._response.content_length
            if exchange._response.body is not None:
                self.response_left = PyBytes_GET_SIZE(exchange._response.body)
        if exchange.upgraded:
            self.state = TUNNEL
            exchange.request_ended = False
            self.timer.deadline = 0
            self._deliver_pending()
        return 0

    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1:
        if self.link.transport is None:
            return 0
        if holder is not self:
            take_out(self)
        write_interim_head(&out, exchange, status, headers)
        return self.flush()

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        cdef const char* tail = NULL
        cdef Py_ssize_t tail_size = 0
        if self.link.transport is None or self.framing == NO_BODY or size == 0:
            return 0
        if holder is not self:
            take_out(self)
        if self.framing == BY_LENGTH:
            if size > self.response_left:
                # NOTE: a plugin made the body longer than it was announced; never send what another
                # answer could be read into.
                size = self.response_left
                self.keep = False
            self.response_left -= size
        elif self.framing == BY_CHUNKS:
            room(&out, CHUNK_HEADER_MOST)
            out.size += write_chunk_header(out.data + out.size, size)
            tail = b"\r\n"
            tail_size = 2
        if size <= COPIED:
            room(&out, size + 2)
            put(&out, data, size)
            put(&out, tail, tail_size)
            if not self.reading and self.response_left != 0:
                self.flush()
            return 0
        self.link.send(out.data, out.size, data, size, tail, tail_size)
        out.size = 0
        return 0

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        if self.link.transport is None:
            return 0
        if self.framing == BY_CHUNKS:
            if holder is not self:
                take_out(self)
            write_trailers(&out, trailers if exchange.request.head.te_trailers else None)
        elif self.framing == BY_LENGTH and self.response_left:
            self.flush()
            self.link.abort()
            return 0
        if not self.reading:
            self.flush()
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        """Cut the response off so that the client sees it is not complete."""
        self.keep = False
        self.flush()
        if self.framing == BY_CLOSE:
            return self.link.reset()
        return self.link.abort()

    cdef int flush(self) except -1:
        if holder is self and out.size:
            self.link.send(out.data, out.size, NULL, 0, NULL, 0)
            out.size = 0
        return 0

    cdef int request_wanted(self, Exchange exchange) except -1:
        if self.continue_due:
            self.continue_due = False
            if holder is not self:
                take_out(self)
            room(&out, 32)
            put(&out, b"HTTP/1.1 100 Continue\r\n\r\n", 25)
            return self.flush()
        return 0

    cdef int pause_request(self) except -1:
        return self.link.pause()

    cdef int resume_request(self) except -1:
        if self.state == BODY and not self.link.blocked:
            self._watch_body()
        return self.link.resume()

    cdef int exchange_ended(self, Exchange exchange) except -1:
        cdef State state = self.state
        self.exchange = None
        ended.append(exchange)
        if self.link.transport is None:
            return 0
        if not self.keep or exchange.close:
            self.flush()
            if state == TUNNEL or (state == AWAIT and self.pending is None):
                self.link.close()
                return self._watch_reader()
            return self._linger()
        if state == AWAIT:
            self.state = IDLE
            return self._ready()
        self.state = DRAIN
        self.drained = 0
        self.door.wheel.arm(self.timer, monotonic_ns() + self.door.linger_timeout)
        return self.link.resume()

    cdef int _ready(self) except -1:
        """Wait for the next request; take up the one that came early, if any."""
        if self.link.blocked:
            return 0  # the write timeout runs; resume_writing comes here again
        if self.state == DRAIN:
            return 0
        self.door.wheel.arm(self.timer, monotonic_ns() + self.door.keep_alive_timeout)
        if self.link.paused and self.pending is None:
            self.link.resume()
        if self.pending is not None and not self.reading:
            asyncio.get_running_loop().call_soon(self._take_pending)
        return 0

    def _take_pending(self):
        cdef bytes data = self.pending
        if data is None or self.link.transport is None or self.exchange is not None:
            return
        self.pending = None
        self.link.resume()
        self.received(data)

    cdef int _deliver_pending(self) except -1:
        cdef bytes data = self.pending
        self.pending = None
        if data is not None:
            asyncio.get_running_loop().call_soon(self.data_received, data)
            self.link.resume()
        return 0

    # -- deadlines -----------------------------------------------------------------------------

    cdef int _watch_body(self) except -1:
        return self.door.wheel.arm(self.timer, monotonic_ns() + self.door.body_timeout)

    cdef int _fired(self, int64_t now) except -1:
        if self.link.transport is None:
            return 0
        if self.link.closing or self.link.blocked:
            self._slow_reader(now)
        elif self.state == LINGER or self.state == DRAIN:
            self.link.abort()
        elif self.state == IDLE:
            if self.partial is not None:
                self._refuse_with(TOO_SLOW)
            else:
                self.link.close()
                self.door.wheel.arm(self.timer, now + self.door.linger_timeout)
        elif self.state == BODY:
            self._slow_body(now)
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

    cdef int _slow_body(self, int64_t now) except -1:
        """Refuse a sender that kept below the least rate, unless it was made to wait."""
        cdef Exchange exchange = self.exchange
        cdef int64_t received = exchange.bytes_in - self.body_mark
        self.body_mark = exchange.bytes_in
        if self.link.paused or self.continue_due or received * 1_000_000_000 >= self.door.body_rate * self.door.body_timeout:
            return self.door.wheel.arm(self.timer, now + self.door.body_timeout)
        self.door.refused(TOO_SLOW.slug)
        exchange.close = True
        self.keep = False
        if exchange.has_response:
            return exchange.break_response(TOO_SLOW.slug)
        exchange.refuse(TOO_SLOW)
        return self.flush()


cdef int take_out(ClientConnection connection) except -1:
    """Send what another connection left in the buffer, and make it this one's."""
    global holder
    if holder is not None and out.size:
        holder.flush()
    out.size = 0
    holder = connection
    return 0


cdef int fired(object owner, int64_t now) except -1:
    return (<ClientConnection>owner)._fired(now)
