"""Append typical records from a compiled loop, as the log phase does. bench/request_log compiles it."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset, strlen

from core._fast.clock cimport realtime_ns
from core._fast.record cimport (
    T_CLIENT, T_HOST, T_METHOD, T_PATH, T_PROTOCOL, T_REQUEST_ID, T_ROUTE, T_TARGET, T_TRACE_ID, T_UPSTREAM,
    T_USER_AGENT, RecordBuffer, RecordFields,
)


cdef void put(RecordFields* fields, int index, const char* text) noexcept nogil:
    fields.text[index].data = text
    fields.text[index].size = <unsigned int>strlen(text)


cdef void put_digits(char* out, unsigned int value, int digits) noexcept nogil:
    cdef int index
    for index in range(digits):
        out[digits - 1 - index] = c'0' + value % 10
        value //= 10


def append_records(RecordBuffer buffer, int count, bint append=True):
    """Make ``count`` records of a proxied GET and append them, or only make them: the cost of the loop."""
    cdef RecordFields fields
    cdef char path[64]
    cdef char request_id[64]
    cdef char trace_id[64]
    cdef int index
    cdef unsigned int mixed
    memcpy(path, <const char*>b"/markets/00000000/orders", 25)
    memcpy(request_id, <const char*>b"00000000-7c1f-4a3e-9d21-8e5f00000000", 37)
    memcpy(trace_id, <const char*>b"0af7651916cd43dd8448eb2100000000", 33)
    cdef int64_t now = realtime_ns()
    for index in range(count):
        mixed = <unsigned int>index * 2654435761U
        put_digits(path + 9, mixed, 8)
        put_digits(request_id, mixed, 8)
        put_digits(trace_id + 24, mixed, 8)
        memset(&fields, 0, sizeof(fields))
        put(&fields, T_METHOD, b"GET")
        put(&fields, T_PATH, path)
        put(&fields, T_HOST, b"api.example.test")
        put(&fields, T_ROUTE, b"market-orders")
        put(&fields, T_UPSTREAM, b"markets")
        put(&fields, T_TARGET, b"10.0.0.12:9000")
        put(&fields, T_CLIENT, b"198.51.100.23")
        put(&fields, T_REQUEST_ID, request_id)
        put(&fields, T_TRACE_ID, trace_id)
        put(&fields, T_PROTOCOL, b"http/1.1")
        put(&fields, T_USER_AGENT, b"python-httpx/0.28.1")
        fields.time_ns = now + index * 25_000
        fields.duration_ns = 1_234_567 + mixed % 1_000_000
        fields.upstream_ns = 1_000_000 + mixed % 1_000_000
        fields.bytes_in = 312
        fields.bytes_out = 1240 + mixed % 500
        fields.status = 200
        fields.attempts = 1
        if append:
            buffer.append(&fields)
