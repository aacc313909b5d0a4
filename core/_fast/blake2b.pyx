"""Hash bytes with BLAKE2b (RFC 7693), unkeyed, 32 bytes out: the chain of the event log's records.

The rule it guards: who changes a record, however cleverly, changes its hash. Written out here because the
writer hashes without the GIL, where hashlib cannot be called. Called by core/_fast/envelope.
PERF: bench/event_codec.py.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t word)
    uint64_t htole64(uint64_t word)

cdef extern from *:
    """
    #define AGORA_TURN(word, bits) (((word) >> (bits)) | ((word) << (64 - (bits))))

    static inline __attribute__((always_inline))
    void agora_mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
    {
        v[a] += v[b] + x;
        v[d] = AGORA_TURN(v[d] ^ v[a], 32);
        v[c] += v[d];
        v[b] = AGORA_TURN(v[b] ^ v[c], 24);
        v[a] += v[b] + y;
        v[d] = AGORA_TURN(v[d] ^ v[a], 16);
        v[c] += v[d];
        v[b] = AGORA_TURN(v[b] ^ v[c], 63);
    }

    /* PERF: always inlined, so that every index is a constant: no order of words is looked up while running. */
    static inline __attribute__((always_inline))
    void agora_round(uint64_t *v, const uint64_t *m, int i0, int i1, int i2, int i3, int i4, int i5, int i6, int i7,
                     int i8, int i9, int i10, int i11, int i12, int i13, int i14, int i15)
    {
        agora_mix(v, 0, 4, 8, 12, m[i0], m[i1]);
        agora_mix(v, 1, 5, 9, 13, m[i2], m[i3]);
        agora_mix(v, 2, 6, 10, 14, m[i4], m[i5]);
        agora_mix(v, 3, 7, 11, 15, m[i6], m[i7]);
        agora_mix(v, 0, 5, 10, 15, m[i8], m[i9]);
        agora_mix(v, 1, 6, 11, 12, m[i10], m[i11]);
        agora_mix(v, 2, 7, 8, 13, m[i12], m[i13]);
        agora_mix(v, 3, 4, 9, 14, m[i14], m[i15]);
    }
    """
    # One round; what follows `m` is the order in which it takes the block's words.
    void mix_words "agora_round"(
        uint64_t* v, const uint64_t* m, int i0, int i1, int i2, int i3, int i4, int i5, int i6, int i7,
        int i8, int i9, int i10, int i11, int i12, int i13, int i14, int i15) noexcept nogil

cdef enum:
    BLOCK = 128

# The first 64 bits of the fractional parts of the square roots of the first eight primes.
cdef uint64_t[8] START = [
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
]


cdef void _compress(uint64_t* h, const char* block, uint64_t counted, bint last) noexcept nogil:
    """Take one block in; ``counted``: bytes hashed so far, this block's own included (below 2**64)."""
    cdef uint64_t[16] m
    cdef uint64_t[16] v
    cdef int i
    memcpy(m, block, BLOCK)
    for i in range(16):
        m[i] = le64toh(m[i])
    for i in range(8):
        v[i] = h[i]
        v[i + 8] = START[i]
    v[12] ^= counted
    if last:
        v[14] = ~v[14]
    mix_words(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    mix_words(v, m, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    mix_words(v, m, 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
    mix_words(v, m, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
    mix_words(v, m, 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
    mix_words(v, m, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
    mix_words(v, m, 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
    mix_words(v, m, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
    mix_words(v, m, 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
    mix_words(v, m, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
    mix_words(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    mix_words(v, m, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    for i in range(8):
        h[i] ^= v[i] ^ v[i + 8]


cdef void blake2b_256(const char* data, Py_ssize_t size, char* out) noexcept nogil:
    cdef uint64_t[8] h
    cdef char[BLOCK] rest
    cdef uint64_t counted = 0
    cdef int i
    memcpy(h, START, sizeof(h))
    h[0] ^= 0x01010000 ^ HASH_SIZE     # no key, one sequence, HASH_SIZE bytes out
    while size > BLOCK:
        counted += BLOCK
        _compress(h, data, counted, False)
        data += BLOCK
        size -= BLOCK
    memset(rest, 0, BLOCK)
    memcpy(rest, data, size)
    _compress(h, rest, counted + <uint64_t>size, True)
    for i in range(HASH_SIZE // 8):
        h[i] = htole64(h[i])
    memcpy(out, h, HASH_SIZE)


def digest(data):
    """Return the hash of bytes, 32 bytes long."""
    cdef Py_buffer view
    cdef char[HASH_SIZE] out
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    blake2b_256(<const char*>view.buf, view.len, out)
    PyBuffer_Release(&view)
    return out[:HASH_SIZE]


def digest_repeatedly(data, Py_ssize_t times):
    """Hash the same bytes ``times`` times, for bench/event_codec.py."""
    cdef Py_buffer view
    cdef char[HASH_SIZE] out
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    for _ in range(times):
        blake2b_256(<const char*>view.buf, view.len, out)
    PyBuffer_Release(&view)
    return out[:HASH_SIZE]
