"""Hold exchanges to a rate: the decision, the answer to those over it, figures in headers.

The rule it guards: a refused exchange goes no further; a full table never admits silently. Who is counted,
client_keys says. The rate-limit plugin is this class with options. PERF: bench/plugin_call.py,
bench/rate_limit.py.
"""

from cython cimport final, freelist

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from core._fast.cells cimport Counter
from core._fast.client_keys cimport ClientKeys, Key
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport Exchange
from core._fast.headers cimport Headers
from core._fast.limiter cimport Decision, Limiter, Windows
from core._fast.message cimport Response
from core._fast.table cimport ADMITTED, FULL

from core.errors import Problem

cdef enum:
    FIELD_ROOM = 160
    MOST_REFUSALS = 512       # answers kept ready

cdef dict HEADERS = {"none": 0, "ratelimit": 1, "x-ratelimit": 2, "both": 3}

cdef object OVER = Problem(429, "rate-limited", "Too many requests", "client", True)
cdef object NO_ROOM = Problem(503, "rate-limit-full", "The table of rate limits is full", "internal", True)


cdef inline Py_ssize_t put_text(char* out, Py_ssize_t at, bytes text) noexcept:
    memcpy(out + at, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return at + PyBytes_GET_SIZE(text)


cdef Py_ssize_t put_number(char* out, Py_ssize_t at, int64_t number) noexcept nogil:
    cdef char digits[20]
    cdef int count = 0
    while True:
        digits[count] = <char>(c"0" + number % 10)
        count += 1
        number //= 10
        if number == 0:
            break
    while count:
        count -= 1
        out[at] = digits[count]
        at += 1
    return at


@final
@freelist(64)
cdef class _Note:
    """What was decided about one exchange, until its response is there."""
    cdef Decision decision


cdef class RateGate:
    """Admit or refuse exchanges by the windows of one rule.

    by:      what tells clients apart: "ip", "consumer", "route", "header:NAME", several joined with "+"
    scope:   keeps this rule's counts from those of other rules
    lacking: how one without the consumer or header is counted: "ip", "together", or "unlimited"
    admit_when_full: let exchanges through when the table has no room
    headers: which response headers tell the figures: "ratelimit", "x-ratelimit", "both" or "none"
    prefix:  bits of an IPv6 address that are one client
    refused, full: count the exchanges refused for their rate, and those that met a full table
    """

    cdef Limiter limiter
    cdef Windows windows
    cdef ClientKeys keys
    cdef int told
    cdef bint admit_when_full
    cdef tuple starts          # of the RateLimit field, by window
    cdef dict refusals         # (window, seconds) -> Response
    cdef Response full_refusal
    cdef public object clock   # gives CLOCK_MONOTONIC in ns; None: the system's
    cdef Counter refused, full  # None: nobody wants to know

    def __init__(self, Limiter limiter not None, limits, *, str by="ip", bytes scope=b"", str lacking="ip",
                 bint admit_when_full=False, str headers="ratelimit", int prefix=64,
                 Counter refused=None, Counter full=None):
        self.limiter = limiter
        self.windows = Windows(limits, scope)
        self.keys = ClientKeys(by, lacking, prefix)
        self.admit_when_full = admit_when_full
        self.told = HEADERS[headers]
        self.refused = refused
        self.full = full
        self.starts = tuple([quoted + b";r=" for quoted in self.windows.names])
        self.refusals = {}
        self.full_refusal = Response.problem_of(NO_ROOM)
        self.full_refusal.headers.add(b"retry-after", b"1")

    def request(self, Exchange exchange not None):
        """Take one request from the client's windows; return an answer if there is none left."""
        cdef Key key
        cdef Decision decision
        cdef int outcome
        cdef _Note note
        key.size = 0
        if not self.keys.write(exchange, &key):
            return None
        outcome = self.limiter.decide(self.windows.items, self.windows.count, key.data, key.size,
                                      monotonic_ns() if self.clock is None else self.clock(), &decision)
        if outcome == FULL:
            return self.when_full()
        if self.told:
            note = _Note.__new__(_Note)
            note.decision = decision
            if exchange._state is None:
                exchange._state = {}
            exchange._state[self] = note
        if outcome == ADMITTED:
            return None
        if self.refused is not None:
            self.refused.cell[0] += 1
        return self.refusal(decision.window, decision.retry_after)

    def response(self, Exchange exchange not None):
        """Tell the client the figures of its tightest window."""
        cdef _Note note
        if exchange._state is None:
            return
        note = exchange._state.get(self)
        if note is None:
            return
        if self.told & 1:
            exchange._response.headers.add_raw(b"ratelimit", self.field(&note.decision))
            exchange._response.headers.add_raw(b"ratelimit-policy", self.windows.policy)
        if self.told & 2:
            tell(exchange._response.headers, b"x-ratelimit-limit", note.decision.limit)
            tell(exchange._response.headers, b"x-ratelimit-remaining", note.decision.remaining)
            tell(exchange._response.headers, b"x-ratelimit-reset", note.decision.reset)

    cdef Response when_full(self):
        if self.full is not None:
            self.full.cell[0] += 1
        return None if self.admit_when_full else self.full_refusal

    cdef Response refusal(self, int window, int64_t seconds):
        """Give the answer to a client over its rate, made once for each wait."""
        # PERF: under attack nearly every exchange ends here; making the answer costs 3 us, finding it 0.1.
        cdef Response response = self.refusals.get((window, seconds))
        if response is None:
            text = self.windows.texts[window]
            response = Response.problem_of(OVER, f"The limit of {text} is used up; try again in {seconds} s.")
            response.headers.add(b"retry-after", b"%d" % seconds)
            if len(self.refusals) >= MOST_REFUSALS:
                self.refusals.clear()
            self.refusals[(window, seconds)] = response
        return response

    cdef bytes field(self, const Decision* decision):
        """Return the value of the RateLimit field."""
        cdef char text[FIELD_ROOM]
        cdef Py_ssize_t size = put_text(text, 0, self.starts[decision.window])
        size = put_number(text, size, decision.remaining)
        memcpy(text + size, b";t=", 3)
        size = put_number(text, size + 3, decision.reset)
        return PyBytes_FromStringAndSize(text, size)


cdef int tell(Headers headers, bytes name, int64_t number) except -1:
    cdef char text[20]
    return headers.set_raw(name, PyBytes_FromStringAndSize(text, put_number(text, 0, number)))
