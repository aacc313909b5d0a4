"""Classify bytes and find the first that does not belong: the tables and scanners under the HTTP parsers.

Each class below is one line of its RFC. A scanner returns the first position in [p, end) that is outside its
class, or `end`; it never reads at or past `end`. Everything is static and inlined into each module that
cimports it.

PERF: bench/parse.py. Eight bytes a step in plain C, the rest through the table. SSE2 was measured: 10 ns less
on a short head, 70 ns less on a browser's; not worth a second way through every scanner.
"""

from libc.stdint cimport int8_t, uint64_t

cdef extern from *:
    """
    #ifndef AGORA_CHARS
    #define AGORA_CHARS
    #include <stdint.h>
    #include <string.h>

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

    /* Eight bytes at once: whether any is below n (n <= 128), or equals c. */
    #define AGORA_ONES (~(uint64_t)0 / 255)
    #define AGORA_ANY_BELOW(w, n) (((w) - AGORA_ONES * (n)) & ~(w) & AGORA_ONES * 128)
    #define AGORA_ANY_EQUAL(w, c) AGORA_ANY_BELOW((w) ^ AGORA_ONES * (c), 1)

    static inline const char *scan_target(const char *p, const char *end) {
        for (uint64_t w; end - p >= 8; p += 8) {
            memcpy(&w, p, 8);
            if ((w & AGORA_ONES * 128) || AGORA_ANY_BELOW(w, 0x21) || AGORA_ANY_EQUAL(w, 0x7f) ||
                AGORA_ANY_EQUAL(w, '#')) break;
        }
        return scan_class(p, end, CHAR_TARGET);
    }

    static inline const char *scan_value(const char *p, const char *end) {
        for (uint64_t w; end - p >= 8; p += 8) {
            memcpy(&w, p, 8);
            if (AGORA_ANY_BELOW(w, 0x20) || AGORA_ANY_EQUAL(w, 0x7f)) break;
        }
        return scan_class(p, end, CHAR_VALUE);
    }

    /* The end of a field name; adds CHAR_UNDERSCORE to *seen when the name holds one. */
    static inline const char *scan_name(const char *p, const char *end, unsigned *seen) {
        unsigned char c;
        while (p < end && ((c = CHARS[AGORA_BYTE(p)]) & CHAR_TOKEN)) {
            *seen |= c & CHAR_UNDERSCORE;
            p++;
        }
        return p;
    }

    /* Whether n token bytes are `known`, made of lower-case letters, digits and '-', but for case.
       NOTE: OR-ing 0x20 is exact: no other token byte becomes one of those. */
    static inline int same_known_name(const char *name, const char *known, size_t n) {
        uint64_t a, b;
        size_t i = 0;
        if (n >= 8) {
            for (;; i += 8) {
                if (i > n - 8) i = n - 8; /* the last eight may overlap those before */
                memcpy(&a, name + i, 8);
                memcpy(&b, known + i, 8);
                if ((a | AGORA_ONES * 0x20) != b) return 0;
                if (i == n - 8) return 1;
            }
        }
        for (; i < n; i++)
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
    bint same_known_name(const char* name, const char* known, size_t n) noexcept nogil
