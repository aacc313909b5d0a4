"""Make identifiers of requests and traces: random words and their text, fast and unguessable.

The rule it guards: no two alike, in any process, also after a fork; who knows some cannot tell the next. A
word is a keyed hash of a counter; the key comes from the operating system. Called by the request-id and
trace plugins' compiled parts. PERF: bench/plugin_call.py.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from core._fast.clock cimport realtime_ns
from core._fast.siphash cimport siphash

cdef uint64_t generation = 1       # of this process: one more after each fork
cdef const char* DIGITS = b"0123456789abcdef"
cdef char PAIRS[512]               # the two digits of each byte


cdef void fill_pairs() noexcept:
    cdef int i
    for i in range(256):
        PAIRS[2 * i] = DIGITS[i >> 4]
        PAIRS[2 * i + 1] = DIGITS[i & 15]


fill_pairs()


cdef void write_hex(char* out, uint64_t word) noexcept nogil:
    cdef int i
    for i in range(8):
        memcpy(out + 2 * i, PAIRS + 2 * ((word >> (56 - 8 * i)) & 0xff), 2)


cdef class IdSource:
    """Draw identifiers: from the system's randomness, or, with a seed of 16 bytes, the same each time."""

    def __init__(self, bytes seed=None):
        if seed is not None:
            if len(seed) != 16:
                raise ValueError("a seed is 16 bytes")
            self.fixed = True
            self.secret_low = int.from_bytes(seed[:8], "little")
            self.secret_high = int.from_bytes(seed[8:], "little")

    cdef int draw_secret(self) except -1:
        cdef bytes secret = os.urandom(16)
        memcpy(&self.secret_low, PyBytes_AS_STRING(secret), 8)
        memcpy(&self.secret_high, PyBytes_AS_STRING(secret) + 8, 8)
        self.generation = generation
        return 0

    cdef uint64_t word(self) except? 0:
        # NOTE: a child of fork() has its parent's secret and counter, and must not draw the same words.
        if self.generation != generation and not self.fixed:
            self.draw_secret()
        self.drawn += 1
        return siphash(self.secret_low, self.secret_high, <char*>&self.drawn, sizeof(uint64_t))

    cdef bytes uuid7(self, int64_t milliseconds):
        cdef bytes text = PyBytes_FromStringAndSize(NULL, 36)
        cdef char* out = PyBytes_AS_STRING(text)
        cdef char digits[32]
        write_hex(digits, <uint64_t>milliseconds << 16 | 0x7000 | (self.word() & 0x0fff))
        write_hex(digits + 16, (self.word() >> 2) | <uint64_t>1 << 63)
        memcpy(out, digits, 8)
        memcpy(out + 9, digits + 8, 4)
        memcpy(out + 14, digits + 12, 4)
        memcpy(out + 19, digits + 16, 4)
        memcpy(out + 24, digits + 20, 12)
        out[8] = out[13] = out[18] = out[23] = c"-"
        return text

    cdef bytes hex128(self):
        cdef bytes text = PyBytes_FromStringAndSize(NULL, 32)
        cdef uint64_t high = self.word(), low = self.word()
        if high == 0 and low == 0:
            low = 1
        write_hex(PyBytes_AS_STRING(text), high)
        write_hex(PyBytes_AS_STRING(text) + 16, low)
        return text

    def make_uuid7(self, milliseconds=None):
        """Return a UUID of version 7 (RFC 9562) as text; without a time (ms since 1970), of now."""
        return self.uuid7(realtime_ns() // 1000000 if milliseconds is None else milliseconds)

    def make_hex(self):
        """Return 128 random bits as 32 lower-case hex digits, never all zero."""
        return self.hex128()


def _next_generation():
    global generation
    generation += 1


os.register_at_fork(after_in_child=_next_generation)
