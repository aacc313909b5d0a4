"""Keep values that change, in the transaction of the events that they follow from.

    state, keys       key -> u32 crc32c of key and value, value

Rule: what is read is what was written under that key. core/_fast/event_writer and event_store call.
"""

from libc.string cimport memcpy

from core._fast.crc32c cimport crc32c
from core._fast.event_catalogue cimport htole32
from core._fast.event_layout cimport load32
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport MDB_NOTFOUND, PUT_RESERVE, mdb


cdef int put_value(Txn* txn, Dbi table, const StatePart* part, bint* changed) noexcept nogil:
    cdef Val key = Val(part.key_size, <void*>part.key)
    cdef Val room = Val(VALUE_HEAD + part.size, NULL)
    cdef unsigned int sum
    cdef int code
    if part.value == NULL:
        code = mdb.delete(txn, table, &key, NULL)
        if code == MDB_NOTFOUND:
            return 0
        changed[0] = True
        return code
    changed[0] = True
    code = mdb.put(txn, table, &key, &room, PUT_RESERVE)
    if code == 0:
        sum = crc32c(crc32c(0, part.key, part.key_size), part.value, <Py_ssize_t>part.size)
        sum = htole32(sum)
        memcpy(room.data, &sum, VALUE_HEAD)
        memcpy(<char*>room.data + VALUE_HEAD, part.value, part.size)
    return code


cdef int open_value(const Val* key, Val* value) noexcept nogil:
    cdef const char* at = <const char*>value.data
    if value.size < VALUE_HEAD:
        return LOG_DAMAGED
    value.data = <void*>(at + VALUE_HEAD)
    value.size -= VALUE_HEAD
    if crc32c(crc32c(0, <const char*>key.data, <Py_ssize_t>key.size), <const char*>value.data,
              <Py_ssize_t>value.size) != load32(at):
        return LOG_DAMAGED
    return 0
