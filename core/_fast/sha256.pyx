"""Hash bytes with SHA-256 (FIPS 180-4): the chain of the event log's records.

The rule it guards: who changes a record, however cleverly, changes its hash. Written out here because the
writer hashes without the GIL, where hashlib cannot be called. By the processor's instructions, or plainly where it
has none. Called by core/_fast/envelope. PERF: bench/event_codec.py.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy, memset

cdef extern from "<endian.h>" nogil:
    uint32_t htobe32(uint32_t word)
    uint64_t htobe64(uint64_t word)

cdef extern from *:
    """
    #include <endian.h>
    #include <string.h>

    /* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
    static const uint32_t AGORA_ROOTS[64] __attribute__((aligned(16))) = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };

    #define AGORA_TURN32(word, bits) (((word) >> (bits)) | ((word) << (32 - (bits))))

    static void agora_sha256_plainly(uint32_t *state, const char *data, Py_ssize_t blocks)
    {
        uint32_t w[64], s[8], one, two;
        int i;
        for (; blocks > 0; blocks--, data += 64) {
            memcpy(w, data, 64);
            memcpy(s, state, 32);
            for (i = 0; i < 16; i++)
                w[i] = be32toh(w[i]);
            for (; i < 64; i++) {
                one = AGORA_TURN32(w[i - 15], 7) ^ AGORA_TURN32(w[i - 15], 18) ^ (w[i - 15] >> 3);
                two = AGORA_TURN32(w[i - 2], 17) ^ AGORA_TURN32(w[i - 2], 19) ^ (w[i - 2] >> 10);
                w[i] = w[i - 16] + one + w[i - 7] + two;
            }
            for (i = 0; i < 64; i++) {
                one = AGORA_TURN32(s[4], 6) ^ AGORA_TURN32(s[4], 11) ^ AGORA_TURN32(s[4], 25);
                one += s[7] + ((s[4] & s[5]) ^ (~s[4] & s[6])) + AGORA_ROOTS[i] + w[i];
                two = AGORA_TURN32(s[0], 2) ^ AGORA_TURN32(s[0], 13) ^ AGORA_TURN32(s[0], 22);
                two += (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
                memmove(s + 1, s, 28);
                s[4] += one;
                s[0] = one + two;
            }
            for (i = 0; i < 8; i++)
                state[i] += s[i];
        }
    }

    #if defined(__x86_64__)
    #include <cpuid.h>
    #include <immintrin.h>

    static int agora_has_sha256(void)
    {
        unsigned int a, b, c, d;
        return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
    }

    /* The instructions keep the state as (a, b, e, f) and (c, d, g, h), highest first; each makes two rounds. */
    __attribute__((target("sha,sse4.1")))
    static void agora_sha256_by_processor(uint32_t *state, const char *data, Py_ssize_t blocks)
    {
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i abef = _mm_set_epi32(state[0], state[1], state[4], state[5]);
        __m128i cdgh = _mm_set_epi32(state[2], state[3], state[6], state[7]);
        uint32_t out[8];
        for (; blocks > 0; blocks--, data += 64) {
            __m128i abef_before = abef, cdgh_before = cdgh, w[4], words;
            #pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data + i), big_endian);
            #pragma GCC unroll 16
            for (int i = 0; i < 16; i++) {
                words = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)AGORA_ROOTS + i));
                cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
                abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
                if (i < 12) {
                    __m128i older = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                    older = _mm_add_epi32(older, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                    w[i & 3] = _mm_sha256msg2_epu32(older, w[(i + 3) & 3]);
                }
            }
            abef = _mm_add_epi32(abef, abef_before);
            cdgh = _mm_add_epi32(cdgh, cdgh_before);
        }
        _mm_storeu_si128((__m128i *)out, abef);
        _mm_storeu_si128((__m128i *)(out + 4), cdgh);
        state[0] = out[3]; state[1] = out[2]; state[4] = out[1]; state[5] = out[0];
        state[2] = out[7]; state[3] = out[6]; state[6] = out[5]; state[7] = out[4];
    }
    #else
    static int agora_has_sha256(void) { return 0; }
    #define agora_sha256_by_processor agora_sha256_plainly
    #endif
    """
    bint by_processor_here "agora_has_sha256"() noexcept nogil
    void by_processor "agora_sha256_by_processor"(uint32_t* state, const char* data, Py_ssize_t blocks) noexcept nogil
    void plainly "agora_sha256_plainly"(uint32_t* state, const char* data, Py_ssize_t blocks) noexcept nogil

# The first 32 bits of the fractional parts of the square roots of the first eight primes.
cdef uint32_t[8] START = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]

cdef bint has_instructions = by_processor_here()


cdef inline void _take(Sha256* hash, const char* data, Py_ssize_t blocks) noexcept nogil:
    if has_instructions and not hash.plain:
        by_processor(hash.state, data, blocks)
    else:
        plainly(hash.state, data, blocks)
    hash.counted += <uint64_t>(blocks * BLOCK)


cdef void sha256_begin(Sha256* hash) noexcept nogil:
    memcpy(hash.state, START, sizeof(hash.state))
    hash.counted = 0
    hash.held = 0
    hash.plain = False


cdef void sha256_add(Sha256* hash, const char* data, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t room = BLOCK - hash.held
    cdef Py_ssize_t blocks
    if hash.held and size >= room:
        memcpy(&hash.rest[hash.held], data, room)
        _take(hash, hash.rest, 1)
        hash.held = 0
        data += room
        size -= room
    if hash.held == 0 and size >= BLOCK:
        blocks = size // BLOCK
        _take(hash, data, blocks)
        data += blocks * BLOCK
        size -= blocks * BLOCK
    memcpy(&hash.rest[hash.held], data, size)
    hash.held += <uint32_t>size


cdef void sha256_end(Sha256* hash, char* out) noexcept nogil:
    cdef uint64_t bits = htobe64((hash.counted + hash.held) * 8)
    cdef int i
    hash.rest[hash.held] = <char>0x80
    memset(&hash.rest[hash.held + 1], 0, BLOCK - hash.held - 1)
    if hash.held >= BLOCK - 8:
        _take(hash, hash.rest, 1)
        memset(hash.rest, 0, BLOCK)
    memcpy(&hash.rest[BLOCK - 8], &bits, 8)
    _take(hash, hash.rest, 1)
    for i in range(8):
        hash.state[i] = htobe32(hash.state[i])
    memcpy(out, hash.state, HASH_SIZE)


cdef void sha256(const char* data, Py_ssize_t size, char* out) noexcept nogil:
    cdef Sha256 hash
    sha256_begin(&hash)
    sha256_add(&hash, data, size)
    sha256_end(&hash, out)


def digest(*pieces, bint plain=False):
    """Return the hash of bytes that come in pieces, 32 bytes long; ``plain``: without the instructions."""
    cdef Py_buffer view
    cdef Sha256 hash
    cdef char[HASH_SIZE] out
    sha256_begin(&hash)
    hash.plain = plain
    for piece in pieces:
        PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        sha256_add(&hash, <const char*>view.buf, view.len)
        PyBuffer_Release(&view)
    sha256_end(&hash, out)
    return out[:HASH_SIZE]


def digest_repeatedly(data, Py_ssize_t times):
    """Hash the same bytes ``times`` times, for bench/event_codec.py."""
    cdef Py_buffer view
    cdef char[HASH_SIZE] out
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    for _ in range(times):
        sha256(<const char*>view.buf, view.len, out)
    PyBuffer_Release(&view)
    return out[:HASH_SIZE]
