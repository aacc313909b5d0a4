"""C face of head: parse the head of an HTTP/1.x request or response; its limits, its result and its
refusals."""

from libc.stdint cimport int64_t, uint32_t

from core._fast.headers cimport Headers

# Each refusal has its own code. The parsers return it negated; PROBLEMS (in Python) has status, slug and
# title.
cpdef enum ParseProblem:
    P_NONE = 0
    # start line
    P_EMPTY_LINES = 1
    P_BARE_CR
    P_BARE_LF
    P_METHOD_MALFORMED
    P_TARGET_MISSING
    P_TARGET_CHARACTER
    P_TARGET_FRAGMENT
    P_TARGET_FORM
    P_TARGET_SCHEME
    P_TARGET_AUTHORITY
    P_TARGET_ASTERISK
    P_VERSION_MISSING
    P_VERSION_MALFORMED
    P_VERSION_UNSUPPORTED
    P_REQUEST_LINE_TOO_LONG
    P_STATUS_LINE_MALFORMED
    P_STATUS_CODE_INVALID
    P_REASON_CHARACTER
    P_STATUS_LINE_TOO_LONG
    # fields
    P_HEADERS_TOO_LARGE
    P_HEADERS_TOO_MANY
    P_HEADERS_LEADING_SPACE
    P_HEADER_FOLDED
    P_HEADER_NAME_EMPTY
    P_HEADER_NAME_MALFORMED
    P_HEADER_NAME_SPACE
    P_HEADER_NO_COLON
    P_HEADER_VALUE_CHARACTER
    P_CONNECTION_OPTIONS
    # routing
    P_HOST_MISSING
    P_HOST_REPEATED
    P_HOST_MALFORMED
    P_HOST_MISMATCH
    P_EXPECTATION_UNKNOWN
    # framing
    P_CONTENT_LENGTH_MALFORMED
    P_CONTENT_LENGTH_OVERFLOW
    P_CONTENT_LENGTH_CONFLICT
    P_TRANSFER_ENCODING_MALFORMED
    P_TRANSFER_ENCODING_UNKNOWN
    P_TRANSFER_ENCODING_REPEATED
    P_TRANSFER_ENCODING_VERSION
    P_FRAMING_AMBIGUOUS
    # chunked bodies
    P_CHUNK_SIZE_MALFORMED
    P_CHUNK_SIZE_OVERFLOW
    P_CHUNK_EXTENSION_CHARACTER
    P_CHUNK_EXTENSIONS_TOO_LARGE
    P_CHUNK_END_MALFORMED
    P_TRAILERS_TOO_LARGE
    # paths
    P_PATH_FORM
    P_PATH_CHARACTER
    P_PATH_BACKSLASH
    P_PATH_ESCAPE_MALFORMED
    P_PATH_ESCAPE_CONTROL
    P_PATH_NOT_UTF8
    P_PATH_DOTS_HIDDEN
    P_COUNT             # how many codes there are; not a refusal

cpdef enum Method:
    M_OTHER = 0
    M_GET
    M_HEAD
    M_POST
    M_PUT
    M_PATCH
    M_DELETE
    M_OPTIONS
    M_CONNECT
    M_TRACE

cdef struct Limits:
    uint32_t request_line   # bytes of the request or status line without its CRLF (8192)
    uint32_t header_block   # bytes from after that line to the end of the blank line (32768)
    uint32_t header_count   # fields (128)

cdef struct Head:
    int status              # responses: 100..599
    int minor               # HTTP/1.minor
    int method              # a Method (requests)
    const char* method_name
    uint32_t method_len
    const char* target      # as received
    uint32_t target_len
    const char* path        # of the target; "/" when an absolute-form has none; "*"; NULL for CONNECT
    uint32_t path_len
    const char* query       # after '?', without it; NULL when there is no '?'
    uint32_t query_len
    const char* host        # authority with port as received: the target's, else Host's; NULL: neither (1.0)
    uint32_t host_len
    const char* reason
    uint32_t reason_len
    int64_t content_length  # as declared; -1: none given
    bint chunked            # the body that follows is chunked
    bint keep_alive         # the connection may live on after this message (version, Connection, framing)
    bint upgrade            # Connection: upgrade and an Upgrade field, HTTP/1.1 only
    bint expect_continue    # HTTP/1.1 only
    bint te_trailers        # TE lists trailers
    bint bodiless           # responses: no body whatever the fields say (1xx, 204, 304, to HEAD or CONNECT)
    bint close_delimited    # responses: the body lasts until the peer closes
    # the parser's own
    bint has_close
    bint has_keep_alive
    bint has_connection_upgrade
    bint has_upgrade
    bint has_transfer_encoding
    int options             # names in Connection beyond close, keep-alive, upgrade, te
    const char* host_field
    uint32_t host_field_len

# State of a search for the end of a head over growing data. Zero it for each message.
cdef struct HeadScan:
    Py_ssize_t offset       # bytes searched
    Py_ssize_t line         # where the current line starts
    Py_ssize_t block        # where the fields start; 0: still in the start line

# Bytes consumed (> 0), 0: more is needed, < 0: -ParseProblem. Everything in `head` and `headers` points
# into `data` (or into constants); headers.backing is the caller's to set. A verdict never changes when more
# bytes come: for every prefix the answer is 0 or the same. Request: one empty line before the request line
# is skipped. Response: never. The problems of a response are the upstream's fault: answer 502 whatever
# PROBLEMS says.
cdef Py_ssize_t parse_request(
    const char* data, Py_ssize_t size, const Limits* limits, Head* head, Headers headers,
) except? -999
cdef Py_ssize_t parse_response(
    const char* data, Py_ssize_t size, const Limits* limits, int request_method, Head* head, Headers headers,
) except? -999

# The offset just after the blank line, 0: more is needed, < 0: -ParseProblem. `data` is the whole message
# so far each time; each byte is looked at once. When it is not 0, call parse_request on the same data: it
# has the verdict (never 0) and the exact problem. (It may have one earlier too; the search only looks for
# lines and limits.)
cdef Py_ssize_t find_head_end(
    const char* data, Py_ssize_t size, const Limits* limits, HeadScan* scan,
) noexcept nogil

cdef Limits default_limits() noexcept nogil
