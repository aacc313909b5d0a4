"""Run one call of an ASGI application as the target's side of an exchange.

The rules it guards: an answer goes out in the order that ASGI prescribes or not at all; an application that
fails, or ends without an answer, becomes a 500 or a cut-off response; a slow reader holds the application,
a slow application holds the sender. The call is not cancelled when the client goes: receive() tells it
``http.disconnect`` and send() raises. Made by core/_fast/app_target; WebSockets: core/_fast/app_websocket.
"""

import asyncio
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport Downstream
from core._fast.head cimport M_HEAD
from core._fast.headers cimport FIELD_FRAMING, FIELD_HOP_BY_HOP, FIELD_NO_TRAILER
from core._fast.message cimport Response

from core.errors import Problem

log = logging.getLogger("agora.app")

cdef object APP_FAILED = Problem(500, "app-failed", "The application failed", "internal")
cdef object APP_SILENT = Problem(500, "app-silent", "The application gave no answer", "internal")
cdef object APP_CANCELLED = Problem(503, "app-cancelled", "The application was stopped", "internal")

cdef enum:
    HELD = 65536               # bytes of a request's body that wait for the application
    MOST_DIGITS = 18           # of a number that fits


cdef int64_t number_of(bytes digits) noexcept:
    """Read a number that consists of digits alone; -1: it is none."""
    cdef int64_t number = 0
    cdef char digit
    if not 0 < PyBytes_GET_SIZE(digits) <= MOST_DIGITS:
        return -1
    for digit in digits:
        if not c"0" <= digit <= c"9":
            return -1
        number = number * 10 + digit - c"0"
    return number


cdef class AppRun(Handler):
    """Be what all calls share: the task, the answer, and waiting for a slow reader."""

    cdef int start(self, Exchange exchange, dict scope) except -1:
        """Begin the call; the exchange's request follows."""
        self.exchange = exchange
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.answer = UNBEGUN
        exchange.handler = self
        exchange.began_target = monotonic_ns()
        exchange.forwarded = True
        task = asyncio.get_running_loop().create_task(self._run(scope))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return 0

    async def _run(self, dict scope):
        try:
            await self.application(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._failed(APP_CANCELLED)
            raise
        except Exception as error:
            if self.exchange is None and isinstance(error, OSError):
                log.debug("the application was told that the client has gone")
            else:
                log.error("the application failed", exc_info=error)
            self._failed(APP_FAILED)
        else:
            self._left_out()
        finally:
            self.application = None

    # -- the end of the call ---------------------------------------------------------------------

    cdef int _left_out(self) except -1:
        """See to an answer that the application left out, or did not complete."""
        if self.exchange is not None and self.answer != ANSWERED:
            log.error("the application returned without %s",
                      "an answer" if self.answer <= STARTED else "the rest of its answer")
            return self._failed(APP_SILENT)
        return 0

    cdef int _failed(self, object problem) except -1:
        """Answer for an application that will not; or cut off what it began."""
        cdef Exchange exchange = self.exchange
        cdef Downstream down
        if exchange is None or self.answer == ANSWERED:
            return 0
        if self.answer <= STARTED:
            return self._refuse(problem)
        down = exchange.down
        self._gone()
        exchange.handler = None
        exchange.break_response(problem.slug)
        return down.flush()

    cdef int _refuse(self, object problem) except -1:
        cdef Exchange exchange = self.exchange
        cdef Downstream down = exchange.down
        self._gone()
        exchange.handler = None
        exchange._response.clear()
        exchange.refuse(problem)
        return down.flush()

    cdef int _gone(self) except -1:
        """Let go of the exchange: from now on the application talks to nobody."""
        self.exchange = None
        return self._wake()

    cdef int _wake(self) except -1:
        self.news.set()
        self.room.set()
        return 0

    # -- what the exchange calls -----------------------------------------------------------------

    cdef int pause_response(self) except -1:
        if self.exchange is not None:
            self.room.clear()
        return 0

    cdef int resume_response(self) except -1:
        self.room.set()
        return 0

    cdef int cancel(self, Exchange exchange) except -1:
        return self._gone()

    # -- the answer ------------------------------------------------------------------------------

    cdef int _on_start(self, dict message) except -1:
        """Keep an answer's head: ASGI has it go out with the first piece of the body."""
        cdef Response response = self.exchange._response
        cdef int status = message["status"]
        if self.answer != UNBEGUN:
            raise RuntimeError(f"{message['type']} came twice")
        if not 200 <= status <= 599:
            raise RuntimeError(f"an answer's status is between 200 and 599, not {status}")
        response.clear()
        self.length = -1
        try:
            for name, value in message.get("headers", ()):
                response.headers.add_raw(bytes(name), bytes(value))
            lengths = response.headers.get_all(b"content-length")
            if lengths:
                self.length = number_of(lengths[0])
                if self.length < 0 or len(lengths) > 1:
                    raise RuntimeError(f"not one content-length: {lengths!r}")
        except BaseException:
            response.clear()
            raise
        response.code = status
        self.trailers_follow = message.get("trailers", False)
        self.answer = STARTED
        return 0

    cdef int _on_body(self, dict message) except -1:
        cdef Exchange exchange = self.exchange
        cdef bytes body = bytes(message.get("body", b""))
        cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
        cdef bint more = message.get("more_body", False)
        cdef Response response
        if self.answer == STARTED:
            response = exchange._response
            bodiless = exchange.request.head.method == M_HEAD or response.code == 304
            response.content_length = self.length
            if self.length < 0 and not more and not self.trailers_follow and not bodiless:
                response.content_length = size
            self.left = -1 if bodiless else self.length
            self._check_length(size, more)
            self.answer = STREAMS
            exchange.first_byte = monotonic_ns()
            exchange.response_head()
        elif self.answer == STREAMS:
            self._check_length(size, more)
        else:
            raise RuntimeError(f"{message['type']} came before the start or after the end")
        # NOTE: from here on a plugin, or the client, may have ended the exchange at any call.
        if size and self.exchange is not None:
            exchange.response_piece(PyBytes_AS_STRING(body), size)
        if not more and self.exchange is not None:
            if self.trailers_follow:
                self.answer = TRAILERS_DUE
            else:
                self._finish()
        return 0

    def _check_length(self, Py_ssize_t size, bint more):
        """Hold the application to the content-length it gave."""
        if self.left < 0:
            return
        self.left -= size
        if self.left < 0:
            raise RuntimeError("the answer's body is longer than its content-length")
        if self.left and not more:
            raise RuntimeError("the answer's body is shorter than its content-length")

    cdef int _on_trailers(self, dict message) except -1:
        if self.answer != TRAILERS_DUE:
            raise RuntimeError("http.response.trailers came before the body's end, or unannounced")
        if self.trailers is None:
            self.trailers = Headers()
        for name, value in message.get("headers", ()):
            self.trailers.add_raw(bytes(name), value)
        if not message.get("more_trailers", False):
            self.trailers.drop_flagged(FIELD_FRAMING | FIELD_HOP_BY_HOP | FIELD_NO_TRAILER)
            self._finish()
        return 0

    cdef int _on_early_hint(self, dict message) except -1:
        cdef Headers headers = Headers()
        if self.answer != UNBEGUN:
            raise RuntimeError("http.response.early_hint came after the start")
        for link in message["links"]:
            headers.add_raw(b"link", bytes(link))
        return self.exchange.interim(103, headers)

    cdef int _finish(self) except -1:
        cdef Exchange exchange = self.exchange
        self.answer = ANSWERED
        self._gone()
        return exchange.end_response(self.trailers)


cdef class HttpRun(AppRun):
    """Run an application for a request over HTTP."""

    cdef int start(self, Exchange exchange, dict scope) except -1:
        self.pieces = []
        AppRun.start(self, exchange, scope)
        if (
            exchange.request.head.expect_continue and exchange.held is None
            and exchange.request.body is None and not exchange.request_ended
        ):
            # NOTE: the application says that it wants the body by asking for it.
            self.continue_due = True
            return 0
        return exchange._release_held()

    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        self.pieces.append(PyBytes_FromStringAndSize(data, size))
        self.waiting += size
        if self.waiting >= HELD and not self.holding_back:
            self.holding_back = True
            exchange.down.pause_request()
        self.news.set()
        return 0

    cdef int end_request(self, Exchange exchange, Headers trailers) except -1:
        self.complete = True
        self.news.set()
        return 0

    async def receive(self):
        """Give the application what has come of the request's body; then wait until the client goes."""
        while True:
            if self.exchange is None:
                return {"type": "http.disconnect"}
            if self.pieces or (self.complete and not self.told_end):
                return self._request_message()
            if self.continue_due:
                self.continue_due = False
                self.exchange.down.request_wanted(self.exchange)
                self.exchange.down.flush()
            self.news.clear()
            await self.news.wait()

    def _request_message(self):
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.waiting = 0
        self.told_end = self.complete
        if self.holding_back:
            self.holding_back = False
            self.exchange.down.resume_request()
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    async def send(self, dict message not None):
        """Take a part of the application's answer; wait while the client reads slowly."""
        cdef str kind = message["type"]
        cdef Downstream down
        if self.exchange is None:
            if self.answer == ANSWERED:
                raise RuntimeError(f"{kind} came after the answer's end")
            raise ConnectionResetError("the client has gone")
        down = self.exchange.down
        if kind == "http.response.body":
            self._on_body(message)
        elif kind == "http.response.start":
            self._on_start(message)
            if self.continue_due:
                # NOTE: a body that was never asked for may or may not come now: nothing can follow it.
                self.exchange.close = True
        elif kind == "http.response.trailers":
            self._on_trailers(message)
        elif kind == "http.response.early_hint":
            self._on_early_hint(message)
        else:
            raise RuntimeError(f"not a message of an answer: {kind!r}")
        down.flush()
        if not self.room.is_set():
            await self.room.wait()
