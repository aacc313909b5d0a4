"""Begin and drop segments: the parts of an event log that are kept, and go, as a whole.

Rules: a segment begins where the one before ends, and knows the hash of the record before its first, so the
chain can be checked when that record is gone. Only the oldest is dropped, never the one that is written to.
Event ids go with their events; the heads of streams stay.
core/_fast/event_store calls.
"""

from libc.string cimport memmove, memset

from core._fast.envelope cimport check_record, hash_record
from core._fast.event_catalogue cimport (
    MOST_SEGMENTS, Catalogue, Segment, get_u64, write_catalogue,
)
from core._fast.event_env cimport open_segment, read_last_id
from core._fast.event_layout cimport SOUND
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport (
    CURSOR_LAST, DB_CREATE, MDB_MAP_FULL, MDB_NOTFOUND, Cursor, Txn, Val, mdb,
)


cdef int begin_segment(EventEnv env, int64_t now_ns, int64_t end_ns) noexcept nogil:
    cdef Txn* txn
    cdef int code = MDB_MAP_FULL
    while code == MDB_MAP_FULL:
        code = env.begin_alone(&txn)
        if code:
            return code
        if now_ns < env.catalogue.segments[env.catalogue.count - 1].end_ns:
            env.abort(txn)
            return 0
        code = add_segment(txn, &env.catalogue, now_ns, end_ns)
        code = end_change(env, txn, code)
    return code


cdef int end_change(EventEnv env, Txn* txn, int code) noexcept nogil:
    """Write the changed catalogue and commit; after a full map, grow it."""
    env.catalogue.revision += 1
    code = code or write_catalogue(txn, env.meta, &env.catalogue)
    if code:
        env.catalogue.revision = 0     # what is held does not stand anywhere; the next transaction reads it anew
        env.abort(txn)
    else:
        code = env.commit(txn)
    if code == MDB_MAP_FULL:
        return env.grow() or MDB_MAP_FULL
    return code


cdef int add_segment(Txn* txn, Catalogue* catalogue, int64_t now_ns, int64_t end_ns) noexcept nogil:
    cdef Segment* last = &catalogue.segments[catalogue.count - 1]
    cdef Segment* added = last + 1
    cdef Cursor* cursor
    cdef Val key, value
    cdef int code = mdb.cursor_open(txn, last.events, &cursor)
    if code:
        return code
    code = mdb.cursor_get(cursor, &key, &value, CURSOR_LAST)
    if code == MDB_NOTFOUND or catalogue.count == MOST_SEGMENTS:
        # NOTE: one without events is used again; when there is no place for another, the last goes on.
        last.end_ns = end_ns
        if code == MDB_NOTFOUND:
            last.start_ns = now_ns
        return 0
    if code:
        return code
    if key.size != 8:
        return LOG_DAMAGED
    memset(added, 0, sizeof(Segment))
    added.number = last.number + 1
    added.first = get_u64(key.data) + 1
    added.start_ns = now_ns
    added.end_ns = end_ns
    if check_record(<const char*>value.data, <Py_ssize_t>value.size, added.first - 1, True) != SOUND:
        return LOG_DAMAGED
    hash_record(<const char*>value.data, <Py_ssize_t>value.size, added.hash_before)
    code = read_last_id(txn, last) or open_segment(txn, added, DB_CREATE)
    if code == 0:
        catalogue.count += 1
    return code


cdef int drop_oldest(EventEnv env, uint32_t number, bint* dropped) noexcept nogil:
    cdef Txn* txn
    cdef Catalogue* catalogue = &env.catalogue
    cdef int code = MDB_MAP_FULL
    dropped[0] = False
    while code == MDB_MAP_FULL:
        code = env.begin_alone(&txn)
        if code:
            return code
        if catalogue.count < 2 or catalogue.segments[0].number != number:
            env.abort(txn)
            return 0
        code = drop_databases(txn, &catalogue.segments[0])
        if code == 0:
            catalogue.count -= 1
            memmove(catalogue.segments, catalogue.segments + 1, catalogue.count * sizeof(Segment))
        code = end_change(env, txn, code)
    dropped[0] = code == 0
    return code


cdef int drop_databases(Txn* txn, const Segment* segment) noexcept nogil:
    return (mdb.drop(txn, segment.events, 1)
            or mdb.drop(txn, segment.streams, 1)
            or mdb.drop(txn, segment.tags, 1)
            or mdb.drop(txn, segment.ids, 1))
