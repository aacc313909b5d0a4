"""Continue W3C traces, or start them: traceparent and tracestate (https://www.w3.org/TR/trace-context-2/).

The rule it guards: a trace goes on only from a context that is valid in every byte; whatever else comes is
dropped and a trace begun anew, so what a target gets is always valid. The trace plugin is this class with
options.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from core._fast.exchange cimport Exchange
from core._fast.headers cimport H_TRACEPARENT, H_TRACESTATE, Field, Headers
from core._fast.ids cimport IdSource, write_hex

cdef enum:
    TRACEPARENT = 55          # bytes: version, trace id, parent id, flags
    SAMPLED = 1
    RANDOM = 2                # the trace id's last 7 bytes are random
    MOST_MEMBERS = 32         # of a tracestate
    LONG_MEMBER = 128         # bytes: those go first when a tracestate is too long

cdef struct Parent:
    const char* trace_id      # 32 hex digits inside the header
    const char* span_id       # 16 of them
    int flags                 # SAMPLED, RANDOM

cdef dict BELIEF = {"nobody": 0, "trusted": 1, "anyone": 2}


cdef inline int hex_value(unsigned char digit) noexcept nogil:
    """Return the value of a lower-case hex digit, -1 for any other byte."""
    if c"0" <= digit <= c"9":
        return digit - c"0"
    if c"a" <= digit <= c"f":
        return digit - c"a" + 10
    return -1


cdef bint read_id(const char* text, int size) noexcept nogil:
    """Tell whether so many bytes are lower-case hex digits and not all zero."""
    cdef int i, value, seen = 0
    for i in range(size):
        value = hex_value(text[i])
        if value < 0:
            return False
        seen |= value
    return seen != 0


cdef int read_pair(const char* text) noexcept nogil:
    cdef int high = hex_value(text[0]), low = hex_value(text[1])
    return -1 if high < 0 or low < 0 else high << 4 | low


cdef bint read_traceparent(const char* text, Py_ssize_t size, Parent* parent) noexcept nogil:
    """Read a traceparent of any version; False: it is not valid."""
    cdef int version, flags
    if size < TRACEPARENT or text[2] != c"-" or text[35] != c"-" or text[52] != c"-":
        return False
    version = read_pair(text)
    flags = read_pair(text + 53)
    if version < 0 or version == 0xff or flags < 0:
        return False
    # NOTE: later versions may append fields; version 0 may not.
    if size > TRACEPARENT and (version == 0 or text[TRACEPARENT] != c"-"):
        return False
    if not read_id(text + 3, 32) or not read_id(text + 36, 16):
        return False
    parent.trace_id = text + 3
    parent.span_id = text + 36
    parent.flags = flags & (SAMPLED | RANDOM)
    return True


cdef inline bint is_key_byte(unsigned char c, bint first) noexcept nogil:
    if c"a" <= c <= c"z" or c"0" <= c <= c"9":
        return True
    return not first and (c == c"_" or c == c"-" or c == c"*" or c == c"/" or c == c"@")


cdef bint is_member(const char* text, Py_ssize_t size) noexcept nogil:
    """Tell whether a member of a tracestate, without white space around it, is valid."""
    cdef Py_ssize_t equals = 0, i
    cdef unsigned char c
    while equals < size and text[equals] != c"=":
        if not is_key_byte(text[equals], equals == 0):
            return False
        equals += 1
    if equals == 0 or equals > 256 or equals == size or not 1 <= size - equals - 1 <= 256:
        return False
    for i in range(equals + 1, size):
        c = text[i]
        if c < 0x20 or c > 0x7e or c == c"," or c == c"=":
            return False
    return True


cdef int count_members(const char* text, Py_ssize_t size) noexcept nogil:
    """Return how many members a tracestate field has, -1: one of them is not valid."""
    cdef Py_ssize_t start = 0, end, next_start
    cdef int count = 0
    while start <= size:
        end = start
        while end < size and text[end] != c",":
            end += 1
        next_start = end + 1
        while start < end and (text[start] == c" " or text[start] == c"\t"):
            start += 1
        while start < end and (text[end - 1] == c" " or text[end - 1] == c"\t"):
            end -= 1
        if start < end:
            if not is_member(text + start, end - start):
                return -1
            count += 1
        start = next_start
    return count


def shorten_tracestate(bytes state not None, Py_ssize_t most):
    """Return a valid tracestate of at most so many bytes: long members go first, then the last ones."""
    members = [member.strip() for member in state.split(b",")]
    members = [member for member in members if member]
    size = sum(map(len, members)) + len(members) - 1
    for limit in (LONG_MEMBER, 0):
        for i in range(len(members) - 1, -1, -1):
            if size > most and len(members[i]) > limit:
                size -= len(members.pop(i)) + 1
    return b",".join(members)


cdef class Traces:
    """Set ``exchange.trace_id`` and send the target a traceparent with a new parent id.

    believe: whose traces are continued: "nobody", "trusted" (proxies) or "anyone"
    share:   of traces begun here that are sampled, 0 to 1, decided by the trace id
    follow:  keep the sampling decision of a trace that is continued
    longest: bytes of a tracestate that are passed on
    shown:   name of a response header that gets the trace id; empty: none
    """

    cdef IdSource ids
    cdef int believe
    cdef bint follow
    cdef uint64_t threshold
    cdef Py_ssize_t longest
    cdef bytes shown

    def __init__(self, *, str believe="anyone", double share=1.0, bint follow=True, Py_ssize_t longest=512,
                 bytes shown=b"", IdSource ids=None):
        if not 0.0 <= share <= 1.0:
            raise ValueError("a share lies between 0 and 1")
        self.believe = BELIEF[believe]
        self.follow = follow
        self.threshold = <uint64_t>((1.0 - share) * 72057594037927936.0)
        self.longest = longest
        self.shown = shown
        self.ids = IdSource() if ids is None else ids

    def request(self, Exchange exchange not None):
        """Continue the client's trace or begin one."""
        cdef Headers headers = exchange.request.headers
        cdef Field* found = NULL
        cdef Parent parent
        cdef bytes value = PyBytes_FromStringAndSize(NULL, TRACEPARENT)
        cdef char* out = PyBytes_AS_STRING(value)
        cdef int i, parents = 0, states = 0, flags
        cdef uint64_t span = self.ids.word()
        for i in range(headers.count):
            if headers.fields[i].id == H_TRACEPARENT:
                found = &headers.fields[i]
                parents += 1
            elif headers.fields[i].id == H_TRACESTATE:
                states += 1
        if parents == 1 and (self.believe == 2 or (self.believe == 1 and exchange.trusted)) and \
                read_traceparent(found.value, found.value_len, &parent):
            memcpy(out + 3, parent.trace_id, 32)
            flags = parent.flags
            if not self.follow:
                flags = (flags & ~SAMPLED) | self.decide(out + 3)
            if states:
                self.bound_state(headers, states)
        else:
            self.begin_trace(out + 3)
            flags = RANDOM | self.decide(out + 3)
            if states:
                headers.remove_raw(b"tracestate", 10)
        exchange.trace_id = PyBytes_FromStringAndSize(out + 3, 32)
        out[0] = out[1] = out[53] = c"0"
        out[2] = out[35] = out[52] = c"-"
        write_hex(out + 36, span if span else 1)
        out[54] = <char>(c"0" + flags)
        headers.set_raw(b"traceparent", value)

    def response(self, Exchange exchange not None):
        """Tell the client the trace's id."""
        if exchange.trace_id is not None and self.shown:
            exchange._response.headers.set_raw(self.shown, exchange.trace_id)

    cdef int begin_trace(self, char* out) except -1:
        cdef uint64_t high = self.ids.word(), low = self.ids.word()
        write_hex(out, high)
        write_hex(out + 16, low if low or high else 1)
        return 0

    cdef int decide(self, const char* trace_id) noexcept:
        """Return SAMPLED or 0 by the trace id's last 56 bits: the same in every gateway and service."""
        cdef uint64_t bits = 0
        cdef int i
        for i in range(18, 32):
            bits = bits << 4 | <uint64_t>hex_value(trace_id[i])
        return SAMPLED if bits >= self.threshold else 0

    cdef int bound_state(self, Headers headers, int fields) except -1:
        """Drop a tracestate that is not valid, shorten one that is too long."""
        cdef int i, members, total = 0
        cdef Py_ssize_t size = fields - 1
        for i in range(headers.count):
            if headers.fields[i].id == H_TRACESTATE:
                members = count_members(headers.fields[i].value, headers.fields[i].value_len)
                total = total + members if members >= 0 and total >= 0 else -1
                size += headers.fields[i].value_len
        if total <= 0 or total > MOST_MEMBERS:
            headers.remove_raw(b"tracestate", 10)
        elif size > self.longest:
            shortened = shorten_tracestate(b",".join(headers.get_all(b"tracestate")), self.longest)
            if shortened:
                headers.set_raw(b"tracestate", shortened)
            else:
                headers.remove_raw(b"tracestate", 10)
        return 0


def parse_traceparent(bytes value not None):
    """Return (trace id, parent id, flags) of a traceparent as bytes, bytes and int; None: it is not valid."""
    cdef Parent parent
    if not read_traceparent(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), &parent):
        return None
    return parent.trace_id[:32], parent.span_id[:16], parent.flags


def count_tracestate(bytes value not None):
    """Return how many members a tracestate field has; None: it is not valid."""
    cdef int count = count_members(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return None if count < 0 else count
