"""Make exchanges without sockets, so that plugins can be tried and timed on the real thing.

The rule it guards: an exchange made here is filled as the native door fills it, from bytes through the
parser; only the two ends, the client's and the target's, are stand-ins that keep what they are given.
Called by core/testing, the benches, and gateway/trial for requests that are described.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from core._fast.admission cimport route
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport ANSWERING, ENDED
from core._fast.head cimport M_HEAD, Limits, default_limits, parse_request
from core._fast.recycling cimport new_exchange, recycle
from core._fast.wheel cimport Wheel

from core._fast.head import PROBLEMS


cdef class Recorder(Downstream):
    def __cinit__(self):
        self.interim = []
        self.headers = []
        self.pieces = []

    @property
    def body(self):
        """Return the body as far as it was sent."""
        return b"".join(self.pieces)

    cdef int start_response(self, Exchange exchange) except -1:
        self.status = exchange._response.code
        self.headers = exchange._response.headers.items()
        return 0

    cdef int interim_response(self, Exchange exchange, int status, Headers headers) except -1:
        self.interim.append((status, headers.items()))
        return 0

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        if exchange.request.head.method != M_HEAD:
            self.pieces.append(PyBytes_FromStringAndSize(data, size))
        return 0

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        self.complete = True
        if trailers is not None:
            self.trailers = trailers.items()
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        self.broken = True
        return 0

    cdef int exchange_ended(self, Exchange exchange) except -1:
        self.ended = True
        if self.on_end is not None:
            self.on_end()
        return 0

    cdef int pause_request(self) except -1:
        self.paused = True
        return 0

    cdef int resume_request(self) except -1:
        self.paused = False
        return 0


cdef class Forwarded:
    @property
    def body(self):
        """Return the body as far as it came."""
        return b"".join(self.pieces)

    def __repr__(self):
        return f"<Forwarded {self.method} {self.path}>"


cdef class StandIn(Target):
    def __init__(self, Response answer not None, pieces=None, str name="stand-in"):
        self.name = name
        self.answer = answer
        self.pieces = [answer.body] if pieces is None else list(pieces)
        self.received = []

    cdef int choose(self, Exchange exchange) except -1:
        exchange.server = self.name
        return 0

    cdef int begin(self, Exchange exchange) except -1:
        cdef _StandInHandler handler = _StandInHandler.__new__(_StandInHandler)
        cdef Forwarded forwarded = Forwarded.__new__(Forwarded)
        forwarded.method = exchange.request.method
        forwarded.path = exchange.request.path
        forwarded.query = exchange.request.query
        forwarded.host = exchange.request.host
        forwarded.headers = exchange.request.headers.items()
        forwarded.pieces = []
        handler.target = self
        handler.forwarded = forwarded
        self.received.append(forwarded)
        exchange.forwarded = True
        exchange.began_target = monotonic_ns()
        exchange.handler = handler
        return exchange._release_held()


cdef class _StandInHandler(Handler):
    cdef int request_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        self.forwarded.pieces.append(PyBytes_FromStringAndSize(data, size))
        return 0

    cdef int end_request(self, Exchange exchange, Headers trailers) except -1:
        cdef bytes piece
        self.forwarded.complete = True
        exchange.first_byte = monotonic_ns()
        exchange._response.copy(self.target.answer)
        exchange._response.body = None
        exchange._response.content_length = sum([len(piece) for piece in self.target.pieces])
        exchange.response_head()
        for piece in self.target.pieces:
            if exchange.stage == ENDED or self.forwarded.cancelled:
                return 0
            if piece:
                exchange.response_piece(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        if exchange.stage != ENDED and not self.forwarded.cancelled:
            exchange.end_response(None)
        return 0

    cdef int cancel(self, Exchange exchange) except -1:
        self.forwarded.cancelled = True
        return 0


cdef Wheel WHEEL = Wheel(None)
cdef Limits LIMITS = default_limits()


cdef int parse_into(Exchange exchange, bytes head, Wheel wheel) except -1:
    """Fill a fresh exchange from the bytes of a request's head."""
    cdef Py_ssize_t used
    exchange.request.headers.backing = head
    used = parse_request(PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head), &LIMITS, &exchange.request.head,
                         exchange.request.headers)
    if used != PyBytes_GET_SIZE(head):
        raise ValueError(PROBLEMS[-used][2] if used < 0 else "not the whole head of one request")
    exchange.wheel = wheel
    exchange.started = monotonic_ns()
    return 0


def make_exchange(bytes head not None, Snapshot snapshot not None, *, bytes client=b"192.0.2.1",
                  bytes peer=None, bint secure=False, bint trusted=False, certificate=None,
                  Wheel wheel=WHEEL):
    """Return an exchange whose request is parsed and routed, before any phase; ValueError says what is wrong.

    wheel: of its deadlines; by default one that only `pass_time` turns
    What its client is sent is kept by `recorder_of`.
    """
    cdef Exchange exchange = Exchange.__new__(Exchange)
    cdef object answer
    parse_into(exchange, head, wheel)
    exchange._client = client
    exchange._peer = client if peer is None else peer
    exchange.secure = secure
    exchange.trusted = trusted
    exchange.certificate = certificate
    exchange.down = Recorder.__new__(Recorder)
    exchange.plan = snapshot.unmatched
    answer = route(exchange, snapshot)
    if answer is not None:
        exchange.answer(answer)
    return exchange


def recorder_of(Exchange exchange not None):
    """Return what keeps what an exchange of make_exchange sends to its client."""
    return exchange.down


def begin(Exchange exchange not None, Snapshot snapshot not None, pieces=()):
    """Begin an exchange of make_exchange and give it its body, whole or in pieces."""
    cdef bytes piece
    cdef Recorder recorder = exchange.down
    exchange.request_ended = exchange.request.head.content_length <= 0 and not exchange.request.head.chunked
    exchange.begin(recorder, snapshot)
    if exchange.request_ended:
        return
    for piece in pieces:
        if recorder.ended:
            return
        exchange.request_piece(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    if not recorder.ended:
        exchange.end_request(None)


def give_response(Exchange exchange not None, Response response not None):
    """Put a response where an answering target puts it, for calling response phases by hand."""
    exchange._response.copy(response)
    exchange.has_response = True
    exchange.stage = ANSWERING


def leave(Exchange exchange not None):
    """Be the client that closes its connection."""
    exchange.client_gone()


def pass_time(Exchange exchange not None, double seconds):
    """Fire the timers of an exchange that are due within so many seconds from now."""
    exchange.wheel.advance(monotonic_ns() + <int64_t>(seconds * 1e9))


cdef class _Silent(Downstream):
    """Throws everything away."""
    cdef int start_response(self, Exchange exchange) except -1:
        return 0

    cdef int response_piece(self, Exchange exchange, const char* data, Py_ssize_t size) except -1:
        return 0

    cdef int end_response(self, Exchange exchange, Headers trailers) except -1:
        return 0

    cdef int break_response(self, Exchange exchange) except -1:
        return 0


def run_repeatedly(Snapshot snapshot not None, bytes head not None, Py_ssize_t rounds,
                   bytes client=b"192.0.2.1"):
    """Run an exchange without a body again and again, as a busy worker does; return the ns of one."""
    cdef Downstream down = _Silent.__new__(_Silent)
    cdef Exchange exchange
    cdef Py_ssize_t _
    cdef int64_t start = monotonic_ns()
    for _ in range(rounds):
        exchange = new_exchange()
        parse_into(exchange, head, WHEEL)
        exchange.secure = exchange.trusted = False
        exchange._client = exchange._peer = client
        exchange.request_ended = True
        exchange.begin(down, snapshot)
        recycle(exchange)
    return (monotonic_ns() - start) / <double>rounds
