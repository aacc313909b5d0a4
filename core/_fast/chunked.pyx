"""Decode a chunked body as it comes, in pieces of any size, without copying it.

Rule: a chunk is exactly `hex [";" extension] CRLF data CRLF`; extensions are dropped, bounded in all;
trailer fields are kept apart, bounded, and lose every name that a recipient acts on before the body
(framing, routing, credentials, content). Called by the connections on both sides.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy

from core._fast.chars cimport HEX, scan_value
from core._fast.fields cimport OF_TRAILERS, parse_fields
from core._fast.head cimport (
    P_BARE_CR, P_BARE_LF, P_CHUNK_END_MALFORMED, P_CHUNK_EXTENSION_CHARACTER, P_CHUNK_EXTENSIONS_TOO_LARGE,
    P_CHUNK_SIZE_MALFORMED, P_CHUNK_SIZE_OVERFLOW, P_TRAILERS_TOO_LARGE,
)
from core._fast.headers cimport (
    FIELD_FORWARDING, FIELD_FRAMING, FIELD_HOP_BY_HOP, FIELD_IDENTITY, FIELD_NO_TRAILER, FIELD_UNDERSCORE,
    Headers,
)

cdef enum State:
    IN_SIZE = 0
    IN_EXTENSION
    AT_SIZE_LF
    IN_DATA
    AT_DATA_CR
    AT_DATA_LF
    AT_TRAILER      # after the last chunk's line
    AT_LAST_LF
    IN_TRAILER
    AT_END

cdef enum:
    MOST_DIGITS = 16
    MOST_TRAILER_FIELDS = 64
    NEVER_TRAILERS = (
        FIELD_NO_TRAILER | FIELD_HOP_BY_HOP | FIELD_FRAMING | FIELD_FORWARDING | FIELD_IDENTITY
        | FIELD_UNDERSCORE
    )

cdef uint64_t LARGEST_CHUNK = 0x7fffffffffffffff


cdef class ChunkedDecoder:
    """Decode one chunked body after another."""

    def __cinit__(self, uint32_t extension_bytes=4096, uint32_t trailer_bytes=8192):
        self.most_extensions = extension_bytes
        self.most_trailers = trailer_bytes

    def __dealloc__(self):
        free(self.trailer)

    cdef void reset(self) noexcept:
        free(self.trailer)
        self.trailer = NULL
        self.trailer_len = self.trailer_line = 0
        self.trailers = None
        self.state = IN_SIZE
        self.digits = 0
        self.left = 0
        self.extension_bytes = 0

    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size, const char** piece, Py_ssize_t* piece_len,
                         bint* done) except? -999:
        cdef const char* p = data
        cdef const char* end = data + size
        cdef const char* stop
        cdef int digit
        cdef Py_ssize_t n
        piece[0] = data
        piece_len[0] = 0
        done[0] = self.state == AT_END
        while p < end:
            if self.state == IN_DATA:
                n = end - p
                if <uint64_t>n >= self.left:
                    n = <Py_ssize_t>self.left
                    self.state = AT_DATA_CR
                self.left -= n
                piece[0] = p
                piece_len[0] = n
                return p + n - data
            if self.state == IN_SIZE:
                digit = HEX[<unsigned char>p[0]]
                if digit >= 0:
                    if self.digits == MOST_DIGITS or self.left > (LARGEST_CHUNK >> 4):
                        return -P_CHUNK_SIZE_OVERFLOW
                    self.digits += 1
                    self.left = self.left << 4 | <uint64_t>digit
                elif self.digits == 0:
                    return -P_CHUNK_SIZE_MALFORMED
                elif p[0] == c'\r':
                    self.state = AT_SIZE_LF
                elif p[0] == c';':
                    self.state = IN_EXTENSION
                    continue
                else:
                    return -P_BARE_LF if p[0] == c'\n' else -P_CHUNK_SIZE_MALFORMED
                p += 1
            elif self.state == AT_SIZE_LF:
                if p[0] != c'\n':
                    return -P_BARE_CR
                self.state = IN_DATA if self.left else AT_TRAILER
                p += 1
            elif self.state == AT_DATA_CR:
                if p[0] != c'\r':
                    return -P_CHUNK_END_MALFORMED
                self.state = AT_DATA_LF
                p += 1
            elif self.state == AT_DATA_LF:
                if p[0] != c'\n':
                    return -P_CHUNK_END_MALFORMED
                self.state = IN_SIZE
                self.digits = 0
                p += 1
            elif self.state == IN_EXTENSION:
                stop = scan_value(p, end)
                if <uint64_t>self.extension_bytes + (stop - p) > self.most_extensions:
                    return -P_CHUNK_EXTENSIONS_TOO_LARGE
                self.extension_bytes += <uint32_t>(stop - p)
                if stop == end:
                    return size
                if stop[0] != c'\r':
                    return -P_BARE_LF if stop[0] == c'\n' else -P_CHUNK_EXTENSION_CHARACTER
                self.state = AT_SIZE_LF
                p = stop + 1
            elif self.state == AT_TRAILER:
                self.state = AT_LAST_LF if p[0] == c'\r' else IN_TRAILER
                p += p[0] == c'\r'
            elif self.state == AT_LAST_LF:
                if p[0] != c'\n':
                    return -P_BARE_CR
                self.state = AT_END
                done[0] = True
                return p + 1 - data
            elif self.state == IN_TRAILER:
                n = self.take_trailer(p, end - p)
                if n < 0:
                    return n
                done[0] = self.state == AT_END
                return p + n - data
            else:
                return p - data
        return size

    cdef Py_ssize_t take_trailer(self, const char* data, Py_ssize_t size) except? -999:
        """Keep bytes of the trailer section; return how many belong to it, or a negated problem."""
        cdef const char* p = data
        cdef const char* end = data + size
        cdef const char* found
        cdef Py_ssize_t n, problem
        if self.trailer == NULL:
            self.trailer = <char*>malloc(self.most_trailers + 1)
            if self.trailer == NULL:
                raise MemoryError
        while p < end:
            found = <const char*>memchr(p, c'\n', end - p)
            n = (found + 1 if found != NULL else end) - p
            if n > <Py_ssize_t>(self.most_trailers - self.trailer_len):
                return -P_TRAILERS_TOO_LARGE
            memcpy(self.trailer + self.trailer_len, p, n)
            self.trailer_len += <uint32_t>n
            p += n
            if found == NULL:
                break
            if self.trailer_len < 2 or self.trailer[self.trailer_len - 2] != c'\r':
                return -P_BARE_LF
            if self.trailer_len == self.trailer_line + 2:
                problem = self.finish_trailer()
                return problem if problem < 0 else p - data
            self.trailer_line = self.trailer_len
        return size

    cdef Py_ssize_t finish_trailer(self) except? -999:
        """Parse the whole trailer section and drop what may not come in one."""
        cdef bytes kept = PyBytes_FromStringAndSize(self.trailer, self.trailer_len)
        cdef Headers trailers = Headers.__new__(Headers)
        cdef Py_ssize_t verdict = parse_fields(
            PyBytes_AS_STRING(kept), self.trailer_len, self.most_trailers, MOST_TRAILER_FIELDS, OF_TRAILERS,
            NULL, trailers,
        )
        free(self.trailer)
        self.trailer = NULL
        if verdict < 0:
            return verdict
        trailers.backing = kept
        trailers.drop_flagged(NEVER_TRAILERS)
        self.trailers = trailers
        self.state = AT_END
        return verdict

    def decode(self, data):
        """Decode some more bytes and return (body, verdict, done).

        The verdict is how many bytes belong to the message, or a negated ParseProblem.
        """
        view = memoryview(data).cast("B")
        cdef const char* start = <const char*>PyMemoryView_GET_BUFFER(view).buf
        cdef const char* piece
        cdef Py_ssize_t size = len(view), used = 0, n, piece_len
        cdef bint done = self.state == AT_END
        body = []
        while used < size and not done:
            n = self.feed(start + used, size - used, &piece, &piece_len, &done)
            if n < 0:
                return b"".join(body), n, False
            if piece_len:
                body.append(PyBytes_FromStringAndSize(piece, piece_len))
            used += n
        return b"".join(body), used, done

    def restart(self):
        """Be ready for another message."""
        self.reset()

    @property
    def fields(self):
        """Return the trailer fields that may be forwarded as Headers, None when no trailer section came."""
        return self.trailers


cdef int write_chunk_header(char* out, uint64_t size) noexcept nogil:
    """Write a chunk's size line."""
    cdef int n = 1, i
    cdef uint64_t rest = size >> 4
    while rest:
        n += 1
        rest >>= 4
    for i in range(n - 1, -1, -1):
        out[i] = b"0123456789abcdef"[size & 15]
        size >>= 4
    out[n] = c'\r'
    out[n + 1] = c'\n'
    return n + 2


def chunk_header(uint64_t size):
    """Return the size line of a chunk of so many bytes."""
    cdef char out[CHUNK_HEADER_MOST]
    return PyBytes_FromStringAndSize(out, write_chunk_header(out, size))


def decode_repeatedly(bytes data not None, int rounds):
    """Decode the same whole body so many times: the loop under bench/parse.py."""
    cdef ChunkedDecoder decoder = ChunkedDecoder.__new__(ChunkedDecoder)
    cdef const char* piece
    cdef Py_ssize_t used = 0, n, piece_len, size = PyBytes_GET_SIZE(data)
    cdef bint done
    cdef int _
    for _ in range(rounds):
        decoder.reset()
        used = 0
        done = False
        while used < size and not done:
            n = decoder.feed(PyBytes_AS_STRING(data) + used, size - used, &piece, &piece_len, &done)
            if n < 0:
                return n
            used += n
    return used
