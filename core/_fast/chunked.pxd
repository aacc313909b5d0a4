"""C face of chunked: decode a chunked body piece by piece, and write chunk headers."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from core._fast.headers cimport Headers

cdef enum:
    CHUNK_HEADER_MOST = 18      # bytes that write_chunk_header may write


@cython.final
cdef class ChunkedDecoder:
    cdef int state
    cdef int digits                 # of the chunk size so far
    cdef uint64_t left              # chunk size so far, then data bytes still to come
    cdef uint32_t extension_bytes   # of chunk extensions so far, in the whole message
    cdef uint32_t most_extensions   # limits; may be set before the first feed
    cdef uint32_t most_trailers
    cdef char* trailer              # malloc'd, most_trailers bytes, while trailer lines come in
    cdef uint32_t trailer_len
    cdef uint32_t trailer_line      # where its current line starts
    cdef Headers trailers           # at the end: the trailer fields that may be forwarded; None: none came

    cdef void reset(self) noexcept  # ready for another message; keeps the limits

    # Consumes some bytes and returns how many (< 0: -ParseProblem; MemoryError). piece/piece_len: body
    # bytes inside [data, data + consumed), maybe none. Call again with the rest until all is used or done
    # is set; after done nothing more belongs to the message. A call returns at the end of each chunk's data
    # at the latest.
    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size, const char** piece, Py_ssize_t* piece_len,
                         bint* done) except? -999

    cdef Py_ssize_t take_trailer(self, const char* data, Py_ssize_t size) except? -999      # private
    cdef Py_ssize_t finish_trailer(self) except? -999                                       # private

# Writes "1a\r\n" and returns its length, at most CHUNK_HEADER_MOST. A size of 0 would end the body.
cdef int write_chunk_header(char* out, uint64_t size) noexcept nogil
