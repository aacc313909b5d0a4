"""Give header fields as ASGI has them: pairs of bytes, names in lower case.

The rule it guards: framing and hop-by-hop fields stay behind; they belong to one connection. Called by both
sides that speak ASGI: core/_fast/app_target and core/_fast/asgi_door.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t

from core._fast.chars cimport lower_char
from core._fast.headers cimport FIELD_FRAMING, FIELD_HOP_BY_HOP

from core._fast.headers import KNOWN_NAMES

cdef list known_names = [name for _, name, _ in sorted([(0, b"", 0), *KNOWN_NAMES])]


cdef bytes lower_name(const Field* field):
    """Return a field's name in lower case; one object for each known name."""
    cdef bytes name
    cdef char* letters
    cdef uint32_t i
    if field.id:
        return <bytes>known_names[field.id]
    name = PyBytes_FromStringAndSize(NULL, field.name_len)
    letters = PyBytes_AS_STRING(name)
    for i in range(field.name_len):
        letters[i] = <char>lower_char(<unsigned char>field.name[i])
    return name


cdef bytes value_of(const Field* field):
    """Return a field's value."""
    return PyBytes_FromStringAndSize(field.value, field.value_len) if field.value_len else b""


cdef list pairs_of(Headers headers, int but_for, int nor):
    """List the end-to-end fields, but for those with one of two ids."""
    cdef Field* field
    cdef list pairs = []
    cdef int i
    for i in range(headers.count):
        field = &headers.fields[i]
        if field.flags & (FIELD_HOP_BY_HOP | FIELD_FRAMING) or field.id == but_for or field.id == nor:
            continue
        pairs.append((lower_name(field), value_of(field)))
    return pairs
