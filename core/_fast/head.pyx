"""Parse the head of an HTTP/1.x message: request line or status line, then its fields. Strict, one pass, no
objects.

Rule: a message that two parsers could read differently is refused, each time with its own code. The verdict
for a prefix of a message is "more" or the verdict of the whole. Called by the connections on both sides;
PROBLEMS is read by whoever words an answer, a log line or a counter.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memset

from core._fast.authority cimport is_authority
from core._fast.chars cimport CHAR_TOKEN, equal_ignoring_case, scan_class, scan_target, scan_value
from core._fast.fields cimport OF_REQUEST, OF_RESPONSE, parse_fields
from core._fast.headers cimport Headers

# code: (HTTP status, slug, title). In a response every one of them is answered with 502.
PROBLEMS = {
    P_EMPTY_LINES: (400, "empty-lines", "More than one empty line before the request line"),
    P_BARE_CR: (400, "bare-cr", "CR without LF"),
    P_BARE_LF: (400, "bare-lf", "LF without CR"),
    P_METHOD_MALFORMED: (400, "method-malformed", "Method is not a token"),
    P_TARGET_MISSING: (400, "target-missing", "Request target is missing"),
    P_TARGET_CHARACTER: (400, "target-character", "Request target holds a control or non-ASCII byte"),
    P_TARGET_FRAGMENT: (400, "target-fragment", "Request target holds a fragment"),
    P_TARGET_FORM: (400, "target-form", "Request target is in none of the four forms for this method"),
    P_TARGET_SCHEME: (400, "target-scheme", "Request target has a scheme other than http and https"),
    P_TARGET_AUTHORITY: (400, "target-authority", "Request target has a malformed authority"),
    P_TARGET_ASTERISK: (400, "target-asterisk", "Request target is * with a method other than OPTIONS"),
    P_VERSION_MISSING: (400, "version-missing", "Request line has no HTTP version"),
    P_VERSION_MALFORMED: (400, "version-malformed", "HTTP version is malformed"),
    P_VERSION_UNSUPPORTED: (505, "version-unsupported", "HTTP version is neither 1.0 nor 1.1"),
    P_REQUEST_LINE_TOO_LONG: (414, "request-line-too-long", "Request line is longer than the limit"),
    P_STATUS_LINE_MALFORMED: (502, "status-line-malformed", "Status line is malformed"),
    P_STATUS_CODE_INVALID: (502, "status-code-invalid", "Status code is not a number from 100 to 599"),
    P_REASON_CHARACTER: (502, "reason-character", "Reason phrase holds a control byte"),
    P_STATUS_LINE_TOO_LONG: (502, "status-line-too-long", "Status line is longer than the limit"),
    P_HEADERS_TOO_LARGE: (431, "headers-too-large", "Header block is larger than the limit"),
    P_HEADERS_TOO_MANY: (431, "headers-too-many", "More header fields than the limit"),
    P_HEADERS_LEADING_SPACE: (400, "headers-leading-space", "White space before the first header field"),
    P_HEADER_FOLDED: (400, "header-folded", "Folded header line"),
    P_HEADER_NAME_EMPTY: (400, "header-name-empty", "Empty header name"),
    P_HEADER_NAME_MALFORMED: (400, "header-name-malformed", "Header name is not a token"),
    P_HEADER_NAME_SPACE: (400, "header-name-space", "White space in a header name or before its colon"),
    P_HEADER_NO_COLON: (400, "header-no-colon", "Header line without a colon"),
    P_HEADER_VALUE_CHARACTER: (400, "header-value-character", "Header value holds a control byte"),
    P_CONNECTION_OPTIONS: (400, "connection-options", "Connection names too many fields"),
    P_HOST_MISSING: (400, "host-missing", "Host header is missing"),
    P_HOST_REPEATED: (400, "host-repeated", "Host header is repeated"),
    P_HOST_MALFORMED: (400, "host-malformed", "Host header is malformed"),
    P_HOST_MISMATCH: (400, "host-mismatch", "Host header differs from the request target"),
    P_EXPECTATION_UNKNOWN: (417, "expectation-unknown", "Expectation other than 100-continue"),
    P_CONTENT_LENGTH_MALFORMED: (400, "content-length-malformed", "Content-Length is not a number"),
    P_CONTENT_LENGTH_OVERFLOW: (400, "content-length-overflow", "Content-Length is too large to count"),
    P_CONTENT_LENGTH_CONFLICT: (400, "content-length-conflict", "Content-Length headers differ"),
    P_TRANSFER_ENCODING_MALFORMED: (
        400, "transfer-encoding-malformed", "Transfer-Encoding does not end with one chunked",
    ),
    P_TRANSFER_ENCODING_UNKNOWN: (
        501, "transfer-encoding-unknown", "Transfer-Encoding has a coding other than chunked",
    ),
    P_TRANSFER_ENCODING_REPEATED: (400, "transfer-encoding-repeated", "Transfer-Encoding header is repeated"),
    P_TRANSFER_ENCODING_VERSION: (400, "transfer-encoding-version", "Transfer-Encoding in HTTP/1.0"),
    P_FRAMING_AMBIGUOUS: (400, "framing-ambiguous", "Both Content-Length and Transfer-Encoding"),
    P_CHUNK_SIZE_MALFORMED: (400, "chunk-size-malformed", "Chunk size is not a hexadecimal number"),
    P_CHUNK_SIZE_OVERFLOW: (400, "chunk-size-overflow", "Chunk size is too large to count"),
    P_CHUNK_EXTENSION_CHARACTER: (400, "chunk-extension-character", "Chunk extension holds a control byte"),
    P_CHUNK_EXTENSIONS_TOO_LARGE: (400, "chunk-extensions-too-large", "Chunk extensions exceed the limit"),
    P_CHUNK_END_MALFORMED: (400, "chunk-end-malformed", "Chunk data is not followed by CRLF"),
    P_TRAILERS_TOO_LARGE: (431, "trailers-too-large", "Trailer fields are larger than the limit"),
    P_PATH_FORM: (400, "path-form", "Path does not start with a slash"),
    P_PATH_CHARACTER: (400, "path-character", "Path holds a control, space or non-ASCII byte"),
    P_PATH_BACKSLASH: (400, "path-backslash", "Path holds a backslash"),
    P_PATH_ESCAPE_MALFORMED: (400, "path-escape-malformed", "Path holds a malformed percent escape"),
    P_PATH_ESCAPE_CONTROL: (400, "path-escape-control", "Path holds an escaped control byte"),
    P_PATH_NOT_UTF8: (400, "path-not-utf8", "Path is not UTF-8 after decoding"),
    P_PATH_DOTS_HIDDEN: (400, "path-dots-hidden", "Path hides a dot segment behind %2F, %5C or a semicolon"),
}

cdef struct MethodName:
    char name[8]
    int length

cdef MethodName[10] METHODS = [
    MethodName(b"", 0), MethodName(b"GET", 3), MethodName(b"HEAD", 4), MethodName(b"POST", 4),
    MethodName(b"PUT", 3), MethodName(b"PATCH", 5), MethodName(b"DELETE", 6), MethodName(b"OPTIONS", 7),
    MethodName(b"CONNECT", 7), MethodName(b"TRACE", 5),
]


cdef Limits default_limits() noexcept nogil:
    """Return the limits that stand when a configuration names none."""
    cdef Limits limits
    limits.request_line = 8192
    limits.header_block = 32768
    limits.header_count = 128
    return limits


cdef inline int find_method(const char* name, Py_ssize_t n) noexcept nogil:
    """Return the Method of a name (case matters)."""
    cdef int i
    for i in range(1, 10):
        if METHODS[i].length == n and memcmp(METHODS[i].name, name, n) == 0:
            return i
    return M_OTHER


cdef int judge_version(const char* p, const char* end, int malformed) noexcept nogil:
    """Say what is wrong with a version that is neither 1.0 nor 1.1; 0 when more bytes are needed to know."""
    cdef const char* pattern = b"HTTP/0.0"
    cdef Py_ssize_t i
    for i in range(8):
        if p + i == end:
            return 0
        if pattern[i] == c'0':
            if p[i] < c'0' or p[i] > c'9':
                return malformed
        elif p[i] != pattern[i]:
            return malformed
    return P_VERSION_UNSUPPORTED


cdef int judge_line_end(const char* p, const char* end, int malformed) noexcept nogil:
    """Say what is wrong with the bytes where CRLF must stand; 0 when more are needed to know."""
    if p == end or (p[0] == c'\r' and p + 1 == end):
        return 0
    if p[0] == c'\r':
        return P_BARE_CR
    return P_BARE_LF if p[0] == c'\n' else malformed


cdef int split_path(const char* p, const char* end, Head* head) noexcept nogil:
    """Note path and query of what follows the authority."""
    cdef const char* mark = <const char*>memchr(p, c'?', end - p)
    head.path = p
    if mark == NULL:
        head.path_len = <uint32_t>(end - p)
    else:
        head.path_len = <uint32_t>(mark - p)
        head.query = mark + 1
        head.query_len = <uint32_t>(end - mark - 1)
    return 0


cdef int split_absolute(const char* p, const char* end, Head* head) noexcept nogil:
    """Take an absolute-form target apart: http://authority/path?query."""
    cdef const char* stop
    if end - p >= 7 and equal_ignoring_case(p, b"http://", 7):
        p += 7
    elif end - p >= 8 and equal_ignoring_case(p, b"https://", 8):
        p += 8
    else:
        return judge_scheme(p, end)
    stop = p
    while stop < end and stop[0] != c'/' and stop[0] != c'?':
        stop += 1
    if not is_authority(p, stop - p):
        return P_TARGET_AUTHORITY
    head.host = p
    head.host_len = <uint32_t>(stop - p)
    split_path(stop, end, head)
    if head.path_len == 0:
        # RFC 9112 3.2.4: OPTIONS for a server as a whole, else the root.
        head.path = b"*" if head.method == M_OPTIONS and head.query == NULL else b"/"
        head.path_len = 1
    return 0


cdef int judge_scheme(const char* p, const char* end) noexcept nogil:
    """Tell a foreign scheme from something that is no target at all."""
    cdef const char* start = p
    while p < end and (c'a' <= p[0] | 0x20 <= c'z' or c'0' <= p[0] <= c'9' or p[0] in (c'+', c'-', c'.')):
        p += 1
    if p > start and end - p >= 3 and memcmp(p, b"://", 3) == 0:
        return P_TARGET_SCHEME
    return P_TARGET_FORM


cdef int split_target(Head* head) noexcept nogil:
    """Find the form of the target; fill path, query and host. Returns 0 or a ParseProblem."""
    cdef const char* p = head.target
    cdef const char* end = p + head.target_len
    if head.method == M_CONNECT:
        head.host = p
        head.host_len = head.target_len
        if not is_authority(p, head.target_len):
            return P_TARGET_AUTHORITY
        return 0 if (end - 1)[0] != c']' and memchr(p, c':', head.target_len) != NULL else P_TARGET_AUTHORITY
    if p[0] == c'/':
        return split_path(p, end, head)
    if p[0] == c'*' and head.target_len == 1:
        head.path = p
        head.path_len = 1
        return 0 if head.method == M_OPTIONS else P_TARGET_ASTERISK
    return split_absolute(p, end, head)


cdef void clear_head(Head* head) noexcept nogil:
    memset(head, 0, sizeof(Head))
    head.content_length = -1


cdef Py_ssize_t parse_request_line(const char* data, const char* end, int starved, Head* head) noexcept nogil:
    """Parse `method SP target SP version CRLF`; return its length, `starved`, or a negated problem."""
    cdef const char* p = scan_class(data, end, CHAR_TOKEN)
    cdef int problem
    if p == end:
        return starved
    if p[0] != c' ' or p == data:
        if p == data and p[0] == c'\n':
            return -P_BARE_LF
        return -P_METHOD_MALFORMED
    head.method_name = data
    head.method_len = <uint32_t>(p - data)
    head.method = find_method(data, p - data)
    p += 1
    head.target = p
    p = scan_target(p, end)
    if p == end:
        return starved
    head.target_len = <uint32_t>(p - head.target)
    if p[0] != c' ':
        if p[0] == c'#':
            return -P_TARGET_FRAGMENT
        if p[0] == c'\r' and p + 1 == end:
            return starved
        if p[0] == c'\r':
            return -P_VERSION_MISSING if p[1] == c'\n' else -P_BARE_CR
        return -P_BARE_LF if p[0] == c'\n' else -P_TARGET_CHARACTER
    if head.target_len == 0:
        return -P_TARGET_MISSING
    problem = split_target(head)
    if problem:
        return -problem
    p += 1
    if end - p >= 10 and memcmp(p, b"HTTP/1.", 7) == 0 and (p[7] == c'1' or p[7] == c'0'):
        head.minor = p[7] - c'0'
        if p[8] == c'\r' and p[9] == c'\n':
            return p + 10 - data
        return -judge_line_end(p + 8, end, P_VERSION_MALFORMED)
    return judge_request_version(p, end, starved)


cdef Py_ssize_t judge_request_version(const char* p, const char* end, int starved) noexcept nogil:
    """Judge an incomplete or unusual end of a request line."""
    cdef int problem
    if end - p >= 8 and memcmp(p, b"HTTP/1.", 7) == 0 and (p[7] == c'1' or p[7] == c'0'):
        problem = judge_line_end(p + 8, end, P_VERSION_MALFORMED)
    else:
        problem = judge_version(p, end, P_VERSION_MALFORMED)
    return -problem if problem else starved


cdef Py_ssize_t parse_request(
    const char* data, Py_ssize_t size, const Limits* limits, Head* head, Headers headers,
) except? -999:
    """Parse a request head; see head.pxd for what it returns."""
    cdef Py_ssize_t skipped = 0, line, block, room
    cdef int starved = 0
    clear_head(head)
    headers.count = 0
    if size > 0 and data[0] == c'\r':
        if size == 1:
            return 0
        if data[1] != c'\n':
            return -P_BARE_CR
        skipped = 2
        if size > 2 and data[2] == c'\r':
            return -P_EMPTY_LINES
    room = size - skipped
    if room > <Py_ssize_t>limits.request_line + 2:
        room = <Py_ssize_t>limits.request_line + 2
        starved = -P_REQUEST_LINE_TOO_LONG
    line = parse_request_line(data + skipped, data + skipped + room, starved, head)
    if line <= 0:
        return line
    line += skipped
    block = parse_fields(
        data + line, size - line, limits.header_block, limits.header_count, OF_REQUEST, head, headers,
    )
    return block if block <= 0 else line + block


cdef Py_ssize_t parse_status_line(const char* data, const char* end, int starved, Head* head) noexcept nogil:
    """Parse `version SP status [SP reason] CRLF`.

    NOTE: many servers leave out the SP before an empty reason; nothing can be read in two ways without it.
    """
    cdef const char* p = data
    cdef int problem, _
    if end - p < 8 or memcmp(p, b"HTTP/1.", 7) != 0 or (p[7] != c'1' and p[7] != c'0'):
        problem = judge_version(p, end, P_STATUS_LINE_MALFORMED)
        return -problem if problem else starved
    head.minor = p[7] - c'0'
    p += 8
    if p == end:
        return starved
    if p[0] != c' ':
        return -P_STATUS_LINE_MALFORMED
    p += 1
    for _ in range(3):
        if p == end:
            return starved
        if p[0] < c'0' or p[0] > c'9':
            return -P_STATUS_CODE_INVALID
        head.status = head.status * 10 + (p[0] - c'0')
        p += 1
    if head.status < 100 or head.status > 599:
        return -P_STATUS_CODE_INVALID
    if p == end:
        return starved
    if c'0' <= p[0] <= c'9':
        return -P_STATUS_CODE_INVALID
    if p[0] == c' ':
        p += 1
        head.reason = p
        p = scan_value(p, end)
        head.reason_len = <uint32_t>(p - head.reason)
    if end - p >= 2 and p[0] == c'\r' and p[1] == c'\n':
        return p + 2 - data
    problem = judge_line_end(p, end, P_STATUS_LINE_MALFORMED if head.reason == NULL else P_REASON_CHARACTER)
    return -problem if problem else starved


cdef void settle_response(int request_method, Head* head) noexcept nogil:
    """Say how the body of a response is delimited (RFC 9112 section 6.3)."""
    cdef bint never = head.status < 200 or head.status == 204
    head.bodiless = (
        never or head.status == 304 or request_method == M_HEAD
        or (request_method == M_CONNECT and head.status < 300)
    )
    if head.bodiless:
        if never and head.status != 101 and (head.chunked or head.content_length > 0):
            # SAFETY: such a server may send a body all the same; its bytes must not become the next response.
            head.keep_alive = False
        head.chunked = False
    elif not head.chunked and head.content_length < 0:
        head.close_delimited = True
        head.keep_alive = False


cdef Py_ssize_t parse_response(
    const char* data, Py_ssize_t size, const Limits* limits, int request_method, Head* head, Headers headers,
) except? -999:
    """Parse a response head; see head.pxd for what it returns."""
    cdef Py_ssize_t line, block, room = size
    cdef int starved = 0
    clear_head(head)
    headers.count = 0
    if room > <Py_ssize_t>limits.request_line + 2:
        room = <Py_ssize_t>limits.request_line + 2
        starved = -P_STATUS_LINE_TOO_LONG
    line = parse_status_line(data, data + room, starved, head)
    if line <= 0:
        return line
    block = parse_fields(
        data + line, size - line, limits.header_block, limits.header_count, OF_RESPONSE, head, headers,
    )
    if block <= 0:
        return block
    settle_response(request_method, head)
    return line + block


cdef Py_ssize_t find_head_end(
    const char* data, Py_ssize_t size, const Limits* limits, HeadScan* scan,
) noexcept nogil:
    """Search on for the end of a head that comes in pieces; see head.pxd for what it returns."""
    cdef const char* found
    cdef Py_ssize_t reach       # just after this line's LF, or all there is
    while True:
        found = <const char*>memchr(data + scan.offset, c'\n', size - scan.offset)
        reach = found + 1 - data if found != NULL else size
        if scan.block:
            if reach - scan.block > <Py_ssize_t>limits.header_block:
                return -P_HEADERS_TOO_LARGE
        elif reach - scan.line > <Py_ssize_t>limits.request_line + 2:
            return -P_REQUEST_LINE_TOO_LONG
        scan.offset = reach
        if found == NULL:
            return 0
        if reach == 1 or (found - 1)[0] != c'\r':
            return -P_BARE_LF
        if reach == scan.line + 2:
            if scan.block:
                return reach
            if scan.line > 0:
                return -P_EMPTY_LINES
        elif scan.block == 0:
            scan.block = reach
        scan.line = reach


cdef object slice_of(const char* start, uint32_t n):
    return None if start == NULL else PyBytes_FromStringAndSize(start, n)


cdef dict describe(const Head* head):
    """Return what was found in a head as a dict of ints, bools and bytes (None: absent)."""
    return {
        "status": head.status,
        "minor": head.minor,
        "method": slice_of(head.method_name, head.method_len),
        "target": slice_of(head.target, head.target_len),
        "path": slice_of(head.path, head.path_len),
        "query": slice_of(head.query, head.query_len),
        "host": slice_of(head.host, head.host_len),
        "reason": slice_of(head.reason, head.reason_len),
        "content_length": head.content_length,
        "chunked": bool(head.chunked),
        "keep_alive": bool(head.keep_alive),
        "upgrade": bool(head.upgrade),
        "expect_continue": bool(head.expect_continue),
        "te_trailers": bool(head.te_trailers),
        "bodiless": bool(head.bodiless),
        "close_delimited": bool(head.close_delimited),
    }


cdef inline const char* start_of(object view) noexcept:
    """Return where the bytes of a contiguous memoryview are."""
    return <const char*>PyMemoryView_GET_BUFFER(view).buf


cdef Limits limits_from(uint32_t request_line, uint32_t header_block, uint32_t header_count) noexcept nogil:
    cdef Limits limits
    limits.request_line = request_line
    limits.header_block = header_block
    limits.header_count = header_count
    return limits


def read_request(data, *, request_line=8192, header_block=32768, header_count=128):
    """Parse a request head and return (verdict, what was found, headers).

    The verdict is the number of bytes consumed, 0 when more are needed, or a negated ParseProblem.
    """
    cdef Limits limits = limits_from(request_line, header_block, header_count)
    cdef Head head
    cdef Headers headers = Headers.__new__(Headers)
    # SAFETY: the view holds the buffer while any field points into it.
    headers.backing = view = memoryview(data).cast("B")
    verdict = parse_request(start_of(view), len(view), &limits, &head, headers)
    return verdict, describe(&head) if verdict > 0 else {}, headers


def read_response(data, int request_method=M_GET, *, request_line=8192, header_block=32768, header_count=128):
    """Parse a response head and return (verdict, what was found, headers), as `read_request` does."""
    cdef Limits limits = limits_from(request_line, header_block, header_count)
    cdef Head head
    cdef Headers headers = Headers.__new__(Headers)
    headers.backing = view = memoryview(data).cast("B")
    verdict = parse_response(start_of(view), len(view), &limits, request_method, &head, headers)
    return verdict, describe(&head) if verdict > 0 else {}, headers


def find_ends(data, sizes, *, request_line=8192, header_block=32768, header_count=128):
    """Search for a head's end with ever more of the data; return the verdict for each size."""
    cdef Limits limits = limits_from(request_line, header_block, header_count)
    cdef HeadScan scan
    memset(&scan, 0, sizeof(scan))
    view = memoryview(data).cast("B")
    verdicts = []
    for size in sizes:
        if not scan.offset <= size <= len(view):
            raise ValueError("sizes must grow and stay inside the data")
        verdicts.append(find_head_end(start_of(view), size, &limits, &scan))
    return verdicts


def parse_repeatedly(bytes data not None, int rounds, bint response=False):
    """Parse the same head so many times and return the last verdict: the loop under bench/parse.py."""
    cdef Limits limits = default_limits()
    cdef Head head
    cdef Headers headers = Headers.__new__(Headers)
    cdef const char* start = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), verdict = 0
    cdef int _
    for _ in range(rounds):
        if response:
            verdict = parse_response(start, size, &limits, M_GET, &head, headers)
        else:
            verdict = parse_request(start, size, &limits, &head, headers)
    headers.clear()
    return verdict
