"""Serve WebSocket scopes of an ASGI server through the same exchanges as the native door.

The rule it guards: to an exchange this side is a client that upgrades: whatever the target is, it gets a
handshake and frames, and the phases run as they do for the native door. So messages become frames here, and
frames messages. Called by gateway/app. Frames: core/websocket.
"""

import asyncio
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.asgi_door cimport AsgiSide, head_of
from core._fast.asgi_fields cimport pairs_of
from core._fast.door cimport Door
from core._fast.exchange cimport Exchange
from core._fast.headers cimport H_SEC_WEBSOCKET_ACCEPT, H_SEC_WEBSOCKET_PROTOCOL, Headers

from core.asgi_head import websocket_head
from core.errors import Problem
from core.websocket import (
    ABNORMAL, NO_STATUS, NORMAL, Closed, WebSocketFrames, accept_token, new_key, split_list,
)

log = logging.getLogger("agora.client")

cdef object NOT_WEBSOCKET = Problem(
    502, "upstream-malformed", "The upstream's answer is malformed", "upstream"
)
cdef double CLOSE_WAIT = 10    # seconds for the target to answer a close


async def serve_websocket(Door door not None, scope, receive, send):
    """Serve a scope of type websocket; raise ResponseBroken where it must be cut off."""
    cdef AsgiWebSocket side = AsgiWebSocket.__new__(AsgiWebSocket)
    if (await receive())["type"] != "websocket.connect":
        return
    side.open(door, scope, send, "websocket.http.response")
    await side.carry(head_of(websocket_head, scope, side.key), None, receive)


cdef class AsgiWebSocket(AsgiSide):
    """Carry a WebSocket between a server's messages and an exchange's bytes."""

    def open(self, Door door, scope, send, str kind):
        """Make ready for one scope."""
        AsgiSide.open(self, door, scope, send, kind)
        self.key = new_key()
        self.frames = WebSocketFrames(client=True)
        self.denies = "websocket.http.response" in (scope.get("extensions") or ())

    # -- from the server -------------------------------------------------------------------------

    cdef int _on_message(self, object message) except -1:
        if message["type"] == "websocket.receive":
            payload = message.get("text")
            self._push(self.frames.message(bytes(message["bytes"]) if payload is None else payload))
            return 1
        self.messages.clear()
        code = message.get("code") or NO_STATUS
        if not self.tunnel or code == ABNORMAL:
            self.exchange.client_gone()
            return 0
        # NOTE: a client that closed is waited for as the native door's is: until the target closes too.
        self._push(self.frames.close(code, message.get("reason") or ""))
        self._wait_for_target()
        return 0

    def _push(self, bytes data):
        """Send bytes to the target."""
        if data and self.tunnel and self.exchange is not None:
            self.exchange.request_piece(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def _wait_for_target(self):
        if self.exchange is not None and self.deadline is None:
            self.deadline = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._target_silent)

    def _target_silent(self):
        if self.exchange is not None:
            self.exchange.client_gone()

    # -- from the exchange -----------------------------------------------------------------------

    cdef int start_response(self, Exchange exchange) except -1:
        if exchange.upgraded:
            return self._accept(exchange)
        return AsgiSide.start_response(self, exchange) if self.denies else 0

    cdef int _accept(self, Exchange exchange) except -1:
        """Tell the server to accept, if the target did what the handshake asks for."""
        cdef Headers headers = exchange._response.headers
        protocol = headers.get(b"sec-websocket-protocol")
        if not self._answered(headers, protocol):
            log.warning("a target took a WebSocket's handshake without answering it")
            self._deny(NOT_WEBSOCKET)
            return exchange.break_response(NOT_WEBSOCKET.slug)
        self.tunnel = True
        exchange.request_ended = False
        return self._put({
            "type": "websocket.accept",
            "subprotocol": None if protocol is None else protocol.decode("latin-1"),
            "headers": [
                pair for pair in pairs_of(headers, H_SEC_WEBSOCKET_ACCEPT, H_SEC_WEBSOCKET_PROTOCOL)
                if pair[0] != b"date"
            ],
        }, 0)

    def _answered(self, Headers headers, protocol):
        """Tell whether a target's answer is one to the handshake that it was sent."""
        # NOTE: some servers give the offers as one string.
        offers = ",".join(self.scope.get("subprotocols") or ()).encode("latin-1", "replace")
        return (
            headers.get_all(b"sec-websocket-accept") == [accept_token(self.key)]
            and b"sec-websocket-extensions" not in headers
            and (protocol is None or protocol.decode("latin-1") in split_list(offers))
        )

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        if not self.tunnel:
            return AsgiSide.response_piece(self, exchange, data, size) if self.denies else 0
        events, reply = self.frames.receive(PyBytes_FromStringAndSize(data, size))
        if reply:
            # NOTE: not now: the target is in the middle of sending.
            asyncio.get_running_loop().call_soon(self._push, reply)
        for event in events:
            if type(event) is Closed:
                self._close(event.code, event.reason)
            else:
                kind = "text" if isinstance(event, str) else "bytes"
                self._put({"type": "websocket.send", kind: event}, len(event))
        return 0

    def _close(self, int code, str reason):
        self.said_close = True
        code = NORMAL if code == NO_STATUS else code
        self._put({"type": "websocket.close", "code": code, "reason": reason}, 0)
        self._wait_for_target()

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        if self.tunnel:
            self.broken = not self.said_close and not self.frames.said_close
        elif self.denies:
            return AsgiSide.end_response(self, exchange, trailers)
        elif not self.said_close:
            self._put({"type": "websocket.close"}, 0)
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        self.broken = not self.said_close
        return 0

    cdef int exchange_ended(self, Exchange exchange) except -1:
        if self.deadline is not None:
            self.deadline.cancel()
        return AsgiSide.exchange_ended(self, exchange)

    # -- refusing --------------------------------------------------------------------------------

    def _deny(self, problem):
        """Queue the answer that reports a problem; or a close, where the server takes nothing else."""
        self.said_close = True
        if self.denies:
            AsgiSide._deny(self, problem)
        else:
            self._put({"type": "websocket.close"}, 0)
