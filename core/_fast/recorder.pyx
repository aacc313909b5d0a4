"""Log an exchange: read its fields where they lie and append them to a request log's buffer.

The rule it guards: a logged exchange costs one call and no Python object. The request-log plugin calls it in
the log phase. PERF: bench/request_log.py.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from core._fast.clock cimport realtime_ns
from core._fast.exchange cimport Exchange
from core._fast.headers cimport H_USER_AGENT, Field
from core._fast.message cimport Request
from core._fast.record cimport (
    RECORD_ABORTED, RECORD_TLS, RECORD_UPGRADED, T_CLIENT, T_CONSUMER, T_HOST, T_METHOD, T_PATH, T_PROBLEM,
    T_PROTOCOL, T_QUERY, T_REQUEST_ID, T_ROUTE, T_TARGET, T_TRACE_ID, T_UPSTREAM, T_USER_AGENT, RecordBuffer,
    RecordFields, Text,
)
from core._fast.sampler cimport Sampler

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    CLIENT_WENT = 499


cdef inline void put(RecordFields* fields, Text index, const char* data, Py_ssize_t size) noexcept:
    fields.text[<int>index].data = data
    fields.text[<int>index].size = <uint32_t>size


cdef inline void put_bytes(RecordFields* fields, Text index, bytes text) noexcept:
    if text is not None:
        put(fields, index, <const char*>text, len(text))


cdef int put_str(RecordFields* fields, Text index, str text) except -1:
    # SAFETY: a str keeps its UTF-8 as long as it lives, and the exchange keeps the str.
    cdef Py_ssize_t size
    cdef const char* data
    if text is not None:
        data = PyUnicode_AsUTF8AndSize(text, &size)
        put(fields, index, data, size)
    return 0


cdef str consumer_name(object consumer):
    return consumer if consumer is None or type(consumer) is str else consumer.name


cdef class Recorder:
    """Append exchanges to ``buffer``: a share of them, but with ``failures`` all that failed.

    The share is decided by the trace id, failing that the request id, failing that the time. Failed is what
    ended with a problem, a status of 500 or more, or no answer. Queries are left out unless wanted.
    """

    cdef RecordBuffer buffer
    cdef Sampler sampler
    cdef bint failures
    cdef bint queries

    def __init__(self, RecordBuffer buffer not None, double share=1.0, bint failures=True, *,
                 bint queries=True):
        self.buffer = buffer
        self.sampler = Sampler(share)
        self.failures = failures
        self.queries = queries

    def log(self, Exchange exchange not None):
        """Log an exchange that has ended."""
        cdef RecordFields fields
        cdef str consumer
        if self.buffer is None or exchange.plan is None or not self.wants(exchange):
            return
        memset(&fields, 0, sizeof(fields))
        put_request(&fields, exchange.request)
        put_numbers(&fields, exchange)
        # SAFETY: `consumer` keeps the name's bytes until the record is made.
        consumer = consumer_name(exchange.consumer)
        put_names(&fields, exchange, consumer)
        if exchange.matched is not NULL and exchange.matched_len:
            put(&fields, T_PATH, exchange.matched, exchange.matched_len)
        if not self.queries:
            put(&fields, T_QUERY, NULL, 0)
        self.buffer.append(&fields)

    cdef bint wants(self, Exchange exchange) noexcept:
        cdef bytes key
        cdef int64_t started = exchange.started
        if self.sampler.all:
            return True
        if self.failures and (exchange.status >= 500 or exchange.status == 0 or exchange.problem is not None):
            return True
        key = exchange.trace_id or exchange.request_id
        if key is None:
            return self.sampler.take(<const char*>&started, sizeof(started))
        return self.sampler.take(key, len(key))


cdef void put_request(RecordFields* fields, Request request) noexcept:
    cdef Field* agent = request.headers.find_id(H_USER_AGENT)
    put(fields, T_METHOD, request.head.method_name, request.head.method_len)
    put(fields, T_PATH, request.head.path, request.head.path_len)
    put(fields, T_QUERY, request.head.query, request.head.query_len)
    put(fields, T_HOST, request.head.host, request.head.host_len)
    put(fields, T_PROTOCOL, "http/1.1" if request.head.minor else "http/1.0", 8)
    if agent is not NULL:
        put(fields, T_USER_AGENT, agent.value, agent.value_len)


cdef void put_numbers(RecordFields* fields, Exchange exchange) noexcept:
    cdef int64_t answered = exchange.first_byte if exchange.first_byte else exchange.ended
    fields.status = <uint32_t>exchange.status
    fields.duration_ns = exchange.ended - exchange.started
    fields.time_ns = realtime_ns() - fields.duration_ns
    fields.upstream_ns = answered - exchange.began_target if exchange.began_target else -1
    fields.attempts = 0 if exchange.began_target == 0 else 2 if exchange.replayed else 1
    fields.bytes_in = exchange.bytes_in
    fields.bytes_out = exchange.bytes_out
    if exchange.status == CLIENT_WENT:
        fields.flags |= RECORD_ABORTED
    if exchange.upgraded:
        fields.flags |= RECORD_UPGRADED
    if exchange.secure:
        fields.flags |= RECORD_TLS


cdef int put_names(RecordFields* fields, Exchange exchange, str consumer) except -1:
    put_str(fields, T_ROUTE, exchange.plan.route)
    if exchange.plan.target is not None:
        put_str(fields, T_UPSTREAM, exchange.plan.target.name)
    put_str(fields, T_TARGET, exchange.server)
    put_str(fields, T_PROBLEM, exchange.problem)
    put_bytes(fields, T_CLIENT, exchange._client)
    put_bytes(fields, T_REQUEST_ID, exchange.request_id)
    put_bytes(fields, T_TRACE_ID, exchange.trace_id)
    put_str(fields, T_CONSUMER, consumer)
    return 0
