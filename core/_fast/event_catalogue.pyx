"""Read and write the catalogue of an event log's segments.

    u32 crc32c of everything after it, u32 count, u64 revision, then for each segment, oldest first
    u32 number, u32 zero, u64 first position, i64 start, i64 end (ns), 32 bytes hash of the record before it

all little-endian, under the key `catalogue`. Rule: it changes as a whole, and its revision grows with every
change, so whoever holds a copy sees by one number that it is old.
core/_fast/event_env reads it in every transaction, core/_fast/event_segments changes it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from core._fast.crc32c cimport crc32c
from core._fast.event_layout cimport load32, load64
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport MDB_NOTFOUND, PUT_RESERVE, Dbi, Txn, Val, mdb

cdef enum:
    AT_COUNT = 4
    AT_REVISION = 8
    CATALOGUE_HEAD = 16
    ENTRY_SIZE = 64

cdef char* KEY = "catalogue"


cdef inline void store32(char* to, uint32_t value) noexcept nogil:
    value = htole32(value)
    memcpy(to, &value, 4)


cdef inline void store64(char* to, uint64_t value) noexcept nogil:
    value = htole64(value)
    memcpy(to, &value, 8)


cdef int find_catalogue(Txn* txn, Dbi meta, Val* found) noexcept nogil:
    cdef Val key = Val(9, KEY)
    cdef int code = mdb.get(txn, meta, &key, found)
    if code == 0 and found.size < CATALOGUE_HEAD + ENTRY_SIZE or code == MDB_NOTFOUND:
        return LOG_DAMAGED
    return code


cdef int read_revision(Txn* txn, Dbi meta, uint64_t* revision) noexcept nogil:
    cdef Val found
    cdef int code = find_catalogue(txn, meta, &found)
    if code == 0:
        revision[0] = load64(<const char*>found.data + AT_REVISION)
    return code


cdef int read_catalogue(Txn* txn, Dbi meta, Catalogue* catalogue) noexcept nogil:
    cdef Val found
    cdef Segment* segment
    cdef const char* at
    cdef int index
    cdef int code = find_catalogue(txn, meta, &found)
    if code:
        return code
    at = <const char*>found.data
    cdef uint32_t count = load32(at + AT_COUNT)
    if (count > MOST_SEGMENTS or found.size != CATALOGUE_HEAD + count * ENTRY_SIZE
            or crc32c(0, at + AT_COUNT, <Py_ssize_t>found.size - AT_COUNT) != load32(at)):
        return LOG_DAMAGED
    catalogue.revision = load64(at + AT_REVISION)
    catalogue.count = <int>count
    at += CATALOGUE_HEAD
    for index in range(<int>count):
        segment = &catalogue.segments[index]
        memset(segment, 0, sizeof(Segment))
        segment.number = load32(at)
        segment.first = load64(at + 8)
        segment.start_ns = <int64_t>load64(at + 16)
        segment.end_ns = <int64_t>load64(at + 24)
        memcpy(segment.hash_before, at + 32, HASH_ROOM)
        at += ENTRY_SIZE
    return 0


cdef int write_catalogue(Txn* txn, Dbi meta, const Catalogue* catalogue) noexcept nogil:
    cdef Val key = Val(9, KEY)
    cdef Val room = Val(CATALOGUE_HEAD + catalogue.count * ENTRY_SIZE, NULL)
    cdef const Segment* segment
    cdef char* at
    cdef int index
    cdef int code = mdb.put(txn, meta, &key, &room, PUT_RESERVE)
    if code:
        return code
    at = <char*>room.data
    store32(at + AT_COUNT, <uint32_t>catalogue.count)
    store64(at + AT_REVISION, catalogue.revision)
    at += CATALOGUE_HEAD
    for index in range(catalogue.count):
        segment = &catalogue.segments[index]
        store32(at, segment.number)
        store32(at + 4, 0)
        store64(at + 8, segment.first)
        store64(at + 16, <uint64_t>segment.start_ns)
        store64(at + 24, <uint64_t>segment.end_ns)
        memcpy(at + 32, segment.hash_before, HASH_ROOM)
        at += ENTRY_SIZE
    at = <char*>room.data
    store32(at, crc32c(0, at + AT_COUNT, <Py_ssize_t>room.size - AT_COUNT))
    return 0


cdef int find_segment(const Catalogue* catalogue, uint64_t position) noexcept nogil:
    cdef int index = catalogue.count - 1
    while index >= 0 and catalogue.segments[index].first > position:
        index -= 1
    return index
