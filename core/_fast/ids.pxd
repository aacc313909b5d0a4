# Make identifiers: unguessable random words, and their text.
from libc.stdint cimport int64_t, uint64_t

cdef class IdSource:
    cdef uint64_t secret_low, secret_high, drawn
    cdef uint64_t generation       # of the process in which the secret was drawn
    cdef bint fixed                # a seed was given: the same words each time

    cdef int draw_secret(self) except -1
    cdef uint64_t word(self) except? 0     # 64 random bits
    cdef bytes uuid7(self, int64_t milliseconds)   # 36 bytes of text
    cdef bytes hex128(self)        # 32 lower-case hex digits, not all zero

# Writes 16 lower-case hex digits.
cdef void write_hex(char* out, uint64_t word) noexcept nogil
