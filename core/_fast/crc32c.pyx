"""Check bytes with CRC-32C (Castagnoli): by the processor's instruction, or by tables where it has none.

The rule it guards: every single flipped bit, and every run of up to 32 damaged bits, changes the result.
Called by core/_fast/envelope for each record. PERF: bench/event_codec.py.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t word)

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <nmmintrin.h>
    #define agora_has_crc32c() (__builtin_cpu_supports("sse4.2") != 0)
    __attribute__((target("sse4.2")))
    static uint32_t agora_crc32c(uint32_t crc, const char *data, Py_ssize_t size)
    {
        uint64_t wide = (uint32_t)~crc, word;
        for (; size >= 8; data += 8, size -= 8) {
            memcpy(&word, data, 8);
            wide = _mm_crc32_u64(wide, word);
        }
        for (crc = (uint32_t)wide; size > 0; data++, size--)
            crc = _mm_crc32_u8(crc, (unsigned char)*data);
        return ~crc;
    }
    #else
    #define agora_has_crc32c() 0
    static uint32_t agora_crc32c(uint32_t crc, const char *data, Py_ssize_t size) { return 0; }
    #endif
    """
    bint by_processor_here "agora_has_crc32c"() noexcept nogil
    uint32_t by_processor "agora_crc32c"(uint32_t crc, const char* data, Py_ssize_t size) noexcept nogil

cdef enum:
    POLYNOMIAL = 0x82f63b78        # 0x1edc6f41, lowest bit first

# TABLES[n][byte]: what the byte does to the CRC when n further bytes follow it.
cdef uint32_t[8][256] TABLES
cdef bint has_instruction


cdef void fill_tables() noexcept:
    cdef uint32_t crc
    cdef int byte, i
    for byte in range(256):
        crc = <uint32_t>byte
        for _ in range(8):
            crc = (crc >> 1) ^ (<uint32_t>POLYNOMIAL if crc & 1 else 0)
        TABLES[0][byte] = crc
    for byte in range(256):
        for i in range(1, 8):
            crc = TABLES[i - 1][byte]
            TABLES[i][byte] = (crc >> 8) ^ TABLES[0][crc & 0xff]


fill_tables()
has_instruction = by_processor_here()


cdef uint32_t by_tables(uint32_t crc, const char* data, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word
    crc = ~crc
    while size >= 8:
        memcpy(&word, data, 8)
        word = le64toh(word) ^ crc
        crc = (TABLES[7][word & 0xff] ^ TABLES[6][(word >> 8) & 0xff]
               ^ TABLES[5][(word >> 16) & 0xff] ^ TABLES[4][(word >> 24) & 0xff]
               ^ TABLES[3][(word >> 32) & 0xff] ^ TABLES[2][(word >> 40) & 0xff]
               ^ TABLES[1][(word >> 48) & 0xff] ^ TABLES[0][word >> 56])
        data += 8
        size -= 8
    while size > 0:
        crc = (crc >> 8) ^ TABLES[0][(crc ^ <uint8_t>data[0]) & 0xff]
        data += 1
        size -= 1
    return ~crc


cdef uint32_t crc32c(uint32_t crc, const char* data, Py_ssize_t size) noexcept nogil:
    if has_instruction:
        return by_processor(crc, data, size)
    return by_tables(crc, data, size)


def checksum(data, unsigned int before=0, *, bint tables=False):
    """Return the CRC of bytes that follow those whose CRC is ``before``; ``tables``: without the instruction."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef uint32_t crc
    if tables:
        crc = by_tables(before, <const char*>view.buf, view.len)
    else:
        crc = crc32c(before, <const char*>view.buf, view.len)
    PyBuffer_Release(&view)
    return crc
