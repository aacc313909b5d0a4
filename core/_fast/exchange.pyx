"""Drive one exchange through its plan: from a parsed request head to the log phase.

The client's side (Downstream) and the target's side (Handler) know nothing of each other; both talk to the
exchange. The rules it guards: phases run once and in order, the synchronous part of a plan without a task;
a response head goes out once; whatever happens, the exchange ends once and is logged.
"""

import asyncio
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject

from core._fast.clock cimport monotonic_ns
from core._fast.head cimport M_CONNECT, M_OPTIONS, M_TRACE
from core._fast.headers cimport FIELD_FORWARDING, FIELD_IDENTITY, FIELD_UNDERSCORE, H_MAX_FORWARDS, H_VIA, Field, Headers
from core._fast.path cimport normalise_path
from core._fast.wheel cimport new_timer


from core._fast.head import PROBLEMS
from core.errors import Problem

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

log = logging.getLogger("agora.exchange")

cdef object PLUGIN_FAILED = Problem(500, "plugin-failed", "A plugin failed", "internal")
cdef object BODY_TOO_LARGE = Problem(413, "body-too-large", "The request's body is too large")
cdef object RESPONSE_TOO_LARGE = Problem(502, "response-too-large", "The target's answer is too large", "upstream")
cdef object TOOK_TOO_LONG = Problem(504, "exchange-timeout", "The exchange took too long", "internal")
cdef object LOOP = Problem(508, "loop", "The request has passed this gateway before")
cdef object METHOD_REFUSED = Problem(405, "method-refused", "CONNECT and TRACE are not offered")
cdef dict PATH_PROBLEMS = {
    code: Problem(status, slug, title) for code, (status, slug, title) in PROBLEMS.items()
}

cdef enum:
    PATH_ON_STACK = 4096
    IDLE_EXCHANGES = 256


cdef class Downstream(Peer):
    cdef int start_response(self, Exchange exchange) except -1:
        raise NotImplementedError
    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1:
        return 0
    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError
    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        raise NotImplementedError
    cdef int break_response(self, Exchange exchange) except -1:
        raise NotImplementedError
    cdef int exchange_ended(self, Exchange exchange) except -1:
        return 0
    cdef int flush(self) except -1:
        return 0
    cdef int request_wanted(self, Exchange exchange) except -1:
        return 0
    cdef int pause_request(self) except -1:
        return 0
    cdef int resume_request(self) except -1:
        return 0


cdef class Handler(Peer):
    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        return 0
    cdef int end_request(self, Exchange exchange, Headers trailers) except -1:
        return 0
    cdef int pause_response(self) except -1:
        return 0
    cdef int resume_response(self) except -1:
        return 0
    cdef int cancel(self, Exchange exchange) except -1:
        return 0


cdef class Target:
    cdef int choose(self, Exchange exchange) except -1:
        return 0
    cdef int begin(self, Exchange exchange) except -1:
        raise NotImplementedError


cdef class Exchange:
    """Show plugins one request, its response once there is one, and what is known of both.

    Valid until the log phase ends; keep values, not the exchange.
    """

    def __cinit__(self):
        self.request = Request.__new__(Request)
        self._response = Response.__new__(Response)
        self.timer = new_timer(self, total_fired)

    # -- from the client's side ------------------------------------------------------------------

    cdef int begin(self, Downstream down, Snapshot snapshot) except -1:
        """Start with the request's head parsed; everything else in the exchange is as after reset."""
        self.down = down
        self.stage = DECIDING
        self.plan = snapshot.unmatched
        snapshot.live += 1
        self.max_request_body = snapshot.max_request_body
        self.total_timeout = snapshot.total_timeout
        self._admit(snapshot)
        if self.has_response:
            return 0
        self._route(snapshot)
        if self.has_response:
            return 0
        if self.total_timeout > 0:
            self._watch_total()
        if self.plan.hold_request:
            if self.request_ended:
                return self._held_whole()
            self.stage = HOLDING
            self.down.request_wanted(self)
            return 0
        return self._run_request(0)

    cdef int take_whole_body(self, const char* data, Py_ssize_t size) except -1:
        """Take a small body that came together with the head; called before begin()."""
        self.held = [PyBytes_FromStringAndSize(data, size)]
        self.held_size = self.bytes_in = size
        self.request_ended = True
        return 0

    cdef int _held_whole(self) except -1:
        """Show the phases the whole body, which some plugin asked for."""
        if self.held_size > self.plan.hold_request:
            return self._body_too_large()
        self.request.body = b"".join(self.held) if self.held is not None else b""
        self.held = None
        self.stage = DECIDING
        return self._run_request(0)

    cdef int _admit(self, Snapshot snapshot) except -1:
        """Strip what no client may say, refuse loops, run the accept phases."""
        cdef Headers headers = self.request.headers
        cdef int i, flags = 0
        cdef bint via = False
        cdef bytes name
        cdef object method, result
        for i in range(headers.count):
            flags |= headers.fields[i].flags
            via |= headers.fields[i].id == H_VIA
        if via and self._is_loop(snapshot.name):
            return self.refuse(LOOP)
        if flags & (FIELD_FORWARDING | FIELD_IDENTITY | FIELD_UNDERSCORE):
            headers.drop_flagged(FIELD_IDENTITY | FIELD_UNDERSCORE | (0 if self.trusted else FIELD_FORWARDING))
        for name in snapshot.identity_headers:
            headers.remove_raw(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        for method in snapshot.accept:
            try:
                result = method(self)
            except Exception as error:
                return self._phase_failed(method, error)
            if result is not None:
                return self.answer(result)
        return 0

    def _is_loop(self, bytes name):
        """Tell whether this gateway's own name is in Via."""
        for value in self.request.headers.get_all(b"via"):
            for hop in value.split(b","):
                parts = hop.split()
                if len(parts) > 1 and parts[1] == name:
                    return True
        return False

    cdef int _route(self, Snapshot snapshot) except -1:
        cdef Request request = self.request
        cdef int index, method = request.head.method
        cdef Py_ssize_t size
        cdef char on_stack[PATH_ON_STACK]
        cdef char* normal = on_stack
        cdef bytes spare = None
        if method == M_CONNECT or method == M_TRACE:
            return self.refuse(METHOD_REFUSED)
        if request.head.path_len >= PATH_ON_STACK:
            spare = PyBytes_FromStringAndSize(NULL, request.head.path_len + 1)
            normal = PyBytes_AS_STRING(spare)
        if method == M_OPTIONS and (request.head.path[0] == c"*" or self._last_hop()):
            return self.answer(Response(204, [(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]))
        size = normalise_path(request.head.path, request.head.path_len, normal)
        if size < 0:
            return self.refuse(PATH_PROBLEMS[-size])
        if size > 0:
            request.put_path(PyBytes_FromStringAndSize(normal, size))
        self.matched = request.head.path
        self.matched_len = request.head.path_len
        self.routed_path = request._path
        index = snapshot.router.find(
            request.head.host, request.head.host_len, method, request.head.method_name, request.head.method_len,
            request.head.path, request.head.path_len, self.spans,
        )
        if index >= 0:
            self.plan = snapshot.plans[index]
        return 0

    cdef bint _last_hop(self):
        cdef Field* field = self.request.headers.find_id(H_MAX_FORWARDS)
        return field is not NULL and field.value_len == 1 and field.value[0] == c"0"

    cdef int request_piece(self, const char* data, Py_ssize_t size) except -1:
        """Take a piece of the request's body; it is only valid during the call."""
        self.bytes_in += size
        if self.max_request_body and self.bytes_in > self.max_request_body:
            return self._body_too_large()
        if self.stage == HOLDING and self.bytes_in > self.plan.hold_request:
            return self._body_too_large()
        if self.handler is None:
            if self.stage == ENDED or self.answered_here:
                return 0  # an answer is on its way: what the client still sends is of no use
            return self._hold(data, size)
        return self._forward_piece(data, size)

    cdef int _body_too_large(self) except -1:
        if self.has_response:
            self.close = True
            if self.stage == ENDED or self.answered_here:
                return 0
            return self.break_response(BODY_TOO_LARGE.slug)
        self.close = True
        return self.refuse(BODY_TOO_LARGE)

    cdef int _hold(self, const char* data, Py_ssize_t size) except -1:
        if self.held is None:
            self.held = []
        self.held.append(PyBytes_FromStringAndSize(data, size))
        self.held_size += size
        if self.stage != HOLDING:
            self.down.pause_request()
        return 0

    cdef int _forward_piece(self, const char* data, Py_ssize_t size) except -1:
        cdef bytes piece
        self.body_forwarded = True
        if not self.plan.chunk:
            return self.handler.request_piece(self, data, size)
        piece = self._chunk("request", PyBytes_FromStringAndSize(data, size), False)
        if piece is not None and piece and self.handler is not None:
            self.handler.request_piece(self, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        return 0

    cdef int end_request(self, Headers trailers) except -1:
        """Note that the request's body is complete."""
        self.request_ended = True
        self.trailers = trailers
        if self.stage == HOLDING:
            return self._held_whole()
        if self.handler is not None and self.held is None:
            return self._end_forward()
        return 0

    cdef int _end_forward(self) except -1:
        cdef bytes piece
        if self.plan.chunk:
            piece = self._chunk("request", b"", True)
            if piece is not None and piece and self.handler is not None:
                self.handler.request_piece(self, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        if self.handler is not None:
            return self.handler.end_request(self, self.trailers)
        return 0

    cdef int client_gone(self) except -1:
        """End without a response: the client closed first."""
        if self.stage == ENDED:
            return 0
        if self.problem is None:
            self.problem = "client-gone"
        if not self.has_response:
            self.status = 499
        return self.finish()

    cdef int pause_response(self) except -1:
        if self.handler is not None:
            self.handler.pause_response()
        return 0

    cdef int resume_response(self) except -1:
        if self.handler is not None and self.held_response is None:
            self.handler.resume_response()
        return 0

    # -- the phases ------------------------------------------------------------------------------

    cdef int _run_request(self, Py_ssize_t start) except -1:
        cdef tuple methods = self.plan.request
        cdef tuple waits = self.plan.request_waits
        cdef Py_ssize_t i
        cdef object method, result
        for i in range(start, len(methods)):
            method = methods[i]
            if waits[i]:
                return self._wait(self._request_waits(i))
            try:
                result = method(self)
            except Exception as error:
                return self._phase_failed(method, error)
            if result is not None:
                return self.answer(result)
            if self.stage == ENDED:
                return 0
        return self._dispatch()

    async def _request_waits(self, Py_ssize_t i):
        cdef object method = None, result = None
        try:
            while i < len(self.plan.request) and result is None:
                method = self.plan.request[i]
                result = method(self)
                if self.plan.request_waits[i]:
                    result = await result
                i += 1
        except Exception as error:
            if self._resumed():
                self._phase_failed(method, error)
            return
        if self._resumed():
            if result is not None:
                self.answer(result)
            else:
                self._dispatch()
            self.down.flush()

    cdef int _watch_total(self) except -1:
        """Arm the deadline of the whole exchange, which plugins may have moved."""
        self.watched_total = self.total_timeout
        self.wheel.cancel(self.timer)
        if self.total_timeout > 0:
            self.wheel.arm(self.timer, self.started + <int64_t>(self.total_timeout * 1e9))
        return 0

    cdef int _dispatch(self) except -1:
        if self.total_timeout != self.watched_total:
            self._watch_total()
        if self.max_request_body and self.request.head.content_length > self.max_request_body:
            self.close = True
            return self.refuse(BODY_TOO_LARGE)
        (<Target>self.plan.target).choose(self)
        if self.has_response:
            return 0
        return self._run_forward(0)

    cdef int _run_forward(self, Py_ssize_t start) except -1:
        cdef tuple methods = self.plan.forward
        cdef tuple waits = self.plan.forward_waits
        cdef Py_ssize_t i
        cdef object method
        for i in range(start, len(methods)):
            method = methods[i]
            if waits[i]:
                return self._wait(self._forward_waits(i))
            try:
                method(self)
            except Exception as error:
                return self._phase_failed(method, error)
        return self._begin_target()

    async def _forward_waits(self, Py_ssize_t i):
        cdef object method = None, result
        try:
            while i < len(self.plan.forward):
                method = self.plan.forward[i]
                result = method(self)
                if self.plan.forward_waits[i]:
                    await result
                i += 1
        except Exception as error:
            if self._resumed():
                self._phase_failed(method, error)
            return
        if self._resumed():
            self._begin_target()
            self.down.flush()

    cdef int _begin_target(self) except -1:
        if self.stage == ENDED or self.has_response:
            return 0
        self.stage = FORWARDED
        return (<Target>self.plan.target).begin(self)

    cdef int _release_held(self) except -1:
        """Give the handler what came of the request's body before it was ready; handlers call this once."""
        cdef bytes piece
        cdef list held = self.held
        if self.request.body is not None:
            if self.request.body:
                self._forward_piece(PyBytes_AS_STRING(self.request.body), PyBytes_GET_SIZE(self.request.body))
            return self._end_forward()
        self.held = None
        if held is not None:
            for piece in held:
                if self.handler is None:
                    return 0
                self._forward_piece(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            self.down.resume_request()
        if self.handler is not None:
            if self.request_ended:
                return self._end_forward()
            self.down.request_wanted(self)
        return 0

    # -- from the target's side ------------------------------------------------------------------

    cdef int interim(self, int status, Headers headers) except -1:
        """Pass on an interim (1xx) response."""
        if not self.has_response and self.request.head.minor:
            return self.down.interim_response(self, status, headers)
        return 0

    cdef int response_head(self) except -1:
        """Go on with the response's head, which the handler has put into `_response`."""
        self.has_response = True
        self.stage = ANSWERING
        if self.plan.hold_response and self._response.body is None:
            self.held_response = []
            return 0
        return self._run_response(0)

    cdef int response_piece(self, const char* data, Py_ssize_t size) except -1:
        """Take a piece of the response's body; it is only valid during the call."""
        if self.stage == STREAMING:
            return self._out(data, size)
        if self.stage == ENDED:
            return 0
        if self.held_response is None:
            self.held_response = []
        self.held_response.append(PyBytes_FromStringAndSize(data, size))
        self.held_response_size += size
        if self.plan.hold_response and self.task is None:
            if self.held_response_size > self.plan.hold_response:
                return self._discard_response(RESPONSE_TOO_LARGE)
        elif self.handler is not None:
            self.handler.pause_response()
        return 0

    cdef int end_response(self, Headers trailers) except -1:
        """Note that the response's body is complete."""
        self.response_ended = True
        self.response_trailers = trailers
        self.handler = None
        if self.stage == STREAMING:
            return self._out_end()
        if self.stage == ANSWERING and self.plan.hold_response and self.task is None:
            self._response.body = b"".join(self.held_response)
            self.held_response = None
            return self._run_response(0)
        return 0

    cdef int break_response(self, str problem) except -1:
        """End in the middle of a response: what was sent is cut off visibly."""
        if self.stage == ENDED:
            return 0
        self.problem = problem
        if self.stage != STREAMING:
            return self._discard_response(Problem(502, problem, "The target's answer broke off", "upstream"))
        self.close = True
        self.down.break_response(self)
        return self.finish()

    cdef int _discard_response(self, object problem) except -1:
        self._drop_handler()
        self.held_response = None
        self.held_response_size = 0
        self.has_response = False
        return self.refuse(problem)

    cdef int _drop_handler(self) except -1:
        cdef Handler handler = self.handler
        cdef Handler errand = self.errand
        self.handler = self.errand = None
        if handler is not None:
            handler.cancel(self)
        if errand is not None:
            errand.cancel(self)
        return 0

    # -- the answer ------------------------------------------------------------------------------

    cdef int refuse(self, object problem, str detail="") except -1:
        """Answer with a core.errors.Problem."""
        return self.answer(Response.problem_of(problem, detail))

    cdef int answer(self, Response response) except -1:
        """Answer with a whole response made here."""
        if self.has_response:
            return 0
        if self.task is not None:
            self.task.cancel()
            self.task = None
        self._response.copy(response)
        if response.body is None:
            self._response.body = b""
        if response.problem is not None:
            self.problem = response.problem
        self.has_response = True
        self.answered_here = True
        self.held = None
        self.stage = ANSWERING
        return self._run_response(0)

    cdef int _run_response(self, Py_ssize_t start) except -1:
        cdef tuple methods = self.plan.response
        cdef tuple waits = self.plan.response_waits
        cdef Py_ssize_t i
        cdef object method
        if not self.failed:
            for i in range(start, len(methods)):
                method = methods[i]
                if waits[i]:
                    return self._wait(self._response_waits(i))
                try:
                    method(self)
                except Exception as error:
                    return self._phase_failed(method, error)
        return self._send_head()

    async def _response_waits(self, Py_ssize_t i):
        cdef object method = None, result
        try:
            while i < len(self.plan.response):
                method = self.plan.response[i]
                result = method(self)
                if self.plan.response_waits[i]:
                    await result
                i += 1
        except Exception as error:
            if self._resumed():
                self._phase_failed(method, error)
            return
        if self._resumed():
            self._send_head()
            self.down.flush()

    cdef int _send_head(self) except -1:
        cdef Response response = self._response
        cdef bytes body = response.body
        cdef bytes piece
        cdef list held
        if self.stage == ENDED:
            return 0
        self.stage = STREAMING
        self.status = response.status
        self.down.start_response(self)
        if body is not None:
            self._drop_handler()
            if body and self.stage == STREAMING:
                self._out(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            return self._out_end()
        held = self.held_response
        if held is not None:
            self.held_response = None
            for piece in held:
                if self.stage == STREAMING:
                    self._out(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            if self.response_ended:
                return self._out_end()
            if self.handler is not None:
                self.handler.resume_response()
        elif self.response_ended:
            return self._out_end()
        return 0

    cdef int _out(self, const char* data, Py_ssize_t size) except -1:
        cdef bytes piece
        if self.plan.chunk:
            piece = self._chunk("response", PyBytes_FromStringAndSize(data, size), False)
            if piece is None or not piece or self.stage != STREAMING:
                return 0
            data = PyBytes_AS_STRING(piece)
            size = PyBytes_GET_SIZE(piece)
        self.bytes_out += size
        if self.max_response_body and self.bytes_out > self.max_response_body:
            return self.break_response(RESPONSE_TOO_LARGE.slug)
        return self.down.response_piece(self, data, size)

    cdef int _out_end(self) except -1:
        cdef bytes piece
        if self.stage == ENDED:
            return 0
        if self.plan.chunk:
            piece = self._chunk("response", b"", True)
            if self.stage == ENDED:
                return 0
            if piece is not None and piece:
                self.bytes_out += PyBytes_GET_SIZE(piece)
                self.down.response_piece(self, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        self.down.end_response(self, self.response_trailers)
        return self.finish()

    cdef bytes _chunk(self, str side, bytes piece, bint last):
        """Run the chunk phases over a piece; None: they failed, and the exchange has ended."""
        cdef object method, result
        for method in self.plan.chunk:
            try:
                result = method(self, side, piece, last)
                if result is not None:
                    if not isinstance(result, bytes):
                        raise TypeError(f"chunk() returns bytes or None, not {type(result).__name__}")
                    if not self.plan.rewrites_bodies:
                        raise TypeError("chunk() returns bytes only where the class says `rewrites_bodies = True`")
                    piece = result
            except Exception as error:
                self._phase_failed(method, error)
                return None
        return piece

    # -- the end ---------------------------------------------------------------------------------

    cdef int finish(self) except -1:
        """End the exchange: count it, run the log phases, tell the client's side."""
        cdef Snapshot snapshot = self.plan.snapshot
        cdef Downstream down = self.down
        cdef object method
        if self.stage == ENDED:
            return 0
        self.stage = ENDED
        self.ended = monotonic_ns()
        if self.timer.deadline:
            self.wheel.cancel(self.timer)
        if self.task is not None:
            self.task.cancel()
            self.task = None
        self._drop_handler()
        self.plan.meter.count(self.status, self.ended - self.started, self.bytes_in, self.bytes_out)
        for method in self.plan.log:
            try:
                method(self)
            except Exception:
                log.exception("log phase failed: %s", method_name(method))
        snapshot.end()
        return down.exchange_ended(self)

    cdef int _phase_failed(self, object method, object error) except -1:
        log.error("plugin failed: %s", method_name(method), exc_info=error)
        if self.stage == STREAMING:
            return self.break_response(PLUGIN_FAILED.slug)
        self.failed = True
        return self._discard_response(PLUGIN_FAILED)

    cdef int _wait(self, object coroutine) except -1:
        self.task = asyncio.get_running_loop().create_task(coroutine)
        return 0

    cdef bint _resumed(self):
        """Note that the waiting is over; False: the exchange ended meanwhile."""
        self.task = None
        return self.stage != ENDED

    # -- what plugins see ------------------------------------------------------------------------

    @property
    def response(self):
        """Give the response, once there is one; else None."""
        return self._response if self.has_response else None

    @property
    def route(self):
        """Name the route; empty before routing and where none was found."""
        return self.plan.route if self.plan is not None else ""

    @property
    def parameters(self):
        """Give the path's parameters, percent-decoded."""
        if self.plan.index < 0:
            return {}
        return self.plan.snapshot.router.parameters(self.plan.index, self.matched, self.spans)

    @property
    def state(self):
        """Give a dict that plugins may keep their own values of this exchange in."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def peer(self):
        """Give the address of the peer as text: who the connection is with."""
        return self._peer.decode("ascii")

    @property
    def client(self):
        """Give the address of the client as text: the peer's, or what a trusted proxy told."""
        return self._client.decode("ascii")

    @property
    def client_bytes(self):
        """Give the client's address as bytes."""
        return self._client

    @property
    def scheme(self):
        """Name the scheme by which the client came: ``http`` or ``https``."""
        return "https" if self.secure else "http"

    @property
    def elapsed(self):
        """Give the seconds since the request's head was complete."""
        return ((self.ended or monotonic_ns()) - self.started) / 1e9

    @property
    def target_elapsed(self):
        """Give the seconds from the target's getting the request to its response's head; None: it had no part."""
        if not self.began_target or not self.first_byte:
            return None
        return (self.first_byte - self.began_target) / 1e9

    def __repr__(self):
        return f"<Exchange {self.request.method} {self.request.path} {self.status or '-'}>"


cdef int total_fired(object owner, int64_t now) except -1:
    cdef Exchange exchange = owner
    if exchange.stage == STREAMING:
        return exchange.break_response(TOOK_TOO_LONG.slug)
    if exchange.task is not None:
        exchange.task.cancel()
        exchange.task = None
    exchange.close = True
    exchange._discard_response(TOOK_TOO_LONG)
    return exchange.down.flush()


cdef str method_name(object method):
    return f"{type(getattr(method, '__self__', method)).__name__}.{getattr(method, '__name__', method)}"


# Exchanges lie here between uses.
# PERF: an exchange has six objects and two arrays; making them anew costs about 1 us (bench: fixed answer).
cdef list idle_exchanges = []


cdef Exchange new_exchange():
    if idle_exchanges:
        return idle_exchanges.pop()
    return Exchange.__new__(Exchange)


cdef int recycle(Exchange exchange) except -1:
    """Take an ended exchange back, unless somebody still holds a part of it."""
    # NOTE: its parts are held once, by the exchange; the exchange twice, by its timer and the caller's variable.
    if (
        len(idle_exchanges) >= IDLE_EXCHANGES
        or Py_REFCNT(<PyObject*>exchange) > 2
        or Py_REFCNT(<PyObject*>exchange.request) > 1
        or Py_REFCNT(<PyObject*>exchange.request.headers) > 1
        or Py_REFCNT(<PyObject*>exchange._response) > 1
        or Py_REFCNT(<PyObject*>exchange._response.headers) > 1
    ):
        exchange.timer.owner = None
        return 0
    exchange.request.clear()
    exchange._response.clear()
    exchange.down = None
    exchange.handler = None
    exchange.plan = None
    exchange.stage = FRESH
    exchange.held = exchange.kept = exchange.held_response = None
    exchange.chosen = exchange.errand = None
    exchange.replayable = exchange.replayed = False
    exchange.held_size = exchange.held_response_size = 0
    exchange.request_ended = exchange.response_ended = exchange.forwarded = exchange.body_forwarded = False
    exchange.answered_here = exchange.failed = exchange.has_response = exchange.close = exchange.upgraded = False
    exchange.trailers = exchange.response_trailers = None
    exchange.routed_path = None
    exchange.matched = NULL
    exchange.matched_len = 0
    exchange.watched_total = 0
    exchange.began_target = exchange.first_byte = exchange.ended = 0
    exchange.bytes_in = exchange.bytes_out = 0
    exchange.status = 0
    exchange.consumer = exchange.request_id = exchange.trace_id = None
    exchange.server = exchange.problem = None
    exchange._state = None
    exchange.certificate = None
    exchange.max_response_body = 0
    exchange.connect_timeout = exchange.first_byte_timeout = exchange.idle_timeout = 0
    idle_exchanges.append(exchange)
    return 0
