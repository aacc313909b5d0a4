"""Drive one exchange through its plan: from a parsed request head to the log phase.

The client's side (Downstream) and the target's side (Handler) know nothing of each other; both talk to the
exchange. The rules it guards: phases run once and in order, the synchronous part of a plan without a task;
a response head goes out once; whatever happens, the exchange ends once and is logged.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from core._fast.admission cimport route, strip
from core._fast.clock cimport monotonic_ns
from core._fast.head cimport M_HEAD
from core._fast.headers cimport Headers
from core._fast.message cimport Response
from core._fast.phases cimport method_name
from core._fast.wheel cimport new_timer

from core.errors import Problem

log = logging.getLogger("agora.exchange")

cdef object PLUGIN_FAILED = Problem(500, "plugin-failed", "A plugin failed", "internal")
cdef object BODY_TOO_LARGE = Problem(413, "body-too-large", "The request's body is too large")
cdef object RESPONSE_TOO_LARGE = Problem(502, "response-too-large", "The target's answer is too large", "upstream")
cdef object TOOK_TOO_LONG = Problem(504, "exchange-timeout", "The exchange took too long", "internal")

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
    cdef int left(self, Exchange exchange) except -1:
        return 0
    cdef bint again(self, Exchange exchange, object problem, int status, int64_t wait) except -1:
        return False


cdef class Exchange(PhaseRunner):
    """Show plugins one request, its response once there is one, and what is known of both.

    Valid until the log phase ends; keep values, not the exchange.
    """

    def __cinit__(self):
        self.timer = new_timer(self, total_fired)
        self.server_index = -1

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
        self.run_accept(snapshot.accept)
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
        return self.run(REQUEST, 0)

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
        return self.run(REQUEST, 0)

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
        if self.request.body is not None and not self.upgraded:
            return 0  # a plugin has put its own body in the place of the client's
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
        piece = self.chunk("request", PyBytes_FromStringAndSize(data, size), False)
        if piece is not None and piece and self.handler is not None:
            self.handler.request_piece(self, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        return 0

    cdef int end_request(self, Headers trailers) except -1:
        """Note that the request's body is complete."""
        self.request_ended = True
        self.trailers = trailers
        if self.stage == HOLDING:
            return self._held_whole()
        if self.handler is not None and self.held is None and (self.request.body is None or self.upgraded):
            return self._end_forward()
        return 0

    cdef int _end_forward(self) except -1:
        cdef bytes piece
        if self.plan.chunk and not self.upgraded:
            piece = self.chunk("request", b"", True)
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

    # -- towards the target ----------------------------------------------------------------------

    cdef int after(self, Phase phase) except -1:
        """Go on with what comes after a phase."""
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
        if self.max_request_body and max(self.request.head.content_length, self.bytes_in) > self.max_request_body:
            self.close = True
            return self.refuse(BODY_TOO_LARGE)
        (<Target>self.plan.target).choose(self)
        if self.has_response:
            return 0
        return self.run(FORWARD, 0)

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
            # NOTE: before the pieces are sent: they may block the target, which then pauses the client again.
            self.down.resume_request()
            for piece in held:
                if self.handler is None:
                    return 0
                self._forward_piece(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
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
        if self.upgraded:
            self.wheel.cancel(self.timer)  # what the peers say to each other may take as long as they like
        if (
            self.plan.hold_response and self._response.body is None
            and not self.upgraded and self.request.head.method != M_HEAD
        ):
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

    cdef int target_failed(self, object problem) except -1:
        """Try again, where a plugin has allowed it, or answer with the problem; nothing was sent to the client."""
        if self.retry is not None and self.stage == FORWARDED:
            if (<Target>self.plan.target).again(self, problem, 0, -1):
                return 0
        return self._discard_response(problem)

    cdef int _discard_response(self, object problem) except -1:
        self._drop_handler()
        self.held_response = None
        self.held_response_size = 0
        self.has_response = False
        return self.refuse(problem)

    cdef int _drop_handler(self) except -1:
        cdef Handler handler = self.handler
        cdef Handler errand = self.errand
        if handler is None and errand is None:
            return 0
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
        self._drop_handler()
        self.stop_waiting()
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
        return self._send_head() if self.failed else self.run(RESPONSE, 0)

    cdef int _send_head(self) except -1:
        cdef Response response = self._response
        cdef bytes body = response.body
        cdef bytes piece
        cdef list held
        if self.stage == ENDED:
            return 0
        self.stage = STREAMING
        self.status = response.code
        self.down.start_response(self)
        if body is not None:
            self._drop_handler()  # its body is held here: what streams is not wanted
            if body and self.stage == STREAMING and self.request.head.method != M_HEAD:
                self._out(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            return self._out_end()
        held = self.held_response
        if held is not None:
            self.held_response = None
            if self.handler is not None:
                # NOTE: before the pieces are sent: they may block the client, which then pauses the target again.
                self.handler.resume_response()
            for piece in held:
                if self.stage == STREAMING:
                    self._out(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            if self.response_ended:
                return self._out_end()
        elif self.response_ended:
            return self._out_end()
        return 0

    cdef int _out(self, const char* data, Py_ssize_t size) except -1:
        cdef bytes piece
        if self.plan.chunk and not self.upgraded and not self.failed:
            piece = self.chunk("response", PyBytes_FromStringAndSize(data, size), False)
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
        if self.plan.chunk and not self.upgraded and not self.failed:
            piece = self.chunk("response", b"", True)
            if self.stage == ENDED:
                return 0
            if piece is not None and piece:
                self.bytes_out += PyBytes_GET_SIZE(piece)
                self.down.response_piece(self, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        self.down.end_response(self, self.response_trailers)
        return self.finish()

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
        self.stop_waiting()
        self._drop_handler()
        if self.server_index >= 0 or self.retries:
            (<Target>self.plan.target).left(self)
        self.plan.meter.count(self.status, self.ended - self.started, self.bytes_in, self.bytes_out)
        for method in self.plan.log:
            try:
                method(self)
            except Exception:
                log.exception("log phase failed: %s", method_name(method))
        snapshot.end()
        return down.exchange_ended(self)

    cdef int flush_answer(self) except -1:
        return self.down.flush()

    cdef int phase_failed(self, object method, object error) except -1:
        log.error("plugin failed: %s", method_name(method), exc_info=error)
        if self.stage == STREAMING:
            return self.break_response(PLUGIN_FAILED.slug)
        self.failed = True
        return self._discard_response(PLUGIN_FAILED)

cdef int total_fired(object owner, int64_t now) except -1:
    cdef Exchange exchange = owner
    if exchange.stage == STREAMING:
        return exchange.break_response(TOOK_TOO_LONG.slug)
    if exchange.stage == ANSWERING:
        exchange.failed = True  # the response phases have had their time
    else:
        exchange.wheel.arm(exchange.timer, now + <int64_t>(exchange.total_timeout * 1e9))
    exchange.stop_waiting()
    exchange.close = True
    exchange._discard_response(TOOK_TOO_LONG)
    return exchange.down.flush()
