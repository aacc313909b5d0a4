"""Answer from what a cache holds, where that needs no thought; leave everything else to the cache plugin.

The rule it guards: what a request says about caches, or who it speaks for, is never overlooked for speed: only a
request that says nothing of the kind is answered here, with an answer that is good for everyone and fresh. The
cache plugin is CacheGate with decisions; core/cache/store holds the answers.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcpy

from core._fast.exchange cimport Exchange
from core._fast.head cimport M_GET, M_HEAD, Head
from core._fast.headers cimport (
    FIELD_FRAMING, FIELD_HOP_BY_HOP, H_AUTHORIZATION, H_CACHE_CONTROL, H_COOKIE, H_IF_RANGE, H_PRAGMA, H_RANGE, Headers,
)
from core._fast.message cimport Response


cdef class ReadyAnswer(Slot):
    """Be an answer that is kept: its status, headers and body, and until when it may be given without asking.

    headers: pairs of bytes; what frames a message or belongs to one connection is left out
    """

    def __init__(self, key, Py_ssize_t size, tuple names, int status, headers, bytes body not None, *,
                 double born, double fresh_until, bint for_cookies=True):
        super().__init__(key, size, names)
        self.base = Response(status, headers, body)
        self.base.fixed = True
        self.born = born
        self.fresh_until = fresh_until
        self.for_cookies = for_cookies
        self.second = -1

    cdef Response at(self, double now, bytes wording):
        """Return the answer as it is to be sent now.

        PERF: it is made once a second: all requests of that second share its headers.
        """
        cdef int64_t second = <int64_t>(now - self.born)
        cdef Response ready
        if second < 0:
            second = 0
        if second == self.second and wording is self.wording:
            return self.ready
        ready = Response.__new__(Response)
        ready.copy(self.base)
        ready.headers.set_raw(b"age", b"%d" % second)
        if wording is not None:
            ready.headers.add_raw(b"cache-status", b"%b; hit; ttl=%d" % (wording, <int64_t>(self.fresh_until - now)))
        ready.fixed = True
        self.ready = ready
        self.second = second
        self.wording = wording
        return ready


cdef class VarySplit(Slot):
    """Say which request headers choose among the answers to one URL."""

    def __init__(self, key, Py_ssize_t size, tuple fields not None):
        super().__init__(key, size, ())
        self.fields = fields


cdef class CacheGate:
    """Answer what can be answered at once; ``decide``, ``answered``, ``taken`` and ``ended`` are a subclass's.

    items:   the store's, by key
    timed:   whose ``clock`` gives the seconds since 1970
    hits:    counter of the answers given
    wording: how Cache-Status begins: the cache's name; None: no such field
    """

    def __init__(self, dict items not None, timed, hits, bytes wording):
        self.items = items
        self.timed = timed
        self.hits = hits
        self.wording = wording

    def request(self, Exchange exchange not None):
        """Answer from the store, or decide at leisure."""
        cdef bytes key
        cdef ReadyAnswer found
        cdef object item
        cdef double now
        if exchange.consumer is None and is_plain(exchange):
            key = cache_key(exchange)
            item = self.items.get(key)
            if item is not None and type(item) is VarySplit:
                item = self.items.get(vary_key(key, (<VarySplit>item).fields, exchange.request.headers))
            if item is not None and isinstance(item, ReadyAnswer):
                found = item
                now = self.timed.clock()
                if now < found.fresh_until and (
                    found.for_cookies or exchange.request.headers.find_id(H_COOKIE) is NULL
                ):
                    found.touch()
                    self.hits.add()
                    return found.at(now, self.wording)
        return self.decide(exchange)

    def response(self, Exchange exchange not None):
        """Leave an answer to a request that was decided about to ``answered``."""
        cdef object turn = None if exchange._state is None else exchange._state.get(self)
        if turn is not None:
            self.answered(exchange, turn)

    def chunk(self, Exchange exchange not None, str side, bytes piece, bint last):
        """Give pieces of a target's answer to ``taken``."""
        cdef object turn = None if exchange._state is None else exchange._state.get(self)
        if turn is not None and side == "response":
            self.taken(turn, piece, last)

    def log(self, Exchange exchange not None):
        """Tell ``ended`` of the end of what was decided about."""
        cdef object turn = None if exchange._state is None else exchange._state.get(self)
        if turn is not None:
            self.ended(exchange, turn)


cdef bint is_plain(Exchange exchange) noexcept:
    """Tell whether a request asks for a whole answer, and says nothing about caches nor who sends it."""
    cdef Head* head = &exchange.request.head
    cdef Headers headers = exchange.request.headers
    cdef int i, id
    if not is_cacheable(head):
        return False
    for i in range(headers.count):
        id = headers.fields[i].id
        if H_RANGE <= id <= H_IF_RANGE or id == H_AUTHORIZATION or id == H_CACHE_CONTROL or id == H_PRAGMA:
            return False
    return True


cdef bint is_cacheable(Head* head) noexcept:
    return (
        (head.method == M_GET or head.method == M_HEAD)
        and head.content_length <= 0 and not head.chunked and not head.upgrade
    )


def may_be_kept(Exchange exchange not None):
    """Tell whether a request is one whose answer may be kept: GET or HEAD, without a body."""
    return is_cacheable(&exchange.request.head)


cpdef bytes cache_key(Exchange exchange):
    """Return what an answer is kept under: the route, and the URL that the target is asked for."""
    cdef Head* head = &exchange.request.head
    cdef Py_ssize_t route_size = 0
    cdef const char* route = PyUnicode_AsUTF8AndSize(exchange.plan.route, &route_size)
    cdef Py_ssize_t size = route_size + head.host_len + head.path_len + 3
    cdef bytes key
    cdef char* at
    if head.query is not NULL:
        size += head.query_len + 1
    key = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(key)
    memcpy(at, route, route_size)
    at += route_size
    at[0] = c" "
    at[1] = c"s" if exchange.secure else c"-"
    at[2] = c" "
    at += 3
    if head.host_len:
        memcpy(at, head.host, head.host_len)
        at += head.host_len
    memcpy(at, head.path, head.path_len)
    at += head.path_len
    if head.query is not NULL:
        at[0] = c"?"
        if head.query_len:
            memcpy(at + 1, head.query, head.query_len)
    return key


cpdef bytes vary_key(bytes key, tuple fields, Headers headers):
    """Return what an answer is kept under that depends on request headers."""
    cdef list parts = [key]
    cdef list values
    cdef bytes name
    for name in fields:
        values = headers.get_all(name)
        # NOTE: no header is not the same as an empty one (RFC 9111 section 4.1).
        parts.append(b"=" + b",".join(values) if values else b"-")
    return b"\n".join(parts)


def public_url(Exchange exchange not None):
    """Return the URL that the client asked for, whatever plugins have made of it: what purges go by."""
    cdef Head* head = &exchange.request.head
    cdef bytes host, path, query = b""
    cdef const char* mark = <const char*>memchr(head.target, c"?", head.target_len)
    if head.host_field is not NULL:
        host = PyBytes_FromStringAndSize(<char*>head.host_field, head.host_field_len)
    else:
        host = PyBytes_FromStringAndSize(<char*>head.host, head.host_len)
    if exchange.matched is not NULL:
        path = PyBytes_FromStringAndSize(<char*>exchange.matched, exchange.matched_len)
    else:
        path = PyBytes_FromStringAndSize(<char*>head.path, head.path_len)
    if mark is not NULL:
        query = PyBytes_FromStringAndSize(<char*>mark, head.target + head.target_len - mark)
    return b"%b://%b%b%b" % (b"https" if exchange.secure else b"http", host.lower(), path, query)


def end_to_end(Headers headers not None):
    """Return the fields that belong to a message and not to its connection or framing, as pairs of bytes."""
    return [
        (name, value) for name, value in headers.items()
        if not headers.flags(name) & (FIELD_HOP_BY_HOP | FIELD_FRAMING)
    ]


def replace_answer(Exchange exchange not None, Response response not None):
    """Put another answer in the place of a target's, in a response phase."""
    exchange._response.copy(response)
