"""Speak WebSocket (RFC 6455) over a tunnel of bytes: the handshake's words, and messages in and out.

The rule it guards: what a peer can make us hold is bounded, a peer that breaks the protocol is told why and
left, and after a close nothing more is said. No input or output here: bytes come in, bytes and messages go
out. Used by both sides of an upgraded exchange: core/_fast/app_websocket and core/_fast/asgi_websocket.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wsproto.connection import CLIENT, SERVER, Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import generate_accept_token

MESSAGE_LIMIT = 16 * 1024 * 1024  # bytes of one message, where nothing else is said
INFLATED_AT_ONCE = 4096  # compressed bytes; they become at most a thousand times as many
KEY_SIZE = 16  # bytes, before base64

NORMAL, GOING_AWAY, NO_STATUS, ABNORMAL = 1000, 1001, 1005, 1006
TOO_BIG, INTERNAL_ERROR, SERVICE_RESTART = 1009, 1011, 1012
LOCAL_ONLY = (NO_STATUS, ABNORMAL, 1015)  # RFC 6455 7.4.1: these are never sent


class Closed(NamedTuple):
    """Say that the peer sends no more: its close, or what it did wrong."""

    code: int
    reason: str


class WebSocketFrames:
    """Turn messages into frames and frames into messages, for one side of one WebSocket."""

    def __init__(
        self, *, client: bool, message_limit: int = MESSAGE_LIMIT, extensions: Iterable[Extension] = ()
    ) -> None:
        wanted = list(extensions)
        self._connection = Connection(CLIENT if client else SERVER, wanted)
        self._step = INFLATED_AT_ONCE if wanted else 0
        self._limit = message_limit
        self._parts: list[str | bytes] = []
        self._size = 0
        self.heard_close = False  # nothing more comes from the peer
        self.said_close = False  # nothing more may be sent

    def receive(self, data: bytes) -> tuple[list[str | bytes | Closed], bytes]:
        """Take bytes from the peer; return the messages that are complete now, and bytes to send back."""
        events: list[str | bytes | Closed] = []
        reply = bytearray()
        for start in range(0, len(data), self._step or len(data) or 1):
            if self.heard_close:
                break
            self._connection.receive_data(data[start : start + self._step] if self._step else data)
            self._take_events(events, reply)
        return events, bytes(reply)

    def _take_events(self, events: list[str | bytes | Closed], reply: bytearray) -> None:
        for event in self._connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                if self.said_close:
                    continue
                if not self._add(event):
                    events.append(Closed(TOO_BIG, "message too big"))
                    self.heard_close = True
                    reply += self.close(TOO_BIG, "message too big")
                    return
                if event.message_finished:
                    events.append(self._whole(isinstance(event, TextMessage)))
            elif isinstance(event, Ping):
                if not self.said_close:
                    reply += self._connection.send(event.response())
            elif isinstance(event, CloseConnection):
                # NOTE: wsproto words a broken protocol as the peer's close; either is answered with a close.
                self.heard_close = True
                events.append(Closed(int(event.code), event.reason or ""))
                reply += self.close(int(event.code), event.reason or "")
                return

    def _add(self, event: TextMessage | BytesMessage) -> bool:
        size = len(event.data.encode()) if isinstance(event.data, str) else len(event.data)
        self._size += size
        if size and self._size <= self._limit:
            self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
        return self._size <= self._limit

    def _whole(self, is_text: bool) -> str | bytes:
        parts, self._parts, self._size = self._parts, [], 0
        if is_text:
            return "".join(part for part in parts if isinstance(part, str))
        return b"".join(part for part in parts if not isinstance(part, str))

    def message(self, payload: str | bytes) -> bytes:
        """Return the frame of a whole message; nothing after a close."""
        if self.said_close or self.heard_close:
            return b""
        event = TextMessage(data=payload) if isinstance(payload, str) else BytesMessage(data=payload)
        return self._connection.send(event)

    def close(self, code: int = NORMAL, reason: str = "") -> bytes:
        """Return the close frame; nothing if one was sent already."""
        if self.said_close:
            return b""
        self.said_close = True
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        if code in LOCAL_ONLY:
            code, reason = CloseReason.NO_STATUS_RCVD, ""
        return self._connection.send(CloseConnection(code=code, reason=reason or None))


def new_key() -> bytes:
    """Return a fresh Sec-WebSocket-Key."""
    return base64.b64encode(os.urandom(KEY_SIZE))


def is_key(key: bytes) -> bool:
    """Tell whether bytes are a Sec-WebSocket-Key."""
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_SIZE
    except binascii.Error:
        return False


def accept_token(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers a key."""
    return generate_accept_token(key)


def agree_on_compression(offers: bytes) -> tuple[list[Extension], bytes | None]:
    """Return the extensions in force after an offer, and the Sec-WebSocket-Extensions that says so."""
    deflate = PerMessageDeflate()
    try:
        answer = server_extensions_handshake(list(split_list(offers)), [deflate])
    except ValueError:
        return [], None  # the offer is malformed: RFC 7692 5.1 lets it be declined
    return ([deflate], answer) if answer else ([], None)


def split_list(value: bytes) -> Iterator[str]:
    """Yield the elements of a comma-separated header."""
    for element in value.decode("latin-1").split(","):
        if element := element.strip(" \t"):
            yield element
