# Hash bytes under a secret: SipHash-1-3, whose collisions cannot be found without the secret.
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef inline uint64_t _turn(uint64_t word, int bits) noexcept nogil:
    return (word << bits) | (word >> (64 - bits))


cdef inline void _round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = _turn(v[1], 13) ^ v[0]
    v[3] = _turn(v[3], 16) ^ v[2]
    v[0] = _turn(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = _turn(v[1], 17) ^ v[2]
    v[3] = _turn(v[3], 21) ^ v[0]
    v[2] = _turn(v[2], 32)


cdef inline uint64_t siphash(uint64_t secret_low, uint64_t secret_high,
                             const char* data, Py_ssize_t size) noexcept nogil:
    cdef uint64_t[4] v
    cdef uint64_t word
    cdef Py_ssize_t left = size
    v[0] = secret_low ^ <uint64_t>0x736f6d6570736575
    v[1] = secret_high ^ <uint64_t>0x646f72616e646f6d
    v[2] = secret_low ^ <uint64_t>0x6c7967656e657261
    v[3] = secret_high ^ <uint64_t>0x7465646279746573
    while left >= 8:
        memcpy(&word, data, 8)
        v[3] ^= word
        _round(v)
        v[0] ^= word
        data += 8
        left -= 8
    word = 0
    memcpy(&word, data, left)
    word |= <uint64_t>size << 56
    v[3] ^= word
    _round(v)
    v[0] ^= word
    v[2] ^= 0xff
    _round(v)
    _round(v)
    _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
