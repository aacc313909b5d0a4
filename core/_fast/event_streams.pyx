"""Find streams by name, and their events by version.

    streams, tags     name -> u64 id, from 1; never changed, never removed
    s.N               stream id, version of the first -> u64 position of the first, u32 count

Numbers in keys are big-endian, in values little-endian. One entry holds what stands together: the events that
one commit gave a stream in one go. Rule: a stream's versions go on where they were, also when the segments of its
events were dropped; then an entry that counts none keeps the place.
core/_fast/event_writer, event_reader, event_segments and event_verify call.
"""

from libc.string cimport memcpy

from core._fast.event_layout cimport load32, load64
from core._fast.event_catalogue cimport get_u64, htole32, htole64, put_u64
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport (
    CURSOR_LAST, CURSOR_NEXT, CURSOR_PREV, CURSOR_SET_RANGE, MDB_KEYEXIST, MDB_NOTFOUND, PUT_NO_OVERWRITE,
    mdb,
)


cdef int find_id(Txn* txn, Dbi table, const char* text, uint32_t size, uint64_t* found) noexcept nogil:
    cdef Val key = Val(size, <void*>text)
    cdef Val value
    cdef int code = mdb.get(txn, table, &key, &value)
    found[0] = 0
    if code == MDB_NOTFOUND:
        return 0
    if code == 0:
        if value.size != 8:
            return LOG_DAMAGED
        found[0] = load64(<const char*>value.data)
    return code


cdef int add_id(Txn* txn, Dbi table, const char* text, uint32_t size, uint64_t value) noexcept nogil:
    cdef uint64_t stored = htole64(value)
    cdef Val key = Val(size, <void*>text)
    cdef Val data = Val(8, &stored)
    cdef int code = mdb.put(txn, table, &key, &data, PUT_NO_OVERWRITE)
    return LOG_DAMAGED if code == MDB_KEYEXIST else code


cdef int read_run(const Val* key, const Val* value, Run* run) noexcept nogil:
    if key.size != RUN_KEY or value.size != RUN_SIZE:
        return LOG_DAMAGED
    run.stream = get_u64(key.data)
    run.version = get_u64(<const char*>key.data + 8)
    run.position = load64(<const char*>value.data)
    run.count = load32(<const char*>value.data + 8)
    return 0


cdef int put_run(Txn* txn, const Segment* segment, const Run* run) noexcept nogil:
    cdef char[RUN_KEY] key
    cdef char[RUN_SIZE] value
    cdef uint64_t position = htole64(run.position)
    cdef uint32_t count = htole32(run.count)
    cdef Val key_val = Val(RUN_KEY, &key[0])
    cdef Val data = Val(RUN_SIZE, &value[0])
    put_u64(key, run.stream)
    put_u64(key + 8, run.version)
    memcpy(value, &position, 8)
    memcpy(value + 8, &count, 4)
    return mdb.put(txn, segment.streams, &key_val, &data, 0)


cdef int of_stream(int code, const Val* key, const Val* value, uint64_t stream, Run* run) noexcept nogil:
    """Read the run that a cursor came to, unless it is another stream's."""
    code = code or read_run(key, value, run)
    return MDB_NOTFOUND if code == 0 and run.stream != stream else code


cdef int seek_run(Cursor* cursor, uint64_t stream, uint64_t version, Run* run) noexcept nogil:
    cdef char[RUN_KEY] wanted
    cdef Val key = Val(RUN_KEY, &wanted[0])
    cdef Val value
    put_u64(wanted, stream)
    put_u64(wanted + 8, version)
    cdef int code = mdb.cursor_get(cursor, &key, &value, CURSOR_SET_RANGE)
    if code == MDB_NOTFOUND:
        code = mdb.cursor_get(cursor, &key, &value, CURSOR_LAST)
    elif code == 0:
        code = read_run(&key, &value, run)
        if code == 0 and not (run.stream == stream and run.version == version):
            code = mdb.cursor_get(cursor, &key, &value, CURSOR_PREV)
    return of_stream(code, &key, &value, stream, run)


cdef int seek_run_from(Cursor* cursor, uint64_t stream, uint64_t version, Run* run) noexcept nogil:
    cdef char[RUN_KEY] wanted
    cdef Val key = Val(RUN_KEY, &wanted[0])
    cdef Val value
    put_u64(wanted, stream)
    put_u64(wanted + 8, version)
    return of_stream(mdb.cursor_get(cursor, &key, &value, CURSOR_SET_RANGE), &key, &value, stream, run)


cdef int step_run(Cursor* cursor, uint64_t stream, bint backwards, Run* run) noexcept nogil:
    cdef Val key, value
    cdef int code = mdb.cursor_get(cursor, &key, &value, CURSOR_PREV if backwards else CURSOR_NEXT)
    return of_stream(code, &key, &value, stream, run)


cdef int find_head(Txn* txn, const Catalogue* catalogue, uint64_t stream, uint64_t* version) noexcept nogil:
    cdef Cursor* cursor
    cdef Run run
    cdef int index = catalogue.count - 1
    cdef int code
    version[0] = 0
    while index >= 0:
        code = mdb.cursor_open(txn, catalogue.segments[index].streams, &cursor)
        if code:
            return code
        code = seek_run(cursor, stream, <uint64_t>-1, &run)
        mdb.cursor_close(cursor)
        if code == 0:
            version[0] = run.version + run.count - 1
        if code != MDB_NOTFOUND:
            return code
        index -= 1
    return 0
