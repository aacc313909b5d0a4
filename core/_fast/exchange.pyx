"""Drive one exchange through its plan: from a parsed request head to the log phase.

The client's side (Downstream) and the target's side (Handler) know nothing of each other; both talk to the
exchange. The rules it guards: phases run once and in order, the synchronous part of a plan without a task;
a response head goes out once; whatever happens, the exchange ends once and is logged.
"""

import asyncio
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from core._fast.admission cimport route, strip
from core._fast.clock cimport monotonic_ns
from core._fast.head cimport M_HEAD
from core._fast.headers cimport Headers
from core._fast.wheel cimport new_timer

from core.errors import Problem

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)

log = logging.getLogger("agora.exchange")

cdef object PLUGIN_FAILED = Problem(500, "plugin-failed", "A plugin failed", "internal")
cdef object BODY_TOO_LARGE = Problem(413, "body-too-large", "The request's body is too large")
cdef object RESPONSE_TOO_LARGE = Problem(502, "response-too-large", "The target's answer is too large", "upstream")
cdef object TOOK_TOO_LONG = Problem(504, "exchange-timeout", "The exchange took too long", "internal")

cdef enum:
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


cdef class Exchange(ExchangeState):
    """Show plugins one request, its response once there is one, and what is known of both.

    Valid until the log phase ends; keep values, not the exchange.
    """

    def __cinit__(self):
        self.timer = new_timer(self, total_fired)

    # -- from the client's side ------------------------------------------------------------------

    cdef int begin(self, Downstream down, Snapshot snapshot) except -1:
        """Start with the request's head parsed; everything else in the exchange is as after reset."""
        cdef object refusal, answer
        self.down = down
        self.stage = DECIDING
        self.plan = snapshot.unmatched
        snapshot.live += 1
        self.max_request_body = snapshot.max_request_body
        self.total_timeout = snapshot.total_timeout
        refusal = strip(self, snapshot)
        if refusal is not None:
            return self.refuse(refusal)
        self._accept(snapshot)
        if self.has_response:
            return 0
        answer = route(self, snapshot)
        if answer is not None:
            return self.answer(answer)
        if self.total_timeout > 0:
            self._watch_total()
        if self.plan.hold_request:
            if self.request_ended:
                return self._held_whole()
            if self.request.head.content_length > self.plan.hold_request:
                return self._body_too_large()
            self.stage = HOLDING
            self.down.request_wanted(self)
            return 0
        return self._run(REQUEST, 0)

    cdef int _accept(self, Snapshot snapshot) except -1:
        cdef object method, result
        for method in snapshot.accept:
            try:
                result = method(self)
            except Exception as error:
                return self._phase_failed(method, error)
            if result is not None:
                return self._answered(method, result)
        return 0

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
        return self._run(REQUEST, 0)

    cdef int request_piece(self, const char* data, Py_ssize_t size) except -1:
        """Take a piece of the request's body; it is only valid during the call."""
        self.bytes_in += size
        if self.max_request_body and self.bytes_in > self.max_request_body and not self.upgraded:
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
        if not self.plan.chunk or self.upgraded:
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
        if self.plan.chunk and not self.upgraded:
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

    cdef int _run(self, Phase phase, Py_ssize_t start) except -1:
        """Run a phase's methods from `start` on, then what comes after the phase."""
        cdef tuple methods = self._methods(phase)
        cdef tuple waits = self._waits_of(phase)
        cdef Py_ssize_t i
        cdef object method, result
        for i in range(start, len(methods)):
            method = methods[i]
            if waits[i]:
                self.task = asyncio.get_running_loop().create_task(self._run_waiting(phase, i))
                return 0
            try:
                result = method(self)
            except Exception as error:
                return self._phase_failed(method, error)
            if self.stage == ENDED:
                return 0
            if result is not None and phase == REQUEST:
                return self._answered(method, result)
        return self._after(phase)

    cdef int _answered(self, object method, object result) except -1:
        """Take a method's answer; anything but a Response is its failure."""
        if isinstance(result, Response):
            return self.answer(result)
        return self._phase_failed(
            method, TypeError(f"a phase returns None or a Response, not {type(result).__name__}")
        )

    async def _run_waiting(self, Phase phase, Py_ssize_t start):
        """Do the same from the first method that is a coroutine function on."""
        cdef tuple methods = self._methods(phase)
        cdef tuple waits = self._waits_of(phase)
        cdef Py_ssize_t i = start
        cdef object method = None, result = None
        try:
            while i < len(methods) and (result is None or phase != REQUEST):
                method = methods[i]
                result = method(self)
                if waits[i]:
                    result = await result
                i += 1
        except Exception as error:
            if self._resumed():
                self._phase_failed(method, error)
                self.down.flush()
            return
        if self._resumed():
            if result is not None and phase == REQUEST:
                self._answered(method, result)
            else:
                self._after(phase)
            self.down.flush()

    cdef tuple _methods(self, Phase phase):
        if phase == REQUEST:
            return self.plan.request
        return self.plan.forward if phase == FORWARD else self.plan.response

    cdef tuple _waits_of(self, Phase phase):
        if phase == REQUEST:
            return self.plan.request_waits
        return self.plan.forward_waits if phase == FORWARD else self.plan.response_waits

    cdef int _after(self, Phase phase) except -1:
        if phase == REQUEST:
            return self._dispatch()
        if phase == FORWARD:
            return self._begin_target()
        return self._send_head()

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
        return self._run(FORWARD, 0)

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
        if self.plan.hold_response and self._response.body is None and not self.upgraded:
            self.held_response = []
            return 0
        return self._run_response()

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
            return self._run_response()
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
        return self._run_response()

    cdef int _run_response(self) except -1:
        # NOTE: an answer to a phase's failure goes out as it is: a response phase may have been what failed.
        return self._send_head() if self.failed else self._run(RESPONSE, 0)

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
            if body and self.stage == STREAMING and self.request.head.method != M_HEAD:
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
        if self.plan.chunk and not self.upgraded:
            piece = self._chunk("response", PyBytes_FromStringAndSize(data, size), False)
            if piece is None or not piece or self.stage != STREAMING:
                return 0
            data = PyBytes_AS_STRING(piece)
            size = PyBytes_GET_SIZE(piece)
        self.bytes_out += size
        if self.max_response_body and self.bytes_out > self.max_response_body and not self.upgraded:
            return self.break_response(RESPONSE_TOO_LARGE.slug)
        return self.down.response_piece(self, data, size)

    cdef int _out_end(self) except -1:
        cdef bytes piece
        if self.stage == ENDED:
            return 0
        if self.plan.chunk and not self.upgraded:
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

    cdef bint _resumed(self):
        """Note that the waiting is over; False: the exchange ended meanwhile."""
        self.task = None
        return self.stage != ENDED



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
    exchange.down = None
    exchange.handler = exchange.errand = None
    exchange.reset()
    idle_exchanges.append(exchange)
    return 0
