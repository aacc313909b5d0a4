# Hash bytes with SHA-256 (FIPS 180-4).
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    HASH_SIZE = 32
    BLOCK = 64

cdef struct Sha256:            # a hash under way
    uint32_t[8] state
    uint64_t counted           # bytes taken in
    char[BLOCK] rest           # bytes not taken in yet
    uint32_t held              # of them
    bint plain                 # without the processor's instructions

cdef void sha256_begin(Sha256* hash) noexcept nogil
cdef void sha256_add(Sha256* hash, const char* data, Py_ssize_t size) noexcept nogil
# Each writes HASH_SIZE bytes to `out`.
cdef void sha256_end(Sha256* hash, char* out) noexcept nogil
cdef void sha256(const char* data, Py_ssize_t size, char* out) noexcept nogil
