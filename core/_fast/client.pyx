"""Speak HTTP/1 with a client: the native door's connection.

The rules it guards: requests are answered in order; a request is parsed where it lies, without a copy;
a message that cannot be trusted is refused once, counted, and the connection closed; nobody holds memory
or the connection longer than the door's timeouts allow.
"""

import asyncio
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

from core._fast.clock cimport monotonic_ns
from core._fast.door cimport Door
from core._fast.head cimport find_head_end, parse_request
from core._fast.link cimport Link
from core._fast.recycling cimport new_exchange, recycle
from core._fast.wheel cimport new_timer

from core._fast.head import PROBLEMS
from core.errors import Problem

log = logging.getLogger("agora.client")

cdef enum:
    SMALL = 16384              # bytes of a request body that goes on in one piece with its head
    DRAINED = 262144           # bytes of an unwanted request body that are read rather than closing the connection
    LINGERED = 1048576         # bytes read before a connection is closed under a sending peer

cdef dict REFUSALS = {code: Problem(status, slug, title) for code, (status, slug, title) in PROBLEMS.items()}
cdef object TOO_SLOW = Problem(408, "request-timeout", "The request took too long to arrive")
cdef object TOO_MANY = Problem(503, "too-many-connections", "Too many connections", "internal", True)

# Exchanges that ended, until nobody on the stack uses them any more.
cdef Exchange ended = None


cdef int reap() except -1:
    global ended
    cdef Exchange exchange
    while ended is not None:
        exchange = ended
        ended = <Exchange>exchange.following
        exchange.following = None
        recycle(exchange)
    return 0


cdef class ClientConnection(ClientClosing):
    """Be the asyncio protocol of one client's connection."""

    def __init__(self, Door door not None):
        self.door = door

    def drain(self):
        """Close now if nothing is under way, else after the exchange."""
        self.keep = False
        if self.exchange is None and self.partial is None:
            self.link.close()

    def abort(self):
        """Close at once."""
        self.link.abort()

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
            self._refuse(TOO_MANY)
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
        try:
            self._consume(data)
        finally:
            self.reading = False
        self.flush()
        if self.leaving:
            self._leave()
        if ended is not None:
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
                self.flush_large()
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
        self.pending = data[at:] if self.pending is None else self.pending + data[at:]
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
                self._refuse(REFUSALS[-used])
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
            if self.body_left <= SMALL and self.body_left <= PyBytes_GET_SIZE(data) - at - used:
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
        self.write_head(exchange)
        if exchange.upgraded:
            self.state = TUNNEL
            exchange.request_ended = False
            self.timer.deadline = 0
            self._deliver_pending()
        return 0

    cdef int pause_request(self) except -1:
        return self.link.pause()

    cdef int resume_request(self) except -1:
        if self.pending is not None:
            return 0  # what waits comes first: _ready and _take_tunnelled read on
        if self.state == BODY and not self.link.blocked:
            self._watch_body()
        return self.link.resume()

    cdef int exchange_ended(self, Exchange exchange) except -1:
        global ended
        cdef State state = self.state
        self.exchange = None
        exchange.following = ended
        ended = exchange
        if self.link.transport is None:
            return 0
        if not self.keep or exchange.close:
            self.flush()
            if state == AWAIT and self.reading:
                self.leaving = True
                return 0
            if state == AWAIT:
                return self._leave()
            if state == TUNNEL:
                self.link.close()
                return self._watch_reader()
            return self._linger()
        if state == AWAIT:
            self.state = IDLE
            return self._ready(exchange.ended)
        self.state = DRAIN
        self.drained = 0
        self.door.wheel.arm(self.timer, monotonic_ns() + self.door.linger_timeout)
        return self.link.resume()

    cdef int _ready(self, int64_t now=0) except -1:
        """Wait for the next request; take up the one that came early, if any."""
        if self.link.blocked:
            return 0  # the write timeout runs; resume_writing comes here again
        if self.state == DRAIN:
            return 0
        # PERF: the clock was read when the exchange ended (bench: fixed answer)
        self.door.wheel.arm(self.timer, (now or monotonic_ns()) + self.door.keep_alive_timeout)
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
        if self.pending is not None:
            asyncio.get_running_loop().call_soon(self._take_tunnelled)
        return 0

    def _take_tunnelled(self):
        cdef bytes data = self.pending
        self.pending = None
        if data is not None and self.link.transport is not None:
            self.link.resume()
            self.received(data)

    # -- deadlines -----------------------------------------------------------------------------

    cdef int _watch_body(self) except -1:
        return self.door.wheel.arm(self.timer, monotonic_ns() + self.door.body_timeout)

    cdef int _fired(self, int64_t now) except -1:
        if self.link.transport is None:
            return 0
        if self.link.closing or self.link.blocked:
            self._slow_reader(now)
        elif self.state == LINGER and self.link.transport.get_write_buffer_size() > 0:
            self._slow_reader(now)
        elif self.state == LINGER or self.state == DRAIN:
            self.link.abort()
        elif self.state == IDLE:
            if self.partial is not None:
                self._refuse(TOO_SLOW)
            else:
                self.link.close()
                self.door.wheel.arm(self.timer, now + self.door.linger_timeout)
        elif self.state == BODY:
            self._slow_body(now)
        return 0

    cdef int _slow_body(self, int64_t now) except -1:
        """Refuse a sender that kept below the least rate, unless it was made to wait."""
        cdef Exchange exchange = self.exchange
        cdef int64_t received = exchange.bytes_in - self.body_mark
        self.body_mark = exchange.bytes_in
        cdef bint steady = received * 1_000_000_000 >= self.door.body_rate * self.door.body_timeout
        if self.link.paused or self.continue_due or steady:
            return self.door.wheel.arm(self.timer, now + self.door.body_timeout)
        self.door.refused(TOO_SLOW.slug)
        exchange.close = True
        self.keep = False
        if exchange.has_response:
            return exchange.break_response(TOO_SLOW.slug)
        exchange.refuse(TOO_SLOW)
        return self.flush()


cdef int fired(object owner, int64_t now) except -1:
    return (<ClientConnection>owner)._fired(now)
