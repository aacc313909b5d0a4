"""Normalise a request path once, so that what is matched and authorised is what is forwarded.

Rule: unreserved bytes are never escaped, other escapes have upper-case digits, there are no empty segments
but a trailing one and no dot segments, nothing climbs above the root. Refused: raw control, space and non-
ASCII bytes, a raw backslash, malformed escapes, escaped control bytes, escapes that are not UTF-8, and dot
segments that only appear once %2F, %5C or a path parameter is taken for a separator, as some servers do.
%2F and %5C stay as they are. Called by the connections and the ASGI door before routing.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from core._fast.chars cimport CHAR_PLAIN, CHAR_UNRESERVED, CHARS, HEX, scan_class
from core._fast.head cimport (
    P_PATH_BACKSLASH, P_PATH_CHARACTER, P_PATH_DOTS_HIDDEN, P_PATH_ESCAPE_CONTROL, P_PATH_ESCAPE_MALFORMED,
    P_PATH_FORM, P_PATH_NOT_UTF8,
)

cdef struct Utf8:
    int left            # continuation bytes still due
    int low             # bounds of the next one
    int high


cdef inline bint is_normal(const char* path, const char* end) noexcept nogil:
    """Tell whether a path is surely normal: plain segments, none starts with a dot, single slashes."""
    cdef const char* p = path
    cdef const char* stop
    while p < end and p[0] == c'/':
        stop = scan_class(p + 1, end, CHAR_PLAIN)
        if stop < end and (stop[0] != c'/' or stop == p + 1):
            return False
        if stop > p + 1 and p[1] == c'.':
            return False
        p = stop
    return p == end


cdef bint step_utf8(Utf8* state, int byte) noexcept nogil:
    """Take one decoded byte from 0x80 up; return False where UTF-8 breaks (RFC 3629 section 4)."""
    if state.left:
        if byte < state.low or byte > state.high:
            return False
        state.left -= 1
        state.low = 0x80
        state.high = 0xbf
        return True
    state.low = 0xa0 if byte == 0xe0 else 0x90 if byte == 0xf0 else 0x80
    state.high = 0x9f if byte == 0xed else 0x8f if byte == 0xf4 else 0xbf
    state.left = 1 if byte < 0xe0 else 2 if byte < 0xf0 else 3
    return 0xc2 <= byte <= 0xf4


cdef bint hides_dots(const char* start, const char* end) noexcept nogil:
    """Tell whether a part is a dot segment to a server that splits at %2F or %5C or cuts at ';'."""
    cdef const char* p = start
    cdef const char* part = start
    cdef bint named = False     # the part's name ended at a ';'
    cdef Py_ssize_t n
    while True:
        if p == end or p[0] == c';' or (p[0] == c'%' and (
            (p[1] == c'2' and p[2] == c'F') or (p[1] == c'5' and p[2] == c'C')
        )):
            n = p - part
            if not named and (n == 1 or n == 2) and part[0] == c'.' and part[n - 1] == c'.':
                return True
            if p == end:
                return False
            named = p[0] == c';'
            p += 1 if named else 3
            part = p
        else:
            p += 1


cdef inline Py_ssize_t end_segment(char* out, Py_ssize_t start, Py_ssize_t o, bint last) noexcept nogil:
    """Resolve the segment at out[start:o], which follows a slash; return the new length of the output."""
    cdef Py_ssize_t n = o - start
    if n == 0:
        return o
    if n == 1 and out[start] == c'.':
        return start
    if n == 2 and out[start] == c'.' and out[start + 1] == c'.':
        o = start - 1 if start > 1 else start
        while out[o - 1] != c'/':
            o -= 1
        return o
    if not last:
        out[o] = c'/'
        o += 1
    return o


cdef Py_ssize_t take_escape(const char* p, const char* end, char* out, Utf8* utf8) noexcept nogil:
    """Copy one percent escape, decoded when unreserved; return the bytes written or a negated problem."""
    cdef int high, low, byte
    if end - p < 3:
        return -P_PATH_ESCAPE_MALFORMED
    high = HEX[<unsigned char>p[1]]
    low = HEX[<unsigned char>p[2]]
    if high < 0 or low < 0:
        return -P_PATH_ESCAPE_MALFORMED
    byte = high << 4 | low
    if byte < 0x20 or byte == 0x7f:
        return -P_PATH_ESCAPE_CONTROL
    if byte >= 0x80 or utf8.left:
        if byte < 0x80 or not step_utf8(utf8, byte):
            return -P_PATH_NOT_UTF8
    if CHARS[byte] & CHAR_UNRESERVED:
        out[0] = <char>byte
        return 1
    out[0] = c'%'
    out[1] = b"0123456789ABCDEF"[high]
    out[2] = b"0123456789ABCDEF"[low]
    return 3


cdef Py_ssize_t rewrite(const char* path, const char* end, char* out) noexcept nogil:
    """Write the normal form of a path that starts with a slash; return its length or a negated problem."""
    cdef const char* p = path + 1
    cdef Py_ssize_t o = 1, start = 1, n
    cdef bint parts = False     # this segment holds something that hides_dots must look into
    cdef Utf8 utf8
    utf8.left = utf8.low = utf8.high = 0
    out[0] = c'/'
    while True:
        if p < end and p[0] == c'%':
            n = take_escape(p, end, out + o, &utf8)
            if n < 0:
                return n
            parts = parts or n == 3
            o += n
            p += 3
            continue
        if utf8.left:
            return -P_PATH_NOT_UTF8
        if p == end or p[0] == c'/':
            if parts and hides_dots(out + start, out + o):
                return -P_PATH_DOTS_HIDDEN
            o = end_segment(out, start, o, p == end)
            if p == end:
                return o
            start = o
            parts = False
        elif CHARS[<unsigned char>p[0]] & CHAR_PLAIN:
            parts = parts or p[0] == c';'
            out[o] = p[0]
            o += 1
        else:
            return -P_PATH_BACKSLASH if p[0] == c'\\' else -P_PATH_CHARACTER
        p += 1


cdef Py_ssize_t normalise_path(const char* path, Py_ssize_t n, char* out) noexcept nogil:
    """Normalise a path; see path.pxd for what is returned."""
    cdef Py_ssize_t length
    if n == 0 or path[0] != c'/':
        return 0 if n == 1 and path[0] == c'*' else -P_PATH_FORM
    if is_normal(path, path + n):
        return 0
    length = rewrite(path, path + n, out)
    return 0 if length == n and memcmp(out, path, n) == 0 else length


def normalise(path):
    """Return the normal form of a path, or the ParseProblem (an int above 0) for which it is refused."""
    view = memoryview(path).cast("B")
    cdef const char* start = <const char*>PyMemoryView_GET_BUFFER(view).buf
    cdef Py_ssize_t n = len(view), length
    cdef char* out = <char*>malloc(n + 1)
    if out == NULL:
        raise MemoryError
    try:
        length = normalise_path(start, n, out)
        if length == 0:
            return bytes(view)
        return -length if length < 0 else PyBytes_FromStringAndSize(out, length)
    finally:
        free(out)


def normalise_repeatedly(bytes path not None, int rounds):
    """Normalise the same path so many times: the loop under bench/parse.py."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(path), length = 0
    cdef char* out = <char*>malloc(n + 1)
    cdef int _
    if out == NULL:
        raise MemoryError
    for _ in range(rounds):
        length = normalise_path(PyBytes_AS_STRING(path), n, out)
    free(out)
    return length
