"""Find events by their types and tags.

    t.N               tag id, first position -> the positions after it, each as its distance from the one before

Numbers in keys are big-endian, distances are varints. An entry holds what one commit added, and ends when it
would no longer fit into a page. Rule: entries of a tag do not overlap, so that any position is found by one search.
core/_fast/event_writer packs, event_writer, event_reader search.
"""

from libc.errno cimport ENOMEM
from libc.stdlib cimport calloc, free

from core._fast.event_catalogue cimport get_u64, put_u64
from core._fast.event_trouble cimport LOG_DAMAGED
from core._fast.mdb cimport (
    CURSOR_LAST, CURSOR_NEXT, CURSOR_PREV, CURSOR_SET_RANGE, MDB_NOTFOUND, CursorOp, Val, mdb,
)


cdef enum:
    ANOTHER_TAG = -1           # no code of LMDB or of the system


cdef int add_position(Packer* packer, uint64_t position) noexcept nogil:
    cdef uint64_t distance
    cdef int code
    if packer.first and packer.size >= MOST_PACKED:
        code = end_packing(packer)
        if code:
            return code
    if packer.first == 0:
        packer.first = position
    else:
        distance = position - packer.last
        while distance >= 0x80:
            packer.packed[packer.size] = <uint8_t>(distance | 0x80)
            packer.size += 1
            distance >>= 7
        packer.packed[packer.size] = <uint8_t>distance
        packer.size += 1
    packer.last = position
    return 0


cdef int end_packing(Packer* packer) noexcept nogil:
    cdef char[POSTING_KEY] key
    cdef Val key_val = Val(POSTING_KEY, &key[0])
    cdef Val data = Val(packer.size, &packer.packed[0])
    cdef int code = 0
    if packer.first:
        put_u64(key, packer.tag)
        put_u64(key + 8, packer.first)
        code = mdb.put(packer.txn, packer.segment.tags, &key_val, &data, 0)
        packer.first = 0
        packer.size = 0
    return code


cdef int advance(Walk* walk) noexcept nogil:
    """Go to the entry's next position; MDB_NOTFOUND at its end."""
    cdef uint64_t distance = 0
    cdef int shift = 0
    cdef uint8_t byte = 0x80
    if walk.rest == walk.end:
        return MDB_NOTFOUND
    while byte & 0x80:
        if walk.rest == walk.end or shift > 56:
            return LOG_DAMAGED
        byte = walk.rest[0]
        walk.rest += 1
        distance |= <uint64_t>(byte & 0x7f) << shift
        shift += 7
    walk.position += distance
    return LOG_DAMAGED if distance == 0 else 0


cdef int advance_to(Walk* walk, uint64_t least) noexcept nogil:
    cdef int code = 0
    while code == 0 and walk.position < least:
        code = advance(walk)
    return code


cdef int enter(Walk* walk, CursorOp op, uint64_t least) noexcept nogil:
    """Move the cursor and begin the entry there; MDB_NOTFOUND if there is none, ANOTHER_TAG if it is another's."""
    cdef char[POSTING_KEY] wanted
    cdef Val key = Val(POSTING_KEY, &wanted[0])
    cdef Val value
    put_u64(wanted, walk.tag)
    put_u64(wanted + 8, least)
    cdef int code = mdb.cursor_get(walk.cursor, &key, &value, op)
    if code:
        return code
    if key.size != POSTING_KEY:
        return LOG_DAMAGED
    if get_u64(key.data) != walk.tag:
        return ANOTHER_TAG
    walk.position = get_u64(<const char*>key.data + 8)
    walk.rest = <const uint8_t*>value.data
    walk.end = walk.rest + value.size
    return 0


cdef int seek_position(Walk* walk, uint64_t least) noexcept nogil:
    cdef int code = MDB_NOTFOUND
    if walk.position:
        # PERF: bench/event_append.py. What is sought stands in this entry or in the next; else it is a leap.
        code = advance_to(walk, least)
        if code == MDB_NOTFOUND:
            code = enter(walk, CURSOR_NEXT, 0)
            code = code or advance_to(walk, least)
            if code == MDB_NOTFOUND and walk.rest == walk.end:
                code = search_entry(walk, least)
    else:
        code = search_entry(walk, least)
    if code == MDB_NOTFOUND or code == ANOTHER_TAG:
        walk.position = NOWHERE
        return 0
    return code


cdef int search_entry(Walk* walk, uint64_t least) noexcept nogil:
    """Begin the entry that holds the first position from `least` on: the last that begins before it, or the next."""
    cdef int code = enter(walk, CURSOR_SET_RANGE, least)
    cdef bint behind = code == 0
    if behind and walk.position == least:
        return 0
    if behind or code == ANOTHER_TAG:
        code = enter(walk, CURSOR_PREV, 0)
    elif code == MDB_NOTFOUND:
        code = enter(walk, CURSOR_LAST, 0)
    code = code or advance_to(walk, least)
    if behind and (code == MDB_NOTFOUND or code == ANOTHER_TAG):
        code = enter(walk, CURSOR_SET_RANGE, least)
    return code


cdef int begin_search(Search* search, Txn* txn, const Segment* segment, const QueryPart* query,
                      const uint64_t* ids, uint64_t last) noexcept nogil:
    cdef uint32_t index
    cdef int code = 0
    search.query = query
    search.last = last
    search.walks = <Walk*>calloc(query.tag_count or 1, sizeof(Walk))
    if search.walks == NULL:
        return ENOMEM
    for index in range(query.tag_count):
        search.walks[index].tag = ids[index]
        if code == 0:
            code = mdb.cursor_open(txn, segment.tags, &search.walks[index].cursor)
    if code:
        end_search(search)
    return code


cdef void end_search(Search* search) noexcept nogil:
    cdef uint32_t index
    for index in range(search.query.tag_count):
        if search.walks[index].cursor != NULL:
            mdb.cursor_close(search.walks[index].cursor)
    free(search.walks)


cdef int next_of_item(Walk* walks, uint32_t count, uint64_t* least) noexcept nogil:
    """Move `least` to the first position that all walks have."""
    cdef uint32_t index = 0
    cdef int code
    while index < count:
        code = seek_position(&walks[index], least[0])
        if code:
            return code
        if walks[index].position == NOWHERE:
            least[0] = NOWHERE
            return 0
        if walks[index].position > least[0]:
            least[0] = walks[index].position
            index = 0
        else:
            index += 1
    return 0


cdef int next_match(Search* search, uint64_t least, uint64_t* found) noexcept nogil:
    cdef Walk* walk = search.walks
    cdef uint64_t position
    cdef uint32_t item
    cdef int code
    found[0] = NOWHERE
    for item in range(search.query.count):
        position = least
        code = next_of_item(walk, search.query.items[item].count, &position)
        if code:
            return code
        if position <= search.last and position < found[0]:
            found[0] = position
        walk += search.query.items[item].count
    return 0
