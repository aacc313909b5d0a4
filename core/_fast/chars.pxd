"""Classify bytes and find the first byte that does not belong: the tables and scanners under the HTTP
parsers.

Each class below is one line of its RFC. A scanner returns the first position in [p, end) that is outside
its class, or `end`; it never reads at or past `end`. Everything is static and inlined into each module that
cimports it.

PERF: bench/parse.py. Sixteen bytes a step with SSE2 where the compiler has it, the table otherwise.
"""

from libc.stdint cimport int8_t, uint64_t

cdef extern from *:
    """
    #ifndef AGORA_CHARS
    #define AGORA_CHARS
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    #define CHAR_TOKEN 1      /* RFC 9110 5.6.2 tchar */
    #define CHAR_UNDERSCORE 2 /* '_' : a token byte that CGI-like servers confuse with '-' */
    #define CHAR_TARGET 4     /* visible ASCII but '#': what a request target may hold */
    #define CHAR_VALUE 8      /* RFC 9110 5.5: HTAB, SP, VCHAR, obs-text */
    #define CHAR_UNRESERVED 16 /* RFC 3986 2.3; also all that a host name may hold here */
    #define CHAR_PLAIN 32     /* path bytes that normalising never touches: visible ASCII but % / \\\\ # ? */

    #define AGORA_IN(c, a, b) ((c) >= (a) && (c) <= (b))
    #define AGORA_ALNUM(c) (AGORA_IN(c, '0', '9') || AGORA_IN(c, 'a', 'z') || AGORA_IN(c, 'A', 'Z'))
    #define AGORA_TCHAR(c) (AGORA_ALNUM(c) || (c) == '!' || AGORA_IN(c, '#', '\\'') || (c) == '*' || \\
        (c) == '+' || (c) == '-' || (c) == '.' || AGORA_IN(c, '^', '`') || (c) == '|' || (c) == '~')
    #define AGORA_SAFE(c) (AGORA_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
    #define AGORA_CLEAR(c) (AGORA_IN(c, 0x21, 0x7e) && (c) != '%' && (c) != '/' && (c) != '\\\\' && \\
        (c) != '#' && (c) != '?')
    #define AGORA_1(c) (AGORA_TCHAR(c) * CHAR_TOKEN | ((c) == '_') * CHAR_UNDERSCORE | \\
        (AGORA_IN(c, 0x21, 0x7e) && (c) != '#') * CHAR_TARGET | \\
        ((c) == 9 || AGORA_IN(c, 0x20, 0x7e) || (c) >= 0x80) * CHAR_VALUE | \\
        AGORA_SAFE(c) * CHAR_UNRESERVED | AGORA_CLEAR(c) * CHAR_PLAIN)
    #define AGORA_HEX(c) (AGORA_IN(c, '0', '9') ? (c) - '0' : AGORA_IN(c, 'a', 'f') ? (c) - 'a' + 10 : \\
        AGORA_IN(c, 'A', 'F') ? (c) - 'A' + 10 : -1)
    #define AGORA_4(f, c) f(c), f((c) + 1), f((c) + 2), f((c) + 3)
    #define AGORA_16(f, c) AGORA_4(f, c), AGORA_4(f, (c) + 4), AGORA_4(f, (c) + 8), AGORA_4(f, (c) + 12)
    #define AGORA_64(f, c) AGORA_16(f, c), AGORA_16(f, (c) + 16), AGORA_16(f, (c) + 32), AGORA_16(f, (c) + 48)
    #define AGORA_256(f) AGORA_64(f, 0), AGORA_64(f, 64), AGORA_64(f, 128), AGORA_64(f, 192)

    static const unsigned char CHARS[256] __attribute__((unused)) = { AGORA_256(AGORA_1) };
    static const signed char HEX[256] __attribute__((unused)) = { AGORA_256(AGORA_HEX) };

    #define AGORA_BYTE(p) (*(const unsigned char *)(p))

    static inline unsigned char lower_char(unsigned char c) {
        return c | ((unsigned char)(c - 'A') < 26) << 5;
    }

    static inline int equal_ignoring_case(const char *a, const char *b, size_t n) {
        for (size_t i = 0; i < n; i++)
            if (a[i] != b[i] && lower_char(AGORA_BYTE(a + i)) != lower_char(AGORA_BYTE(b + i))) return 0;
        return 1;
    }

    static inline const char *scan_class(const char *p, const char *end, unsigned char wanted) {
        while (p < end && (CHARS[AGORA_BYTE(p)] & wanted)) p++;
        return p;
    }

    static inline const char *scan_target(const char *p, const char *end) {
    #if defined(__SSE2__)
        while (end - p >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)p);
            /* signed: bytes from 0x80 up are negative, so they fail with the controls */
            __m128i good = _mm_cmpgt_epi8(v, _mm_set1_epi8(0x20));
            __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)),
                                       _mm_cmpeq_epi8(v, _mm_set1_epi8('#')));
            unsigned mask = (unsigned)_mm_movemask_epi8(_mm_andnot_si128(bad, good)) ^ 0xffffu;
            if (mask) return p + __builtin_ctz(mask);
            p += 16;
        }
    #endif
        return scan_class(p, end, CHAR_TARGET);
    }

    static inline const char *scan_value(const char *p, const char *end) {
    #if defined(__SSE2__)
        while (end - p >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)p);
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
            __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8(9));
            __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
            unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
            if (mask) return p + __builtin_ctz(mask);
            p += 16;
        }
    #endif
        return scan_class(p, end, CHAR_VALUE);
    }

    /* The end of a field name; adds CHAR_UNDERSCORE to *seen when the name holds one. */
    static inline const char *scan_name(const char *p, const char *end, unsigned *seen) {
        unsigned char c;
    #if defined(__SSE2__)
        while (end - p >= 16) {
            /* letters, digits and '-' at once; anything rarer is left to the table */
            __m128i v = _mm_loadu_si128((const __m128i *)p);
            __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));
            __m128i alpha = _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)),
                                          _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), low));
            __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
                                          _mm_cmpgt_epi8(_mm_set1_epi8('9' + 1), v));
            __m128i good = _mm_or_si128(_mm_or_si128(alpha, digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
            unsigned mask = (unsigned)_mm_movemask_epi8(good) ^ 0xffffu;
            if (mask) {
                p += __builtin_ctz(mask);
                if (*p == ':') return p;
                break;
            }
            p += 16;
        }
    #endif
        while (p < end && ((c = CHARS[AGORA_BYTE(p)]) & CHAR_TOKEN)) {
            *seen |= c & CHAR_UNDERSCORE;
            p++;
        }
        return p;
    }

    /* Whether n (<= 32) token bytes are `known` (32 bytes: lower case letters, digits, '-', padding) but for case.
       NOTE: OR-ing 0x20 is exact: no other token byte becomes one of those. `end` bounds the wide reads. */
    static inline int same_known_name(const char *name, const char *known, size_t n, const char *end) {
    #if defined(__SSE2__)
        if (end - name >= 32) {
            __m128i bit = _mm_set1_epi8(0x20);
            __m128i a = _mm_or_si128(_mm_loadu_si128((const __m128i *)name), bit);
            __m128i b = _mm_or_si128(_mm_loadu_si128((const __m128i *)(name + 16)), bit);
            __m128i c = _mm_loadu_si128((const __m128i *)known);
            __m128i d = _mm_loadu_si128((const __m128i *)(known + 16));
            uint64_t same = (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, c));
            same |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(b, d)) << 16;
            return (~same & (((uint64_t)1 << n) - 1)) == 0;
        }
    #endif
        for (size_t i = 0; i < n; i++)
            if ((name[i] | 0x20) != known[i]) return 0;
        return 1;
    }
    #endif
    """
    const unsigned char CHARS[256]
    const int8_t HEX[256]
    enum:
        CHAR_TOKEN
        CHAR_UNDERSCORE
        CHAR_TARGET
        CHAR_VALUE
        CHAR_UNRESERVED
        CHAR_PLAIN

    unsigned char lower_char(unsigned char c) noexcept nogil
    bint equal_ignoring_case(const char* a, const char* b, size_t n) noexcept nogil
    const char* scan_class(const char* p, const char* end, unsigned char wanted) noexcept nogil
    const char* scan_target(const char* p, const char* end) noexcept nogil
    const char* scan_value(const char* p, const char* end) noexcept nogil
    const char* scan_name(const char* p, const char* end, unsigned int* seen) noexcept nogil
    bint same_known_name(const char* name, const char* known, size_t n, const char* end) noexcept nogil
