# A growing buffer of bytes to send: heads are written here and sent with one call.
# SAFETY: owned by the module that declares it; never freed, it lives as long as the process.

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from core._fast.headers cimport Field

cdef struct Out:
    char* data
    Py_ssize_t size
    Py_ssize_t capacity

cdef inline int room(Out* out, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity
    cdef char* data
    if out.size + more > out.capacity:
        capacity = max(out.capacity * 2, out.size + more + 4096)
        data = <char*>realloc(out.data, capacity)
        if data is NULL:
            raise MemoryError
        out.data = data
        out.capacity = capacity
    return 0

# NOTE: the callers of put and its like have made room.
cdef inline void put(Out* out, const char* data, Py_ssize_t size) noexcept nogil:
    memcpy(out.data + out.size, data, size)
    out.size += size

cdef inline void put_number(Out* out, uint64_t number) noexcept nogil:
    cdef char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <char>(c"0" + number % 10)
        number //= 10
        if number == 0:
            break
    put(out, digits + at, 20 - at)

cdef inline void put_field(Out* out, const Field* field) noexcept nogil:
    # PERF: a field as received is one copy; bench: proxied
    if field.value == field.name + field.name_len + 2 and field.name[field.name_len + 1] == c" ":
        put(out, field.name, field.name_len + 2 + field.value_len)
    else:
        put(out, field.name, field.name_len)
        put(out, b": ", 2)
        put(out, field.value, field.value_len)
    put(out, b"\r\n", 2)
