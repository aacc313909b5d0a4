"""C face of fields: parse a block of header or trailer fields and what they say about framing and
persistence."""

from libc.stdint cimport uint32_t

from core._fast.head cimport Head
from core._fast.headers cimport Headers

cdef enum FieldsOf:
    OF_REQUEST = 0
    OF_RESPONSE
    OF_TRAILERS             # nothing is interpreted

# From the first field line to the blank line's end. Bytes consumed (> 0), 0: more is needed, < 0:
# -ParseProblem. `most` and `count` are the limits in bytes and in fields; bytes past `most` are never
# looked at.
cdef Py_ssize_t parse_fields(
    const char* data, Py_ssize_t size, uint32_t most, uint32_t count, int of, Head* head, Headers headers,
) except? -999
