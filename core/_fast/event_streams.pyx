"""Find streams by name, and their events by version; number the names of types and tags.

    streams           name -> u32 crc32c of name and rest, u64 id, u64 version and u64 position of its last event
    tags              name -> u32 crc32c of name and rest, u64 id
    s.N               stream id, version -> u64 position, of every 64th version

Ids count from 1. Numbers in keys are big-endian, in values little-endian. Each record names the position of its
stream's event before it, so a stream is walked downwards: from its head, or from the mark above a version.
Rule: a stream's versions go on where they were, also when the segments of its events were dropped.
core/_fast/event_writer, event_reader and event_check call.

PERF: bench/event_log.py. A commit to many streams changes as many pages as their heads fill; an index of every
event by stream would change a page for each stream.
"""

from libc.string cimport memcpy

from core._fast.crc32c cimport crc32c
from core._fast.event_catalogue cimport find_segment, get_u64, htole32, htole64, put_u64
from core._fast.event_layout cimport AT_PREVIOUS_POSITION, AT_VERSION, HEAD_SIZE, load32, load64
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport CURSOR_SET_KEY, CURSOR_SET_RANGE, MDB_KEYEXIST, MDB_NOTFOUND, PUT_NO_OVERWRITE, mdb


cdef inline void store64(char* to, uint64_t value) noexcept nogil:
    value = htole64(value)
    memcpy(to, &value, 8)


cdef inline uint32_t sum_of(const Val* key, const Val* value) noexcept nogil:
    return crc32c(crc32c(0, <const char*>key.data, <Py_ssize_t>key.size), <const char*>value.data + 4,
                  <Py_ssize_t>value.size - 4)


cdef inline void store_sum(const Val* key, const Val* value) noexcept nogil:
    cdef uint32_t sum = htole32(sum_of(key, value))
    memcpy(value.data, &sum, 4)


cdef inline bint is_sound(const Val* key, const Val* value, size_t size) noexcept nogil:
    return value.size == size and load32(<const char*>value.data) == sum_of(key, value)


# -- names ------------------------------------------------------------------------------------------------------


cdef int open_tag(const Val* key, const Val* value, uint64_t* found) noexcept nogil:
    if not is_sound(key, value, NAME_SIZE):
        return LOG_DAMAGED
    found[0] = load64(<const char*>value.data + 4)
    return 0


cdef int open_stream(const Val* key, const Val* value, Stream* found) noexcept nogil:
    cdef const char* at = <const char*>value.data
    if not is_sound(key, value, STREAM_SIZE):
        return LOG_DAMAGED
    found.id = load64(at + 4)
    found.version = load64(at + 12)
    found.position = load64(at + 20)
    return 0


cdef int find_tag(Txn* txn, Dbi tags, const char* text, uint32_t size, uint64_t* found) noexcept nogil:
    cdef Val key = Val(size, <void*>text)
    cdef Val value
    cdef int code = mdb.get(txn, tags, &key, &value)
    found[0] = 0
    if code == MDB_NOTFOUND:
        return 0
    return code or open_tag(&key, &value, found)


cdef int find_stream(Txn* txn, Dbi streams, const char* text, uint32_t size, Stream* found) noexcept nogil:
    cdef Val key = Val(size, <void*>text)
    cdef Val value
    cdef int code = mdb.get(txn, streams, &key, &value)
    found[0] = Stream(0, 0, 0)
    if code == MDB_NOTFOUND:
        return 0
    return code or open_stream(&key, &value, found)


cdef int add_tag(Txn* txn, Dbi tags, const char* text, uint32_t size, uint64_t id) noexcept nogil:
    cdef char[NAME_SIZE] stored
    cdef Val key = Val(size, <void*>text)
    cdef Val value = Val(NAME_SIZE, &stored[0])
    store64(stored + 4, id)
    store_sum(&key, &value)
    cdef int code = mdb.put(txn, tags, &key, &value, PUT_NO_OVERWRITE)
    return LOG_DAMAGED if code == MDB_KEYEXIST else code


cdef int put_stream(Txn* txn, Dbi streams, const char* text, uint32_t size, const Stream* stream) noexcept nogil:
    cdef char[STREAM_SIZE] stored
    cdef Val key = Val(size, <void*>text)
    cdef Val value = Val(STREAM_SIZE, &stored[0])
    store64(stored + 4, stream.id)
    store64(stored + 12, stream.version)
    store64(stored + 20, stream.position)
    store_sum(&key, &value)
    return mdb.put(txn, streams, &key, &value, 0)


# -- marks ------------------------------------------------------------------------------------------------------


cdef int put_mark(Txn* txn, const Segment* segment, const Stream* at) noexcept nogil:
    cdef char[MARK_KEY] key
    cdef char[MARK_SIZE] value
    cdef Val key_val = Val(MARK_KEY, &key[0])
    cdef Val data = Val(MARK_SIZE, &value[0])
    put_u64(key, at.id)
    put_u64(key + 8, at.version)
    store64(value, at.position)
    return mdb.put(txn, segment.streams, &key_val, &data, 0)


cdef int find_mark(Txn* txn, const Catalogue* catalogue, uint64_t version, int* index, Stream* at) noexcept nogil:
    cdef int code = MDB_NOTFOUND
    while code == MDB_NOTFOUND and index[0] < catalogue.count:
        code = find_mark_in(txn, &catalogue.segments[index[0]], version, at)
        if code == MDB_NOTFOUND:
            index[0] += 1
    return code


cdef int find_mark_in(Txn* txn, const Segment* segment, uint64_t version, Stream* at) noexcept nogil:
    cdef char[MARK_KEY] wanted
    cdef Val key = Val(MARK_KEY, &wanted[0])
    cdef Val value
    cdef Cursor* cursor
    put_u64(wanted, at.id)
    put_u64(wanted + 8, version)
    cdef int code = mdb.cursor_open(txn, segment.streams, &cursor)
    if code:
        return code
    code = mdb.cursor_get(cursor, &key, &value, CURSOR_SET_RANGE)
    if code == 0 and (key.size != MARK_KEY or value.size != MARK_SIZE):
        code = LOG_DAMAGED
    elif code == 0 and get_u64(key.data) != at.id:
        code = MDB_NOTFOUND
    elif code == 0:
        at.version = get_u64(<const char*>key.data + 8)
        at.position = load64(<const char*>value.data)
    mdb.cursor_close(cursor)
    return code


# -- walking ----------------------------------------------------------------------------------------------------


cdef void begin_stream_walk(StreamWalk* walk, Txn* txn, const Catalogue* catalogue) noexcept nogil:
    walk.txn = txn
    walk.catalogue = catalogue
    walk.cursor = NULL
    walk.index = -1


cdef int walk_to(StreamWalk* walk, uint64_t position, Val* record) noexcept nogil:
    cdef char[8] wanted
    cdef Val key = Val(8, &wanted[0])
    cdef int index = find_segment(walk.catalogue, position)
    cdef int code
    if index < 0:
        return MDB_NOTFOUND
    if index != walk.index:
        end_stream_walk(walk)
        code = mdb.cursor_open(walk.txn, walk.catalogue.segments[index].events, &walk.cursor)
        if code:
            walk.cursor = NULL
            return code
        walk.index = index
    put_u64(wanted, position)
    code = mdb.cursor_get(walk.cursor, &key, record, CURSOR_SET_KEY)
    if code == MDB_NOTFOUND or code == 0 and record.size < HEAD_SIZE:
        return LOG_DAMAGED
    return code


cdef int step_down(StreamWalk* walk, Stream* at) noexcept nogil:
    cdef Val record
    cdef uint64_t before
    cdef int code = walk_to(walk, at.position, &record)
    if code:
        return code
    before = load64(<const char*>record.data + AT_PREVIOUS_POSITION)
    if (load64(<const char*>record.data + AT_VERSION) != at.version or before >= at.position
            or (before == 0) != (at.version == 1)):
        return LOG_DAMAGED
    at.version -= 1
    at.position = before
    return 0


cdef void end_stream_walk(StreamWalk* walk) noexcept nogil:
    if walk.cursor != NULL:
        mdb.cursor_close(walk.cursor)
        walk.cursor = NULL
    walk.index = -1
