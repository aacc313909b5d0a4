"""Gather events and values from an event log into memory of the caller's.

Rules: a reading transaction is short, for pages that it could see are not used again before it ends; so every
call has a limit of events and of bytes. Nothing of LMDB's map leaves the transaction. A position that is not
there where it must be is damage, never left out. core/_fast/event_store calls.
"""

from libc.errno cimport ENOMEM
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy

from core._fast.envelope cimport check_record
from core._fast.event_append cimport TagPart
from core._fast.event_catalogue cimport Segment, find_segment, get_u64, put_u64
from core._fast.event_layout cimport SOUND
from core._fast.event_streams cimport (
    MARK_EVERY, Stream, StreamWalk, begin_stream_walk, end_stream_walk, find_mark, find_stream, find_tag, step_down,
    walk_to,
)
from core._fast.event_tags cimport NOWHERE, Search, begin_search, end_search, next_match
from core._fast.event_values cimport open_value
from core._fast.event_trouble cimport ENOUGH, LOG_DAMAGED
from core._fast.mdb cimport (
    CURSOR_LAST, CURSOR_NEXT, CURSOR_PREV, CURSOR_SET_KEY, CURSOR_SET_RANGE, MDB_NOTFOUND, CursorOp, mdb,
)


cdef void free_found(Found* found) noexcept nogil:
    free(found.data)
    free(found.pieces)


cdef int take(Found* found, const void* data, size_t size, uint64_t position) noexcept nogil:
    """Copy a piece; ENOUGH if a limit was reached before it."""
    cdef void* grown
    cdef size_t room
    if found.count >= found.most or (found.count and found.used + size > found.most_bytes):
        return ENOUGH
    if found.used + size > found.room:
        room = max(2 * found.room, found.used + size, <size_t>4096)
        grown = realloc(found.data, room)
        if grown == NULL:
            return ENOMEM
        found.data = <char*>grown
        found.room = room
    if found.count == found.piece_room:
        grown = realloc(found.pieces, (2 * found.piece_room or 64) * sizeof(Piece))
        if grown == NULL:
            return ENOMEM
        found.pieces = <Piece*>grown
        found.piece_room = 2 * found.piece_room or 64
    memcpy(found.data + found.used, data, size)
    found.pieces[found.count] = Piece(found.used, size, position)
    found.used += size
    found.count += 1
    return 0


cdef int take_event(Found* found, const Val* value, uint64_t position) noexcept nogil:
    cdef int code = take(found, value.data, value.size, position)
    if code == 0:
        found.reached = position
        found.damage = check_record(<const char*>value.data, <Py_ssize_t>value.size, position, True)
        if found.damage != SOUND:
            return LOG_DAMAGED
    return code


cdef int take_events(Cursor* cursor, uint64_t first, uint64_t last, bint backwards, Found* found) noexcept nogil:
    """Take the events of a segment from `first` to `last`, downwards if so told."""
    cdef char[8] wanted
    cdef Val key = Val(8, &wanted[0])
    cdef Val value
    cdef uint64_t position = first
    cdef CursorOp step = CURSOR_PREV if backwards else CURSOR_NEXT
    cdef int code
    put_u64(wanted, first)
    code = mdb.cursor_get(cursor, &key, &value, CURSOR_SET_KEY)
    while code == 0:
        if key.size != 8 or get_u64(key.data) != position:
            return LOG_DAMAGED
        code = take_event(found, &value, position)
        if code or position == last:
            return code
        position = position - 1 if backwards else position + 1
        code = mdb.cursor_get(cursor, &key, &value, step)
    return LOG_DAMAGED if code == MDB_NOTFOUND else code


cdef int last_position(Txn* txn, const Catalogue* catalogue, uint64_t* position) noexcept nogil:
    cdef Cursor* cursor
    cdef Val key, value
    cdef const Segment* segment = &catalogue.segments[catalogue.count - 1]
    cdef int code = mdb.cursor_open(txn, segment.events, &cursor)
    if code:
        return code
    code = mdb.cursor_get(cursor, &key, &value, CURSOR_LAST)
    position[0] = segment.first - 1
    if code == 0:
        position[0] = get_u64(key.data)
    mdb.cursor_close(cursor)
    return 0 if code == MDB_NOTFOUND else code


cdef inline uint64_t end_of(const Catalogue* catalogue, int index, uint64_t last) noexcept nogil:
    """Return the last position of a segment, given the log's."""
    return catalogue.segments[index + 1].first - 1 if index + 1 < catalogue.count else last


cdef int find_range(EventEnv env, uint64_t first, bint backwards, Found* found) noexcept nogil:
    cdef Txn* txn
    cdef const Catalogue* catalogue = &env.catalogue
    cdef Cursor* cursor
    cdef uint64_t last, begin, end
    cdef int index
    cdef int code = env.begin_read(&txn)
    if code:
        return code
    code = last_position(txn, catalogue, &last)
    first = min(first, last) if backwards else max(first, catalogue.segments[0].first)
    index = find_segment(catalogue, first)
    while code == 0 and 0 <= index < catalogue.count:
        begin = max(first, catalogue.segments[index].first) if not backwards else catalogue.segments[index].first
        end = end_of(catalogue, index, last) if not backwards else min(first, end_of(catalogue, index, last))
        if begin <= end:
            code = mdb.cursor_open(txn, catalogue.segments[index].events, &cursor)
            if code == 0:
                code = take_events(cursor, end if backwards else begin, begin if backwards else end, backwards, found)
                mdb.cursor_close(cursor)
        index += -1 if backwards else 1
    env.end_read(txn)
    return 0 if code == ENOUGH else code


cdef int find_events_of(EventEnv env, const char* stream, uint32_t size, uint64_t first, bint backwards,
                        Found* found) noexcept nogil:
    cdef Txn* txn
    cdef Stream head
    cdef StreamWalk walk
    cdef int code = env.begin_read(&txn)
    if code:
        return code
    code = find_stream(txn, env.streams, stream, size, &head)
    if code == 0 and head.id:
        begin_stream_walk(&walk, txn, &env.catalogue)
        if backwards:
            code = take_down(&walk, &head, first, found)
        else:
            code = take_up(&walk, &head, max(first, <uint64_t>1), found)
        end_stream_walk(&walk)
    env.end_read(txn)
    return 0 if code == ENOUGH else code


cdef int find_above(StreamWalk* walk, const Stream* head, uint64_t version, int* index, Stream* at) noexcept nogil:
    """Find a place of a stream not far above a version: a mark in segments from `index` on, or the head."""
    cdef int code
    at[0] = head[0]
    if head.version < MARK_EVERY or head.version - head.version % MARK_EVERY < version:
        return 0
    code = find_mark(walk.txn, walk.catalogue, version, index, at)
    return 0 if code == MDB_NOTFOUND else code


cdef int take_down(StreamWalk* walk, const Stream* head, uint64_t first, Found* found) noexcept nogil:
    """Take a stream's events from a version down."""
    cdef Stream at
    cdef Val record
    cdef uint64_t position
    cdef int index = 0
    cdef int code = find_above(walk, head, first, &index, &at)
    while code == 0 and at.version > first:
        code = step_down(walk, &at)
    while code == 0 and at.version:
        position = at.position
        code = step_down(walk, &at) or walk_to(walk, position, &record) or take_event(found, &record, position)
    return 0 if code == MDB_NOTFOUND else code


cdef int take_up(StreamWalk* walk, const Stream* head, uint64_t first, Found* found) noexcept nogil:
    """Take a stream's events from a version up: in stretches, whose positions are found from above."""
    cdef uint64_t[MARK_EVERY] positions
    cdef Stream at
    cdef Val record
    cdef uint64_t above
    cdef int count
    cdef int index = 0
    cdef int code = 0
    while code == 0 and first <= head.version:
        code = find_above(walk, head, first, &index, &at)
        above = at.version
        count = 0
        while code == 0 and at.version >= first:
            if count == MARK_EVERY:
                return LOG_DAMAGED
            positions[count] = at.position
            code = step_down(walk, &at)
            count += 1 if code == 0 else 0
        if code == MDB_NOTFOUND:        # what is below was dropped
            code = 0
        while code == 0 and count:
            count -= 1
            code = walk_to(walk, positions[count], &record) or take_event(found, &record, positions[count])
        first = above + 1
    return code


cdef int find_matching(EventEnv env, const QueryPart* query, uint64_t after, Found* found) noexcept nogil:
    cdef Txn* txn
    cdef uint64_t last, end
    cdef int index
    cdef int code
    cdef uint64_t* ids = <uint64_t*>calloc(query.tag_count or 1, sizeof(uint64_t))
    if ids == NULL:
        return ENOMEM
    code = env.begin_read(&txn)
    if code:
        free(ids)
        return code
    code = know_tags(txn, env, query, ids) or last_position(txn, &env.catalogue, &last)
    index = max(find_segment(&env.catalogue, after + 1), 0)
    while code == 0 and index < env.catalogue.count:
        end = end_of(&env.catalogue, index, last)
        code = take_matching(txn, &env.catalogue.segments[index], query, ids, after, end, found)
        if code == 0:
            found.reached = max(end, after)
        index += 1
    env.end_read(txn)
    free(ids)
    return 0 if code == ENOUGH else code


cdef int know_tags(Txn* txn, EventEnv env, const QueryPart* query, uint64_t* ids) noexcept nogil:
    cdef uint32_t item, tag
    cdef const TagPart* part
    cdef int code = 0
    for item in range(query.count):
        for tag in range(query.items[item].count):
            part = &query.items[item].tags[tag]
            if code == 0:
                code = find_tag(txn, env.tags, part.text, part.size, ids)
            ids += 1
    return code


cdef int take_matching(Txn* txn, const Segment* segment, const QueryPart* query, const uint64_t* ids,
                       uint64_t after, uint64_t last, Found* found) noexcept nogil:
    cdef Search search
    cdef Cursor* events
    cdef uint64_t position = max(after + 1, segment.first)
    cdef int code = begin_search(&search, txn, segment, query, ids, last)
    if code:
        return code
    code = mdb.cursor_open(txn, segment.events, &events)
    if code == 0:
        code = next_match(&search, position, &position)
        while code == 0 and position != NOWHERE:
            code = take_events(events, position, position, False, found)
            code = code or next_match(&search, position + 1, &position)
        mdb.cursor_close(events)
    end_search(&search)
    return code


cdef int find_last(EventEnv env, uint64_t* position) noexcept nogil:
    cdef Txn* txn
    cdef int code = env.begin_read(&txn)
    if code == 0:
        code = last_position(txn, &env.catalogue, position)
        env.end_read(txn)
    return code


cdef int find_version(EventEnv env, const char* stream, uint32_t size, uint64_t* version) noexcept nogil:
    cdef Txn* txn
    cdef Stream head
    cdef int code = env.begin_read(&txn)
    version[0] = 0
    if code:
        return code
    code = find_stream(txn, env.streams, stream, size, &head)
    version[0] = head.version
    env.end_read(txn)
    return code


cdef int find_value(EventEnv env, Dbi table, const Val* key, Found* found) noexcept nogil:
    cdef Txn* txn
    cdef Val value
    cdef int code = env.begin_read(&txn)
    if code:
        return code
    code = mdb.get(txn, table, <Val*>key, &value)
    if code == 0:
        code = open_value(key, &value) or take(found, value.data, value.size, 0)
    env.end_read(txn)
    return 0 if code == MDB_NOTFOUND else code


cdef int find_values(EventEnv env, Dbi table, bint checked, const Val* prefix, const Val* after,
                     Found* found) noexcept nogil:
    cdef Txn* txn
    cdef Cursor* cursor
    cdef Val key = after[0] if after.size else prefix[0]
    cdef Val value
    cdef int code = env.begin_read(&txn)
    if code:
        return code
    code = mdb.cursor_open(txn, table, &cursor)
    if code == 0:
        code = mdb.cursor_get(cursor, &key, &value, CURSOR_SET_RANGE if key.size else CURSOR_NEXT)
        if code == 0 and after.size and key.size == after.size and memcmp(key.data, after.data, key.size) == 0:
            code = mdb.cursor_get(cursor, &key, &value, CURSOR_NEXT)
        while code == 0 and key.size >= prefix.size and memcmp(key.data, prefix.data, prefix.size) == 0:
            if checked:
                code = open_value(&key, &value)
            if code == 0:
                code = take_pair(found, &key, &value)
            code = code or mdb.cursor_get(cursor, &key, &value, CURSOR_NEXT)
        mdb.cursor_close(cursor)
    env.end_read(txn)
    return 0 if code == ENOUGH or code == MDB_NOTFOUND else code


cdef int take_pair(Found* found, const Val* key, const Val* value) noexcept nogil:
    """Take a key and its value, or neither."""
    if found.count and found.used + key.size + value.size > found.most_bytes:
        return ENOUGH
    cdef int code = take(found, key.data, key.size, 0)
    if code == 0 and found.most_bytes < found.used + value.size:
        found.most_bytes = found.used + value.size
    return code or take(found, value.data, value.size, 0)
