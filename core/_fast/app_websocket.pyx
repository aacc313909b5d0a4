"""Run one call of an ASGI application for a WebSocket.

The rules it guards: bytes flow only after the application has accepted and the response phases have run; a
close is answered and waited for, but not for ever; a peer that sends faster than the application reads is
held. Made by core/_fast/app_target. Frames: core/websocket.
"""

import asyncio
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.app_run cimport ANSWERED, AppRun, UNBEGUN
from core._fast.chars cimport equal_ignoring_case
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport Downstream, Exchange
from core._fast.head cimport M_GET
from core._fast.headers cimport H_UPGRADE, Field, Headers
from core._fast.message cimport Response

from core.errors import Problem
from core.websocket import (
    ABNORMAL, INTERNAL_ERROR, NORMAL, SERVICE_RESTART, Closed, WebSocketFrames, accept_token,
    agree_on_compression, is_key,
)

cdef object BAD_VERSION = Problem(426, "websocket-version", "Only WebSocket version 13 is spoken")
cdef object BAD_KEY = Problem(400, "websocket-key", "Sec-WebSocket-Key is missing or malformed")
cdef object HAS_BODY = Problem(400, "websocket-body", "A WebSocket's request has no body")
cdef object REJECTED = Problem(403, "websocket-rejected", "The application rejected the WebSocket")
cdef object CANCELLED_SLUG = "app-cancelled"

cdef enum:
    HELD = 65536               # bytes of messages that wait for the application
cdef double CLOSE_WAIT = 10    # seconds for the client to answer a close


cdef bint wants_websocket(Exchange exchange):
    """Tell whether a request asks to become a WebSocket."""
    cdef Field* upgrade
    if not exchange.request.head.upgrade or exchange.request.head.method != M_GET:
        return False
    upgrade = exchange.request.headers.find_id(H_UPGRADE)
    if upgrade is NULL:
        return False  # a plugin has removed it
    return upgrade.value_len == 9 and equal_ignoring_case(upgrade.value, b"websocket", 9)


cdef object handshake_refusal(Exchange exchange):
    """Return the answer to a handshake that cannot be taken; None: it can."""
    cdef Headers headers = exchange.request.headers
    cdef Response response
    if headers.get_all(b"sec-websocket-version") != [b"13"]:
        response = Response.problem_of(BAD_VERSION)
        response.headers.add(b"sec-websocket-version", b"13")
        return response
    keys = headers.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not is_key(keys[0]):
        return Response.problem_of(BAD_KEY)
    if exchange.request.head.chunked or exchange.request.head.content_length > 0:
        return Response.problem_of(HAS_BODY)
    return None


cdef class WebSocketRun(AppRun):
    """Run an application for a WebSocket."""

    cdef int open(self, Exchange exchange, dict scope, Py_ssize_t message_limit, bint compress) except -1:
        """Begin the call; messages of more than ``message_limit`` bytes close the WebSocket."""
        agreed = []
        offers = exchange.request.headers.get_all(b"sec-websocket-extensions")
        if compress and offers:
            agreed, self.extensions = agree_on_compression(b",".join(offers))
        self.frames = WebSocketFrames(client=False, message_limit=message_limit, extensions=agreed)
        self.key = exchange.request.headers.get(b"sec-websocket-key")
        self.inbox = deque()
        self.state = CONNECTING
        self.start(exchange, scope)
        return exchange._release_held()

    # -- what the application calls --------------------------------------------------------------

    async def receive(self):
        """Give the application the next event."""
        if not self.told_connect:
            self.told_connect = True
            return {"type": "websocket.connect"}
        while not self.inbox:
            if self.farewell is not None:
                return self.farewell
            self.news.clear()
            await self.news.wait()
        size, event = self.inbox.popleft()
        self.waiting -= size
        if self.exchange is not None and self.holding_back and self.waiting < HELD and self.room.is_set():
            self.holding_back = False
            self.exchange.down.resume_request()
        return event

    async def send(self, dict message not None):
        """Take an event from the application; wait while the client reads slowly."""
        cdef str kind = message["type"]
        cdef Downstream down
        if self.exchange is None:
            self._sent_late(kind)
            return
        down = self.exchange.down
        if kind.startswith("websocket.http.response."):
            self._deny(kind, message)
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close" and self.state == CONNECTING and self.answer == UNBEGUN:
            self._reject()
        elif self.state != OPEN:
            raise RuntimeError(f"{kind} came before the accept or after the close")
        elif kind == "websocket.send":
            payload = message.get("bytes")
            self._say(self.frames.message(message["text"] if payload is None else bytes(payload)))
        elif kind == "websocket.close":
            self._close(message.get("code", NORMAL), message.get("reason") or "")
        else:
            raise RuntimeError(f"not an event of a WebSocket: {kind!r}")
        down.flush()
        if not self.room.is_set():
            await self.room.wait()

    def _sent_late(self, str kind):
        """Tell the application that nobody listens; closing what is closed is no mistake."""
        if self.state == CONNECTING and self.answer == ANSWERED:
            raise RuntimeError(f"{kind} came after the answer's end")
        if kind != "websocket.close":
            raise ConnectionResetError("the client has gone")

    def _deny(self, str kind, dict message):
        if self.state != CONNECTING:
            raise RuntimeError(f"{kind} came after the accept")
        if kind == "websocket.http.response.start":
            self._on_start(message)
        elif kind == "websocket.http.response.body":
            self._on_body(message)
        else:
            raise RuntimeError(f"not an event of a WebSocket: {kind!r}")

    cdef int _accept(self, dict message) except -1:
        cdef Exchange exchange = self.exchange
        cdef Response response = exchange._response
        cdef Headers headers = response.headers
        if self.state != CONNECTING or self.answer != UNBEGUN:
            raise RuntimeError("websocket.accept came twice, or after another answer")
        response.clear()
        try:
            headers.add_raw(b"upgrade", b"websocket")
            headers.add_raw(b"sec-websocket-accept", accept_token(self.key))
            if self.extensions is not None:
                headers.add_raw(b"sec-websocket-extensions", self.extensions)
            if message.get("subprotocol"):
                headers.add_raw(b"sec-websocket-protocol", message["subprotocol"].encode("ascii"))
            for name, value in message.get("headers", ()):
                headers.add_raw(bytes(name), bytes(value))
        except BaseException:
            response.clear()
            raise
        response.code = 101
        self.state = OPEN
        exchange.upgraded = True
        exchange.first_byte = monotonic_ns()
        return exchange.response_head()

    cdef int _reject(self) except -1:
        self.state = OVER
        self.farewell = disconnect(ABNORMAL, "")
        return self._refuse(REJECTED)

    # -- what the exchange calls -----------------------------------------------------------------

    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        if self.state != OPEN and self.state != CLOSING:
            return 0
        events, reply = self.frames.receive(PyBytes_FromStringAndSize(data, size))
        if reply:
            self._say(reply)
        for event in events:
            if type(event) is Closed:
                self._disconnected(event.code, event.reason)
                return self._end()
            self._put(event)
        if self.waiting >= HELD and not self.holding_back and self.exchange is not None:
            self.holding_back = True
            exchange.down.pause_request()
        return 0

    def _put(self, payload):
        kind = "text" if isinstance(payload, str) else "bytes"
        self.inbox.append((len(payload), {"type": "websocket.receive", kind: payload}))
        self.waiting += len(payload)
        self.news.set()

    cdef int end_request(self, Exchange exchange, Headers trailers) except -1:
        """Note that the client has closed its half without a word, once bytes flow."""
        if self.state != OPEN and self.state != CLOSING:
            return 0
        self._disconnected(ABNORMAL, "")
        return self._end()

    cdef int pause_response(self) except -1:
        # NOTE: a client that does not read must not go on making us answer its pings either.
        if self.exchange is not None and not self.holding_back:
            self.holding_back = True
            self.exchange.down.pause_request()
        return AppRun.pause_response(self)

    cdef int resume_response(self) except -1:
        if self.exchange is not None and self.holding_back and self.waiting < HELD:
            self.holding_back = False
            self.exchange.down.resume_request()
        return AppRun.resume_response(self)

    cdef int _gone(self) except -1:
        if self.farewell is None:
            self._disconnected(ABNORMAL, "")
        self.state = OVER if self.state != CONNECTING else CONNECTING
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
        return AppRun._gone(self)

    # -- closing ---------------------------------------------------------------------------------

    cdef int _say(self, bytes frame) except -1:
        if self.exchange is not None and frame:
            self.exchange.response_piece(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        return 0

    cdef int _disconnected(self, int code, str reason) except -1:
        self.farewell = disconnect(code, reason)
        self.news.set()
        return 0

    cdef int _close(self, int code, str reason) except -1:
        """Say that nothing more follows, and wait for the client to say so too."""
        self.state = CLOSING
        self._say(self.frames.close(code, reason))
        if self.exchange is not None:
            # NOTE: closing at once could make the kernel throw away the close under way.
            self.deadline = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._client_silent)
        return 0

    def _client_silent(self):
        cdef Exchange exchange = self.exchange
        cdef Downstream down
        if exchange is not None:
            down = exchange.down
            self._disconnected(ABNORMAL, "")
            self._end()
            down.flush()

    cdef int _end(self) except -1:
        """End the tunnel."""
        cdef Exchange exchange = self.exchange
        if exchange is None:
            return 0
        self.answer = ANSWERED
        self._gone()
        return exchange.end_response(None)

    cdef int _failed(self, object problem) except -1:
        if self.state == OPEN:
            return self._close_for_app(SERVICE_RESTART if problem.slug == CANCELLED_SLUG else INTERNAL_ERROR)
        if self.state == CONNECTING:
            return AppRun._failed(self, problem)
        return 0

    cdef int _left_out(self) except -1:
        if self.state == OPEN:
            return self._close_for_app(NORMAL)
        if self.state == CONNECTING:
            return AppRun._left_out(self)
        return 0

    cdef int _close_for_app(self, int code) except -1:
        cdef Exchange exchange = self.exchange
        cdef Downstream down
        if exchange is None:
            return 0
        down = exchange.down
        self._close(code, "")
        return down.flush()


cdef dict disconnect(int code, str reason):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}
