"""Lead a route to an ASGI application in the same process.

The rule it guards: the application sees the request as every other target does: with the normalised path,
without hop-by-hop fields, after the plugins. Built by gateway/snapshot; each exchange becomes one call
(core/_fast/app_run, core/_fast/app_websocket).
"""

import asyncio
from urllib.parse import unquote_to_bytes

from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.app_run cimport HttpRun, number_of
from core._fast.app_websocket cimport WebSocketRun, handshake_refusal, wants_websocket
from core._fast.asgi_fields cimport pairs_of
from core._fast.chars cimport equal_ignoring_case
from core._fast.exchange cimport Exchange, Target
from core._fast.head cimport Head
from core._fast.headers cimport H_EXPECT, H_HOST, H_X_FORWARDED_PROTO, Field

from core.websocket import MESSAGE_LIMIT, split_list

cdef dict ASGI = {"version": "3.0", "spec_version": "2.5"}
cdef dict HTTP_EXTENSIONS = {"http.response.trailers": {}, "http.response.early_hint": {}}
cdef dict WEBSOCKET_EXTENSIONS = {"websocket.http.response": {}}


cdef bytes text(const char* data, Py_ssize_t size):
    return PyBytes_FromStringAndSize(data, size) if size else b""


cdef class App(Target):
    """Be a route's target: an ASGI application, and its calls under way.

    ``state`` is shallowly copied into each scope. A WebSocket message of more than ``message_limit`` bytes
    closes its WebSocket; ``compress`` offers permessage-deflate.
    """

    def __init__(self, str name, application, dict state, *, Py_ssize_t message_limit=MESSAGE_LIMIT,
                 bint compress=False):
        self.name = name
        self.application = application
        self.state = state
        self.message_limit = message_limit
        self.compress = compress
        self.running = set()

    cdef int begin(self, Exchange exchange) except -1:
        cdef HttpRun run
        if wants_websocket(exchange):
            return self._websocket(exchange)
        run = HttpRun.__new__(HttpRun)
        run.application = self.application
        run.running = self.running
        return run.start(exchange, http_scope(exchange, self.state))

    cdef int _websocket(self, Exchange exchange) except -1:
        cdef WebSocketRun run
        refusal = handshake_refusal(exchange)
        if refusal is not None:
            return exchange.answer(refusal)
        run = WebSocketRun.__new__(WebSocketRun)
        run.application = self.application
        run.running = self.running
        return run.open(exchange, websocket_scope(exchange, self.state), self.message_limit, self.compress)

    @property
    def calls(self):
        """Count the application's calls under way, also those whose client has gone."""
        return len(self.running)

    async def close(self, double seconds):
        """Wait for the calls under way, at most so long; then cancel those that are left."""
        if self.running:
            await asyncio.wait(set(self.running), timeout=seconds)
        left = set(self.running)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


# -- scopes -------------------------------------------------------------------------------------------

cdef dict http_scope(Exchange exchange, dict state):
    cdef dict scope = common_scope(exchange, state)
    scope["type"] = "http"
    scope["method"] = exchange.request.method
    scope["extensions"] = HTTP_EXTENSIONS.copy()
    return scope


cdef dict websocket_scope(Exchange exchange, dict state):
    cdef dict scope = common_scope(exchange, state)
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = [
        protocol for value in exchange.request.headers.get_all(b"sec-websocket-protocol")
        for protocol in split_list(value)
    ]
    scope["extensions"] = WEBSOCKET_EXTENSIONS.copy()
    return scope


cdef dict common_scope(Exchange exchange, dict state):
    """Make the part of a scope that requests and WebSockets have in common."""
    cdef Head* head = &exchange.request.head
    cdef bytes raw_path = text(head.path, head.path_len)
    cdef str scheme = scheme_of(exchange)
    # NOTE: the normaliser has held the path to UTF-8; a plugin's path may hold anything.
    cdef bytes path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return {
        "asgi": ASGI.copy(),
        "http_version": "1.1" if head.minor else "1.0",
        "scheme": scheme,
        "path": path.decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": text(head.query, head.query_len),
        "root_path": "",
        "headers": fields_of(exchange),
        # NOTE: which port the client used is not told; 0 stands for that.
        "client": None if exchange._client == b"unix" else (exchange._client.decode("ascii"), 0),
        "server": server_of(text(head.host, head.host_len), scheme),
        "state": state.copy(),
    }


cdef str scheme_of(Exchange exchange):
    """Name the scheme the client used, as a trusted proxy tells it, or as the connection shows."""
    cdef Field* told = NULL
    if exchange.trusted:
        told = exchange.request.headers.find_id(H_X_FORWARDED_PROTO)
    if told is not NULL:
        return "https" if told.value_len == 5 and equal_ignoring_case(told.value, b"https", 5) else "http"
    return "https" if exchange.secure else "http"


cdef list fields_of(Exchange exchange):
    """List the end-to-end fields, names in lower case, Host first and as it is in force."""
    cdef Head* head = &exchange.request.head
    cdef list fields = pairs_of(exchange.request.headers, H_HOST, H_EXPECT)
    if head.host_len:
        fields.insert(0, (b"host", text(head.host, head.host_len)))
    if exchange.request.body is not None:
        if exchange.request.body or head.content_length >= 0:
            fields.append((b"content-length", b"%d" % PyBytes_GET_SIZE(exchange.request.body)))
    elif head.content_length >= 0 and not exchange.plan.rewrites_bodies:
        fields.append((b"content-length", b"%d" % head.content_length))
    return fields


cdef tuple server_of(bytes host, str scheme):
    """Return host and port that the request was sent to; None: it named none."""
    cdef bytes name, colon, digits
    name, colon, digits = host.rpartition(b":")
    port = number_of(digits)
    if not colon or port < 0:
        name, port = host, 443 if scheme == "https" else 80
    if not name:
        return None
    if name.startswith(b"["):
        name = name[1:PyBytes_GET_SIZE(name) - 1]
    return name.decode("latin-1"), port
