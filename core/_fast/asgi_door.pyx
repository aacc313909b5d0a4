"""Serve scopes of an ASGI server through the same snapshot and exchanges as the native door.

The rules it guards: a scope's head goes through the same parser, so the same requests are refused with the
same words; bytes are asked for only while the exchange takes them, and the exchange waits while the server
does; a response that breaks off is not completed. Called by gateway/app; WebSockets:
core/_fast/asgi_websocket.
"""

import asyncio
import logging
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.asgi_fields cimport pairs_of
from core._fast.clock cimport monotonic_ns
from core._fast.head cimport (
    M_HEAD, P_CONTENT_LENGTH_CONFLICT, P_HEADER_VALUE_CHARACTER, parse_request,
)
from core._fast.headers cimport H_DATE, H_TRAILER, Headers
from core._fast.message cimport Response
from core._fast.recycling cimport new_exchange, recycle

from core._fast.head import PROBLEMS
from core.asgi_head import ScopeMalformed, announces_body, is_http_1, peer_of, request_head
from core.errors import PROBLEM_CONTENT_TYPE, Problem

log = logging.getLogger("agora.client")

cdef dict REFUSALS = {code: Problem(status, slug, title) for code, (status, slug, title) in PROBLEMS.items()}

cdef enum:
    HIGH = 65536               # bytes queued for the server at which the exchange is asked to wait
    LOW = 16384                # and at which it may go on


class ResponseBroken(Exception):
    """Tell the server that a response ends in the middle, so that it cuts the connection."""

    # NOTE: most servers cut as well if the application only returns; but then a middleware in between may
    # take the response for complete, and end it.


async def serve_http(Door door not None, scope, receive, send):
    """Serve a scope of type http; raise ResponseBroken where the response must be cut off."""
    cdef AsgiSide side = AsgiSide.__new__(AsgiSide)
    cdef list framing = []
    first = None
    if not announces_body(scope):
        first = await receive()
        if first["type"] == "http.disconnect":
            return
        if first.get("more_body", False):
            framing.append((b"transfer-encoding", b"chunked"))
        elif first.get("body", b""):
            framing.append((b"content-length", b"%d" % len(first["body"])))
    side.open(door, scope, send, "http.response")
    await side.carry(head_of(request_head, scope, framing), first, receive)


cdef bytes head_of(object write, object scope, object more):
    """Write a scope's head; what cannot be written becomes one that no parser takes."""
    try:
        return write(scope, more)
    except ScopeMalformed:
        return b""


cdef class AsgiSide(Downstream):
    """Turn an exchange's answer into messages for a server, and a server's messages into its request."""

    def open(self, Door door, scope, send, str kind):
        """Make ready for one scope."""
        self.door = door
        self.scope = scope
        self.send = send
        self.kind = kind
        self.messages = deque()
        self.news = asyncio.Event()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.response_left = self.body_left = -1

    async def carry(self, bytes head, first, receive):
        """Carry one exchange from its head to the response's end; ``first`` is a message already taken."""
        problem = self._begin(head)
        if problem is not None:
            await self._refuse(problem)
            return
        try:
            if first is not None and self.exchange is not None:
                self._on_message(first)
            if not self.over:
                self.reader = asyncio.get_running_loop().create_task(self._read(receive))
            await self._deliver()
        finally:
            if self.reader is not None:
                self.reader.cancel()
            self._leave()
        if self.broken:
            raise ResponseBroken(self.problem or "the response ended early")

    # -- the request -----------------------------------------------------------------------------

    cdef object _begin(self, bytes head):
        """Parse the head and begin the exchange; return the problem if it is refused."""
        cdef Door door = self.door
        cdef Exchange exchange = new_exchange()
        cdef Py_ssize_t used
        exchange.request.headers.backing = head
        used = parse_request(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), &door.limits,
                             &exchange.request.head, exchange.request.headers)
        if used <= 0 or used != PyBytes_GET_SIZE(head):
            exchange.request.clear()
            recycle(exchange)
            return REFUSALS[-used if used < 0 else P_HEADER_VALUE_CHARACTER]
        peer = peer_of(self.scope)
        self.exchange = self.carried = exchange
        exchange.wheel = door.wheel
        exchange.started = monotonic_ns()
        exchange.secure = self.scope["scheme"] in ("https", "wss")
        exchange._peer = exchange._client = peer.encode("ascii")
        exchange.trusted = door.trusts(peer)
        if exchange.trusted:
            exchange._client = door.client_of(exchange._peer, exchange.request.headers)
        self.body_left = exchange.request.head.content_length
        exchange.request_ended = self.body_left <= 0 and not exchange.request.head.chunked
        if exchange.request.head.expect_continue and not exchange.request_ended:
            # NOTE: servers tell the client to go on when they are asked for the body.
            self.may_read.clear()
        exchange.begin(self, door.snapshot)
        return None

    async def _read(self, receive):
        """Take the server's messages as the exchange wants them, until there are no more."""
        try:
            while self.exchange is not None:
                await self.may_read.wait()
                message = await receive()
                if self.exchange is None or not self._on_message(message):
                    return
        except Exception:
            log.exception("reading a request failed")
            if self.exchange is not None:
                self.exchange.client_gone()

    cdef int _on_message(self, object message) except -1:
        """Take a message of the server's; 0: it was the last."""
        if message["type"] == "http.disconnect":
            self.exchange.client_gone()
            return 0
        self._take(bytes(message.get("body", b"")), message.get("more_body", False))
        return 1

    cdef int _take(self, bytes body, bint more) except -1:
        """Give the exchange a piece of the body."""
        cdef Exchange exchange = self.exchange
        cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
        if exchange.request_ended:
            return 0
        if self.body_left >= 0:
            self.body_left -= size
            if self.body_left < 0 or (self.body_left and not more):
                return self._body_differs()
            more = self.body_left > 0
        if size:
            exchange.request_piece(PyBytes_AS_STRING(body), size)
        if not more and self.exchange is exchange:
            exchange.end_request(None)
        return 0

    cdef int _body_differs(self) except -1:
        """End an exchange whose body has not the length that was announced."""
        cdef Exchange exchange = self.exchange
        cdef object problem = REFUSALS[P_CONTENT_LENGTH_CONFLICT]
        self.door.refused(problem.slug)
        exchange.close = True
        if exchange.has_response:
            return exchange.break_response(problem.slug)
        return exchange.refuse(problem)

    cdef int request_wanted(self, Exchange exchange) except -1:
        self.may_read.set()
        return 0

    cdef int pause_request(self) except -1:
        self.may_read.clear()
        return 0

    cdef int resume_request(self) except -1:
        self.may_read.set()
        return 0

    # -- the response ----------------------------------------------------------------------------

    async def _refuse(self, problem):
        """Answer what cannot become an exchange."""
        self.door.refused(problem.slug)
        log.info("refused a request: %s", problem.title)
        self._deny(problem)
        self.over = True
        await self._deliver()

    def _deny(self, problem):
        """Queue the answer that reports a problem."""
        body = problem.body()
        fields = [(b"content-type", PROBLEM_CONTENT_TYPE), (b"content-length", b"%d" % len(body))]
        if self._closes():
            fields.append((b"connection", b"close"))
        self._put({"type": f"{self.kind}.start", "status": problem.status, "headers": fields}, 0)
        self._put({"type": f"{self.kind}.body", "body": body}, len(body))

    async def _deliver(self):
        """Give the server what is queued, until the end; a client that has gone ends it too."""
        try:
            while True:
                if self.messages:
                    size, message = self.messages.popleft()
                    if message["type"] == "websocket.close" and self.reader is not None:
                        # NOTE: granian loses a close that is sent while a receive() waits.
                        self.reader.cancel()
                        await asyncio.wait({self.reader})
                    await self.send(message)
                    self.queued -= size
                    if self.blocked and self.queued <= LOW:
                        self.blocked = False
                        if self.exchange is not None:
                            self.exchange.resume_response()
                elif self.over:
                    return
                else:
                    self.news.clear()
                    await self.news.wait()
        except OSError:
            log.debug("the server says that the client has gone")

    cdef int _leave(self) except -1:
        """End the exchange if it has not ended: nobody is there to answer to."""
        cdef Exchange exchange = self.carried
        self.carried = None
        if self.exchange is not None:
            exchange.client_gone()
        return recycle(exchange)

    cdef int _put(self, object message, Py_ssize_t size) except -1:
        self.messages.append((size, message))
        self.queued += size
        self.news.set()
        if self.queued >= HIGH and not self.blocked and self.exchange is not None:
            self.blocked = True
            self.exchange.pause_response()
        return 0

    def _closes(self):
        """Tell whether a server can be asked to close the connection: not where streams share it."""
        return self.kind == "http.response" and is_http_1(self.scope)

    cdef int start_response(self, Exchange exchange) except -1:
        cdef list fields = self._fields(exchange)
        cdef dict message
        self.response_left = self._length(exchange)
        self.bodiless = (
            exchange.request.head.method == M_HEAD or exchange._response.code in (204, 304)
        )
        if self.response_left >= 0:
            fields.append((b"content-length", b"%d" % self.response_left))
        if exchange.close and self._closes():
            fields.append((b"connection", b"close"))
        message = {"type": f"{self.kind}.start", "status": exchange._response.code, "headers": fields}
        self.trailers_told = (
            exchange.request.head.te_trailers and self.response_left < 0 and not self.bodiless
            and exchange._response.headers.find_id(H_TRAILER) is not NULL
            and "http.response.trailers" in (self.scope.get("extensions") or ())
        )
        if self.trailers_told:
            message["trailers"] = True
        return self._put(message, 0)

    cdef list _fields(self, Exchange exchange):
        """List the response's end-to-end fields, names in lower case."""
        # NOTE: servers write Date themselves, whether there is one or not.
        cdef list fields = pairs_of(exchange._response.headers, H_DATE, H_DATE)
        if self.door.wording.via and exchange.forwarded and not exchange.answered_here:
            fields.append((b"via", b"1.1 " + self.door.wording.name))
        return fields

    cdef int64_t _length(self, Exchange exchange):
        """Return the Content-Length to send; -1: none. The same rule as in core/_fast/head_writer."""
        cdef Response response = exchange._response
        if response.code == 204 or response.rewritten:
            return -1
        if response.body is not None:
            return -1 if response.code == 304 else PyBytes_GET_SIZE(response.body)
        return -1 if exchange.plan.rewrites_bodies else response.content_length

    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1:
        if status == 103 and headers is not None and "http.response.early_hint" in (
            self.scope.get("extensions") or ()
        ):
            self._put({"type": "http.response.early_hint", "links": headers.get_all(b"link")}, 0)
        return 0

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        if self.bodiless or size == 0 or self.broken:
            return 0
        if self.response_left >= 0:
            # NOTE: a plugin may have made the body longer than it was announced.
            size = min(size, self.response_left)
            self.response_left -= size
            if size == 0:
                return 0
        body = PyBytes_FromStringAndSize(data, size)
        return self._put({"type": f"{self.kind}.body", "body": body, "more_body": True}, size)

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        if self.response_left > 0 and not self.bodiless:
            self.broken = True
            return 0
        # PERF: the last piece and the end are one message where the server has not taken the piece yet.
        if self.messages:
            size, message = self.messages.pop()
            if message.get("more_body", False):
                message["more_body"] = False
                self.messages.append((size, message))
                return self._put_trailers(trailers)
            self.messages.append((size, message))
        self._put({"type": f"{self.kind}.body", "body": b"", "more_body": False}, 0)
        return self._put_trailers(trailers)

    def _put_trailers(self, Headers trailers):
        if self.trailers_told:
            fields = [] if trailers is None else pairs_of(trailers, H_TRAILER, H_TRAILER)
            self._put({"type": "http.response.trailers", "headers": fields, "more_trailers": False}, 0)
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        self.problem = exchange.problem
        self.broken = True
        return 0

    cdef int exchange_ended(self, Exchange exchange) except -1:
        self.exchange = None
        self.over = True
        self.news.set()
        self.may_read.set()
        return 0
