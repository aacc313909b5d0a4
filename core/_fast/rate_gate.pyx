"""Hold exchanges to a rate: who is counted, the decision, the answer to those over it, figures in headers.

The rule it guards: a refused exchange goes no further; a full table never admits silently; what a client
chose (a header, an address) never meets the count of another kind of client. The rate-limit plugin is this
class with options. PERF: bench/plugin_call.py, bench/rate_limit.py.
"""

from cython cimport final, freelist

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy

from core._fast.cells cimport Counter
from core._fast.clock cimport monotonic_ns
from core._fast.exchange cimport Exchange
from core._fast.headers cimport Field, Headers
from core._fast.limiter cimport Decision, Limiter, Windows
from core._fast.message cimport Response
from core._fast.siphash cimport siphash
from core._fast.table cimport ADMITTED, FULL

from core.errors import Problem

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, unsigned int size)
    enum:
        AF_INET
        AF_INET6

cdef extern from "<string.h>" nogil:
    size_t strnlen(const char* text, size_t most)

cdef enum:
    MOST_PARTS = 8
    KEY_ROOM = 512            # bytes of a key; a part that does not fit is hashed
    ADDRESS_ROOM = 64         # bytes of an address as text
    FIELD_ROOM = 160
    MOST_REFUSALS = 512       # answers kept ready

cdef enum Kind:
    BY_IP
    BY_CONSUMER
    BY_ROUTE
    BY_HEADER

cdef enum Lacking:            # what counts a client that has no consumer or header
    COUNT_BY_IP
    COUNT_TOGETHER
    COUNT_NOT

cdef dict KINDS = {"ip": BY_IP, "consumer": BY_CONSUMER, "route": BY_ROUTE, "header": BY_HEADER}
cdef dict LACKING = {"ip": COUNT_BY_IP, "together": COUNT_TOGETHER, "unlimited": COUNT_NOT}
cdef dict HEADERS = {"none": 0, "ratelimit": 1, "x-ratelimit": 2, "both": 3}

cdef object OVER = Problem(429, "rate-limited", "Too many requests", "client", True)
cdef object NO_ROOM = Problem(503, "rate-limit-full", "The table of rate limits is full", "internal", True)

cdef struct Key:
    Py_ssize_t size
    char data[KEY_ROOM]


cdef int add_part(Key* key, char tag, const char* data, Py_ssize_t size,
                  const uint64_t* secret) noexcept nogil:
    """Append one part; tag and length keep parts apart."""
    cdef uint64_t hashed
    cdef uint32_t length = <uint32_t>size
    if size > KEY_ROOM // MOST_PARTS - 5:
        hashed = siphash(secret[0], secret[1], data, size)
        data = <const char*>&hashed
        size = sizeof(hashed)
    key.data[key.size] = tag
    memcpy(key.data + key.size + 1, &length, 4)
    memcpy(key.data + key.size + 5, data, size)
    key.size += 5 + size
    return 0


cdef inline bint is_mapped(const unsigned char* address) noexcept nogil:
    """Tell whether an IPv6 address is ::ffff:a.b.c.d."""
    cdef int i
    for i in range(10):
        if address[i]:
            return False
    return address[10] == 0xff and address[11] == 0xff


cdef Py_ssize_t network_of(const char* text, Py_ssize_t size, int prefix, char* out) noexcept nogil:
    """Write who shares an address's count: an IPv6 address's network, else the address; return the length.

    ``out`` has ADDRESS_ROOM bytes. An IPv4 address inside IPv6 is that IPv4 address.
    """
    cdef unsigned char address[16]
    cdef char end[ADDRESS_ROOM]
    cdef const char* zone
    cdef int i
    if size >= ADDRESS_ROOM:
        size = ADDRESS_ROOM - 1
    memcpy(end, text, size)
    end[size] = 0
    zone = <const char*>memchr(end, c"%", size)
    if zone is not NULL:
        end[zone - end] = 0
    if inet_pton(AF_INET6, end, address) != 1:
        memcpy(out, text, size)
        return size
    if is_mapped(address):
        inet_ntop(AF_INET, address + 12, out, ADDRESS_ROOM)
        return strnlen(out, ADDRESS_ROOM)
    for i in range(16):
        if prefix <= 8 * i:
            address[i] = 0
        elif prefix < 8 * i + 8:
            address[i] &= <unsigned char>(0xff << (8 * i + 8 - prefix))
    memcpy(out, address, 16)
    return 16


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
    cdef Kind kinds[MOST_PARTS]
    cdef int count, told, prefix
    cdef bint admit_when_full
    cdef Lacking lacking
    cdef list names            # of headers, by part
    cdef tuple starts          # of the RateLimit field, by window
    cdef dict refusals         # (window, seconds) -> Response
    cdef Response full_refusal
    cdef public object clock   # gives CLOCK_MONOTONIC in ns; None: the system's
    cdef Counter refused, full  # None: nobody wants to know

    def __init__(self, Limiter limiter not None, limits, *, str by="ip", bytes scope=b"", str lacking="ip",
                 bint admit_when_full=False, str headers="ratelimit", int prefix=64,
                 Counter refused=None, Counter full=None):
        cdef str part, kind, name
        parts = by.split("+")
        if not 1 <= len(parts) <= MOST_PARTS:
            raise ValueError(f"a client is told by 1 to {MOST_PARTS} things, not {len(parts)}")
        self.limiter = limiter
        self.windows = Windows(limits, scope)
        self.names = []
        for part in parts:
            kind, _, name = part.partition(":")
            if kind not in KINDS or (kind == "header") != bool(name):
                raise ValueError(f"{part!r} tells no client; use ip, consumer, route or header:NAME")
            self.kinds[self.count] = KINDS[kind]
            self.names.append(name.encode("ascii"))
            self.count += 1
        self.lacking = LACKING[lacking]
        self.admit_when_full = admit_when_full
        self.told = HEADERS[headers]
        self.prefix = prefix
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
        if not self.write_key(exchange, &key):
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

    cdef bint write_key(self, Exchange exchange, Key* key) except -1:
        """Write who is counted; False: nobody."""
        cdef int i
        for i in range(self.count):
            if self.write_part(exchange, key, self.kinds[i], self.names[i]):
                continue
            if not self.write_lacking(exchange, key):
                return False
        return True

    cdef bint write_part(self, Exchange exchange, Key* key, Kind kind, bytes name) except -1:
        """Append one thing that tells the client; False: it has none."""
        cdef char network[ADDRESS_ROOM]
        cdef const char* data
        cdef Py_ssize_t size
        cdef Field* field
        cdef str text
        if kind == BY_IP:
            data = PyBytes_AS_STRING(exchange._client)
            size = PyBytes_GET_SIZE(exchange._client)
            # PERF: an IPv4 address is its own network; reading it costs as much as the decision.
            if memchr(data, c":", size) is not NULL:
                size = network_of(data, size, self.prefix, network)
                data = network
            add_part(key, c"i", data, size, self.limiter.secret)
            return True
        if kind == BY_HEADER:
            field = exchange.request.headers.find(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
            if field is NULL or field.value_len == 0:
                return False
            add_part(key, c"h", field.value, field.value_len, self.limiter.secret)
            return True
        if kind == BY_CONSUMER:
            if exchange.consumer is None:
                return False
            text = exchange.consumer if type(exchange.consumer) is str else exchange.consumer.name
            data = PyUnicode_AsUTF8AndSize(text, &size)
            add_part(key, c"c", data, size, self.limiter.secret)
            return True
        data = PyUnicode_AsUTF8AndSize(exchange.plan.route, &size)
        add_part(key, c"r", data, size, self.limiter.secret)
        return True

    cdef bint write_lacking(self, Exchange exchange, Key* key) except -1:
        if self.lacking == COUNT_NOT:
            return False
        if self.lacking == COUNT_TOGETHER:
            add_part(key, c"-", b"", 0, self.limiter.secret)
            return True
        return self.write_part(exchange, key, BY_IP, None)

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


def client_network(bytes address not None, int prefix=64):
    """Return what an address is counted by: 16 bytes for an IPv6 network, text for anything else."""
    cdef char out[ADDRESS_ROOM]
    cdef Py_ssize_t size = network_of(PyBytes_AS_STRING(address), PyBytes_GET_SIZE(address), prefix, out)
    return PyBytes_FromStringAndSize(out, size)
