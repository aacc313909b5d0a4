"""Parse a block of header fields in one pass and note what they say about framing, persistence and routing.

Rule: a field line is exactly `token ":" OWS value OWS CRLF`; whatever could be read in two ways is refused,
and the verdict never depends on how the bytes were cut into pieces. Called by head and chunked.
"""

from libc.stdint cimport int64_t, uint32_t

from core._fast.authority cimport is_authority
from core._fast.chars cimport CHAR_TOKEN, equal_ignoring_case, scan_class, scan_name, scan_value
from core._fast.head cimport (
    Head, P_BARE_CR, P_BARE_LF, P_CONNECTION_OPTIONS, P_CONTENT_LENGTH_CONFLICT, P_CONTENT_LENGTH_MALFORMED,
    P_CONTENT_LENGTH_OVERFLOW, P_EXPECTATION_UNKNOWN, P_FRAMING_AMBIGUOUS, P_HEADER_FOLDED,
    P_HEADER_NAME_EMPTY, P_HEADER_NAME_MALFORMED, P_HEADER_NAME_SPACE, P_HEADER_NO_COLON,
    P_HEADER_VALUE_CHARACTER, P_HEADERS_LEADING_SPACE, P_HEADERS_TOO_LARGE, P_HEADERS_TOO_MANY,
    P_HOST_MALFORMED, P_HOST_MISMATCH, P_HOST_MISSING, P_HOST_REPEATED, P_TRANSFER_ENCODING_MALFORMED,
    P_TRANSFER_ENCODING_REPEATED, P_TRANSFER_ENCODING_UNKNOWN, P_TRANSFER_ENCODING_VERSION,
)
from core._fast.headers cimport (
    FIELD_FORWARDING, FIELD_HOP_BY_HOP, FIELD_IDENTITY, Field, H_CONNECTION, H_CONTENT_LENGTH, H_EXPECT,
    H_HOST, H_TE, H_TRANSFER_ENCODING, H_UPGRADE, Headers, classify,
)

cdef enum:
    # NOTE: each name that Connection lists is searched among all fields; without a bound a small head costs
    # much.
    MOST_OPTIONS = 64

cdef int64_t LARGEST_LENGTH = 0x7fffffffffffffff


cdef inline bint is_word(const char* text, Py_ssize_t n, const char* word, Py_ssize_t length) noexcept nogil:
    return n == length and equal_ignoring_case(text, word, n)


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or c == c'\t'


cdef Py_ssize_t next_element(const char** cursor, const char* end, const char** element) noexcept nogil:
    """Take the next element of a comma-separated list, trimmed; return its length, -1 after the last one."""
    cdef const char* p = cursor[0]
    cdef const char* last
    if p > end:
        return -1
    while p < end and is_space(p[0]):
        p += 1
    element[0] = p
    while p < end and p[0] != c',':
        p += 1
    cursor[0] = p + 1
    last = p
    while last > element[0] and is_space((last - 1)[0]):
        last -= 1
    return last - element[0]


cdef int meet_host(const Field* field, Head* head) noexcept nogil:
    if head.host_field != NULL:
        return P_HOST_REPEATED
    if not is_authority(field.value, field.value_len):
        return P_HOST_MALFORMED
    head.host_field = field.value
    head.host_field_len = field.value_len
    return 0


cdef int meet_connection(const Field* field, Head* head) noexcept nogil:
    cdef const char* cursor = field.value
    cdef const char* end = field.value + field.value_len
    cdef const char* option
    cdef Py_ssize_t n = next_element(&cursor, end, &option)
    while n >= 0:
        if is_word(option, n, b"close", 5):
            head.has_close = True
        elif is_word(option, n, b"keep-alive", 10):
            head.has_keep_alive = True
        elif is_word(option, n, b"upgrade", 7):
            head.has_connection_upgrade = True
        elif n > 0 and not is_word(option, n, b"te", 2):
            head.options += 1
            if head.options > MOST_OPTIONS:
                return P_CONNECTION_OPTIONS
        n = next_element(&cursor, end, &option)
    return 0


cdef int meet_content_length(const Field* field, Head* head) noexcept nogil:
    cdef int64_t value = 0
    cdef int digit
    cdef uint32_t i
    if field.value_len == 0:
        return P_CONTENT_LENGTH_MALFORMED
    for i in range(field.value_len):
        digit = <int>field.value[i] - c'0'
        if digit < 0 or digit > 9:
            return P_CONTENT_LENGTH_MALFORMED
        if value > (LARGEST_LENGTH - digit) // 10:
            return P_CONTENT_LENGTH_OVERFLOW
        value = value * 10 + digit
    if head.content_length >= 0 and head.content_length != value:
        return P_CONTENT_LENGTH_CONFLICT
    if head.has_transfer_encoding:
        return P_FRAMING_AMBIGUOUS
    head.content_length = value
    return 0


cdef int judge_codings(const char* cursor, const char* end) noexcept nogil:
    """Say what is wrong with a Transfer-Encoding that is not `chunked` alone."""
    cdef const char* coding
    cdef bint final = False     # the element before was chunked
    cdef Py_ssize_t n = next_element(&cursor, end, &coding)
    while n >= 0:
        if n == 0 or final or is_word(coding, n, b"identity", 8):
            return P_TRANSFER_ENCODING_MALFORMED
        if scan_class(coding, coding + n, CHAR_TOKEN) != coding + n:
            return P_TRANSFER_ENCODING_MALFORMED
        final = is_word(coding, n, b"chunked", 7)
        n = next_element(&cursor, end, &coding)
    return P_TRANSFER_ENCODING_UNKNOWN if final else P_TRANSFER_ENCODING_MALFORMED


cdef int meet_transfer_encoding(const Field* field, Head* head) noexcept nogil:
    if head.minor == 0:
        return P_TRANSFER_ENCODING_VERSION
    if head.has_transfer_encoding:
        return P_TRANSFER_ENCODING_REPEATED
    if not is_word(field.value, field.value_len, b"chunked", 7):
        return judge_codings(field.value, field.value + field.value_len)
    if head.content_length >= 0:
        return P_FRAMING_AMBIGUOUS
    head.has_transfer_encoding = True
    head.chunked = True
    return 0


cdef int meet_expect(const Field* field, Head* head) noexcept nogil:
    if not is_word(field.value, field.value_len, b"100-continue", 12):
        return P_EXPECTATION_UNKNOWN
    head.expect_continue = head.minor > 0
    return 0


cdef int meet_te(const Field* field, Head* head) noexcept nogil:
    cdef const char* cursor = field.value
    cdef const char* end = field.value + field.value_len
    cdef const char* coding
    cdef Py_ssize_t n = next_element(&cursor, end, &coding)
    while n >= 0:
        if is_word(coding, n, b"trailers", 8):
            head.te_trailers = True
        n = next_element(&cursor, end, &coding)
    return 0


cdef int meet(const Field* field, bint request, Head* head) noexcept nogil:
    """Take in a field that the parser itself must understand; return 0 or a ParseProblem."""
    if field.id == H_HOST:
        return meet_host(field, head) if request else 0
    if field.id == H_CONNECTION:
        return meet_connection(field, head)
    if field.id == H_CONTENT_LENGTH:
        return meet_content_length(field, head)
    if field.id == H_TRANSFER_ENCODING:
        return meet_transfer_encoding(field, head)
    if field.id == H_EXPECT:
        return meet_expect(field, head) if request else 0
    if field.id == H_UPGRADE:
        head.has_upgrade = head.has_upgrade or field.value_len > 0
        return 0
    return meet_te(field, head) if request else 0


cdef int flag_options(Headers headers) noexcept:
    """Mark the fields that Connection names as hop-by-hop.

    NOTE: only names that the table of known names does not hold. Those it holds are hop-by-hop by definition
    or meant for every recipient; a peer that names Host, X-Forwarded-For or Authorization in Connection
    removes nothing here.
    """
    cdef const char* cursor
    cdef const char* end
    cdef const char* option
    cdef Py_ssize_t n
    cdef Field* field
    cdef int i, j
    for i in range(headers.count):
        if headers.fields[i].id != H_CONNECTION:
            continue
        cursor = headers.fields[i].value
        end = cursor + headers.fields[i].value_len
        n = next_element(&cursor, end, &option)
        while n >= 0:
            for j in range(headers.count):
                field = &headers.fields[j]
                if field.id or field.flags & (FIELD_FORWARDING | FIELD_IDENTITY):
                    continue
                if is_word(field.name, field.name_len, option, n):
                    field.flags |= FIELD_HOP_BY_HOP
            n = next_element(&cursor, end, &option)
    return 0


cdef int settle(bint request, Head* head, Headers headers) noexcept:
    """Judge the block as a whole; return 0 or a ParseProblem."""
    if request:
        if head.host_field == NULL:
            if head.minor > 0:
                return P_HOST_MISSING
        elif head.host == NULL:
            head.host = head.host_field
            head.host_len = head.host_field_len
        elif not is_word(head.host, head.host_len, head.host_field, head.host_field_len):
            return P_HOST_MISMATCH
    head.keep_alive = not head.has_close and (head.minor > 0 or head.has_keep_alive)
    head.upgrade = head.minor > 0 and head.has_connection_upgrade and head.has_upgrade
    if head.options:
        flag_options(headers)
    return 0


cdef Py_ssize_t judge_name(
    const char* start, const char* stop, const char* end, bint first, int starved,
) noexcept nogil:
    """Say why the name that starts a line is not followed by its colon."""
    if stop == end:
        return starved
    if stop[0] == c'\n':
        return -P_BARE_LF
    if stop[0] == c'\r':
        if stop + 1 == end:
            return starved
        # (The blank line does not come here: it ended the block.)
        return -P_HEADER_NO_COLON if stop[1] == c'\n' else -P_BARE_CR
    if stop > start:
        return -P_HEADER_NAME_SPACE if is_space(stop[0]) else -P_HEADER_NAME_MALFORMED
    if is_space(stop[0]):
        return -P_HEADERS_LEADING_SPACE if first else -P_HEADER_FOLDED
    return -P_HEADER_NAME_EMPTY if stop[0] == c':' else -P_HEADER_NAME_MALFORMED


cdef Py_ssize_t judge_value(const char* stop, const char* end, int starved) noexcept nogil:
    """Say why a value does not end with CRLF."""
    if stop == end or (stop[0] == c'\r' and stop + 1 == end):
        return starved
    if stop[0] == c'\r':
        return -P_BARE_CR
    return -P_BARE_LF if stop[0] == c'\n' else -P_HEADER_VALUE_CHARACTER


cdef Py_ssize_t parse_fields(
    const char* data, Py_ssize_t size, uint32_t most, uint32_t count, int of, Head* head, Headers headers,
) except? -999:
    """Parse field lines up to and with the blank line."""
    cdef const char* end = data + size
    cdef const char* p = data
    cdef const char* stop
    cdef const char* last
    cdef Field* field
    cdef unsigned int seen
    cdef int problem, starved = 0
    if size > most:
        # NOTE: past the limit nothing is looked at, so the verdict is the same however much has come.
        end = data + most
        starved = -P_HEADERS_TOO_LARGE
    headers.count = 0
    while True:
        seen = 0
        stop = scan_name(p, end, &seen)
        if stop == end or stop[0] != c':' or stop == p:
            if end - p >= 2 and p[0] == c'\r' and p[1] == c'\n':
                break
            return judge_name(p, stop, end, p == data, starved)
        if <uint32_t>headers.count == count:
            return -P_HEADERS_TOO_MANY
        if headers.count == headers.capacity:
            headers.grow()
        field = &headers.fields[headers.count]
        field.name = p
        field.name_len = <uint32_t>(stop - p)
        p = stop + 1
        while p < end and is_space(p[0]):
            p += 1
        stop = scan_value(p, end)
        if end - stop < 2 or stop[0] != c'\r' or stop[1] != c'\n':
            return judge_value(stop, end, starved)
        last = stop
        while last > p and is_space((last - 1)[0]):
            last -= 1
        field.value = p
        field.value_len = <uint32_t>(last - p)
        classify(field, seen)
        if field.id and field.id <= H_TE and of != OF_TRAILERS:
            problem = meet(field, of == OF_REQUEST, head)
            if problem:
                return -problem
        headers.count += 1
        p = stop + 2
    if of != OF_TRAILERS:
        problem = settle(of == OF_REQUEST, head, headers)
        if problem:
            return -problem
    return p + 2 - data
