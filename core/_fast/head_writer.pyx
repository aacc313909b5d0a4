"""Write outgoing heads: towards the target and towards the client.

The rule it guards: framing and hop-by-hop fields are always written anew, never passed on; what comes from
the peer was checked by the parser, what comes from plugins by Headers. Called by the two connections.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.string cimport memchr
from posix.types cimport time_t

from core._fast.headers cimport (
    FIELD_FRAMING, FIELD_HOP_BY_HOP, H_DATE, H_EXPECT, H_HOST, H_MAX_FORWARDS, H_UPGRADE,
    H_X_FORWARDED_FOR, H_X_FORWARDED_HOST, H_X_FORWARDED_PROTO, Field, Headers,
)
from core._fast.head cimport Head, M_HEAD, M_OPTIONS
from core._fast.message cimport Request, Response
from core._fast.out cimport put, put_field, put_number, room

from email.utils import formatdate
from http import HTTPStatus

cdef extern from "<time.h>" nogil:
    time_t c_time "time"(time_t* now)

cdef enum:
    FIXED_PART = 512      # more than all that is written besides fields, path, host and addresses

cdef list reason_texts = [b""] * 600
for _status in HTTPStatus:
    reason_texts[_status.value] = _status.phrase.encode()


cdef class Wording:
    def __init__(self, bytes name, bint via, bint x_forwarded, bint forwarded):
        self.name = name
        self.via = b"Via: 1.1 " + name + b"\r\n" if via else b""
        self.x_forwarded = x_forwarded
        self.forwarded = forwarded


# -- the date, made once a second ---------------------------------------------------------------------

cdef time_t date_second = 0
cdef bytes date_line = b""


cdef int put_date(Out* out) except -1:
    global date_second, date_line
    cdef time_t now = c_time(NULL)
    if now != date_second:
        date_second = now
        date_line = b"Date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
    put(out, PyBytes_AS_STRING(date_line), PyBytes_GET_SIZE(date_line))
    return 0


cdef inline void put_bytes(Out* out, bytes data) noexcept:
    put(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef Py_ssize_t fields_size(Headers headers) noexcept:
    cdef Py_ssize_t size = 0
    cdef int i
    for i in range(headers.count):
        size += headers.fields[i].name_len + headers.fields[i].value_len + 4
    return size


# -- towards the target -------------------------------------------------------------------------------

cdef int write_request_head(Out* out, Exchange exchange, Wording wording, const char* host, Py_ssize_t host_size,
                            Framing* framing) except -1:
    """Append the request's head; `host` is the Host to send, or NULL: the client's."""
    cdef Request request = exchange.request
    cdef Head* head = &request.head
    cdef Headers headers = request.headers
    cdef Field* field
    cdef int i
    if host is NULL:
        host = head.host
        host_size = head.host_len
    room(out, FIXED_PART + head.method_len + head.path_len + head.query_len + 3 * (host_size + head.host_len)
         + 2 * head.host_field_len + fields_size(headers) + 4 * PyBytes_GET_SIZE(exchange._peer)
         + 2 * PyBytes_GET_SIZE(wording.name))
    put(out, head.method_name, head.method_len)
    put(out, b" ", 1)
    put(out, head.path, head.path_len)
    if head.query is not NULL:
        put(out, b"?", 1)
        put(out, head.query, head.query_len)
    put(out, b" HTTP/1.1\r\nHost: ", 17)
    put(out, host, host_size)
    put(out, b"\r\n", 2)
    for i in range(headers.count):
        field = &headers.fields[i]
        if field.flags & (FIELD_HOP_BY_HOP | FIELD_FRAMING) or field.id == H_HOST or field.id == H_EXPECT:
            continue
        if field.id == H_X_FORWARDED_FOR and wording.x_forwarded:
            continue
        if field.id == H_MAX_FORWARDS and head.method == M_OPTIONS:
            put_max_forwards(out, field)
            continue
        put_field(out, field)
    put_forwarding(out, exchange, wording)
    put_hop_by_hop(out, head, headers)
    framing[0] = put_request_framing(out, exchange)
    put(out, b"\r\n", 2)
    return 0


cdef Framing put_request_framing(Out* out, Exchange exchange) noexcept:
    cdef Head* head = &exchange.request.head
    cdef int64_t length = head.content_length
    if exchange.request.body is not None:
        length = PyBytes_GET_SIZE(exchange.request.body)
        if length == 0 and head.content_length < 0 and not head.chunked:
            return NO_BODY
    if (head.chunked and exchange.request.body is None) or (length > 0 and exchange.plan.rewrites_bodies):
        put(out, b"Transfer-Encoding: chunked\r\n", 28)
        return BY_CHUNKS
    if length < 0:
        return NO_BODY
    put(out, b"Content-Length: ", 16)
    put_number(out, length)
    put(out, b"\r\n", 2)
    return BY_LENGTH if length else NO_BODY


cdef void put_forwarding(Out* out, Exchange exchange, Wording wording) noexcept:
    cdef Head* head = &exchange.request.head
    cdef Headers headers = exchange.request.headers
    cdef const char* peer = PyBytes_AS_STRING(exchange._peer)
    cdef Py_ssize_t peer_size = PyBytes_GET_SIZE(exchange._peer)
    # NOTE: what the client asked for, whatever host a plugin has sent the request to.
    cdef const char* host = head.host_field if head.host_field is not NULL else head.host
    cdef Py_ssize_t host_size = head.host_field_len if head.host_field is not NULL else head.host_len
    cdef Field* earlier
    cdef int i
    if peer[0] == c"u":     # "unix"
        peer = b"unknown"
        peer_size = 7
    if wording.x_forwarded:
        put(out, b"X-Forwarded-For: ", 17)
        if headers.find_id(H_X_FORWARDED_FOR) is not NULL:
            for i in range(headers.count):
                earlier = &headers.fields[i]
                if earlier.id == H_X_FORWARDED_FOR and earlier.value_len:
                    put(out, earlier.value, earlier.value_len)
                    put(out, b", ", 2)
        put(out, peer, peer_size)
        put(out, b"\r\n", 2)
        if headers.find_id(H_X_FORWARDED_PROTO) is NULL:
            put(out, b"X-Forwarded-Proto: https\r\n" if exchange.secure else b"X-Forwarded-Proto: http\r\n",
                26 if exchange.secure else 25)
        if host_size and headers.find_id(H_X_FORWARDED_HOST) is NULL:
            put(out, b"X-Forwarded-Host: ", 18)
            put(out, host, host_size)
            put(out, b"\r\n", 2)
    if wording.forwarded:
        if memchr(peer, c":", peer_size) is not NULL:
            put(out, b"Forwarded: for=\"[", 17)
            put(out, peer, peer_size)
            put(out, b"]\"", 2)
        else:
            put(out, b"Forwarded: for=", 15)
            put(out, peer, peer_size)
        if host_size:
            put(out, b";host=\"", 7)
            put(out, host, host_size)
            put(out, b"\"", 1)
        put(out, b";proto=https\r\n" if exchange.secure else b";proto=http\r\n", 14 if exchange.secure else 13)
    put_bytes(out, wording.via)


cdef void put_hop_by_hop(Out* out, Head* head, Headers headers) noexcept:
    cdef Field* upgrade
    if head.upgrade:
        upgrade = headers.find_id(H_UPGRADE)
        # NOTE: over HTTP/2 in a tunnel, requests would pass that no route and no plugin sees.
        if upgrade is NULL or names_http2(upgrade):
            head.upgrade = False
        else:
            put(out, b"Connection: upgrade\r\n", 21)
            put_field(out, upgrade)
            return
    if head.te_trailers:
        put(out, b"Connection: te\r\nTE: trailers\r\n", 30)


cdef bint names_http2(const Field* upgrade) noexcept:
    cdef uint32_t i
    for i in range(2, upgrade.value_len):
        if upgrade.value[i - 2] | 0x20 == c"h" and upgrade.value[i - 1] == c"2" and upgrade.value[i] | 0x20 == c"c":
            return True
    return False


cdef void put_max_forwards(Out* out, const Field* field) noexcept:
    cdef int64_t left = 0
    cdef uint32_t i
    for i in range(min(field.value_len, 9)):
        if not c"0" <= field.value[i] <= c"9":
            put_field(out, field)
            return
        left = left * 10 + field.value[i] - c"0"
    put(out, b"Max-Forwards: ", 14)
    put_number(out, max(left - 1, 0))
    put(out, b"\r\n", 2)


# -- towards the client -------------------------------------------------------------------------------

cdef void put_status_line(Out* out, int status, const char* reason, Py_ssize_t reason_size) noexcept:
    cdef bytes known
    put(out, b"HTTP/1.1 ", 9)
    put_number(out, status)
    put(out, b" ", 1)
    if reason is not NULL:
        put(out, reason, reason_size)
    else:
        known = <bytes>reason_texts[status]
        put_bytes(out, known)
    put(out, b"\r\n", 2)


cdef int write_response_head(Out* out, Exchange exchange, Wording wording, bint keep_alive,
                             Framing* framing) except -1:
    """Append the response's head; BY_CLOSE overrules `keep_alive`."""
    cdef Response response = exchange._response
    cdef Headers headers = response.headers
    cdef Field* field
    cdef bint has_date = False
    cdef int i
    room(out, FIXED_PART + response.reason_len + fields_size(headers) + PyBytes_GET_SIZE(wording.name))
    put_status_line(out, response.code, response.reason, response.reason_len)
    for i in range(headers.count):
        field = &headers.fields[i]
        if field.flags & (FIELD_HOP_BY_HOP | FIELD_FRAMING):
            continue
        if field.id == H_DATE:
            has_date = True
        put_field(out, field)
    if response.code == 101:
        put(out, b"Connection: upgrade\r\n", 21)
        field = headers.find_id(H_UPGRADE)
        if field is not NULL:
            put_field(out, field)
        put(out, b"\r\n", 2)
        framing[0] = BY_CLOSE
        return 0
    if not has_date:
        put_date(out)
    if exchange.forwarded and not exchange.answered_here:
        put_bytes(out, wording.via)
    framing[0] = put_response_framing(out, exchange)
    if not keep_alive or framing[0] == BY_CLOSE:
        put(out, b"Connection: close\r\n", 19)
    elif exchange.request.head.minor == 0:
        put(out, b"Connection: keep-alive\r\n", 24)
    put(out, b"\r\n", 2)
    return 0


cdef Framing put_response_framing(Out* out, Exchange exchange) noexcept:
    cdef Response response = exchange._response
    cdef int64_t length = response.content_length
    cdef bint bodiless = exchange.request.head.method == M_HEAD or response.code == 304
    if response.code == 204:
        return NO_BODY
    if response.body is not None:
        # NOTE: a body held here says nothing about the length of what a 304, or a target's answer to HEAD,
        # stands for.
        length = PyBytes_GET_SIZE(response.body)
        if response.code == 304 or (bodiless and not exchange.answered_here):
            length = -1
    elif exchange.plan.rewrites_bodies:
        length = -1
    if response.rewritten:
        length = -1
    if length >= 0:
        put(out, b"Content-Length: ", 16)
        put_number(out, length)
        put(out, b"\r\n", 2)
    if bodiless:
        return NO_BODY
    if length >= 0:
        return BY_LENGTH
    if exchange.request.head.minor == 0:
        return BY_CLOSE
    put(out, b"Transfer-Encoding: chunked\r\n", 28)
    return BY_CHUNKS


cdef int write_interim_head(Out* out, Exchange exchange, int status, object headers) except -1:
    """Append an interim response: status line, end-to-end fields, blank line."""
    cdef Headers fields = headers
    cdef int i
    room(out, FIXED_PART + (fields_size(fields) if fields is not None else 0))
    put_status_line(out, status, NULL, 0)
    if fields is not None:
        for i in range(fields.count):
            if not fields.fields[i].flags & (FIELD_HOP_BY_HOP | FIELD_FRAMING):
                put_field(out, &fields.fields[i])
    put(out, b"\r\n", 2)
    return 0


cdef int write_trailers(Out* out, object trailers) except -1:
    """Append the end of a chunked body: the last chunk, trailer fields if any, blank line."""
    cdef Headers fields = trailers
    cdef int i
    room(out, 8 + (fields_size(fields) if fields is not None else 0))
    put(out, b"0\r\n", 3)
    if fields is not None:
        for i in range(fields.count):
            put_field(out, &fields.fields[i])
    put(out, b"\r\n", 2)
    return 0
