"""Gather the positions of a batch's events by type and tag, so that each tag gets one entry in the index.

Rule: what a batch has gathered is found by the conditions of its later appends, as if it were in the index.
core/_fast/event_writer calls.
"""

from libc.errno cimport ENOMEM
from libc.stdlib cimport free, realloc

from core._fast.event_names cimport NO_POSTING
from core._fast.event_tags cimport NOWHERE, add_position, end_packing

cdef enum:
    FEWEST_POSTINGS = 1024
    FEWEST_TAGS = 64


cdef void begin_postings(Postings* postings) noexcept nogil:
    postings.batch += 1
    postings.count = 0
    postings.tag_count = 0


cdef void free_postings(Postings* postings) noexcept nogil:
    free(postings.items)
    free(postings.tags)


cdef int add_posting(Postings* postings, Name* tag, uint64_t position) noexcept nogil:
    cdef uint32_t index = postings.count
    if index == postings.room and not more_items(postings):
        return ENOMEM
    if tag.batch == postings.batch:
        postings.items[tag.last_posting].next = index
    else:
        if postings.tag_count == postings.tag_room and not more_tags(postings):
            return ENOMEM
        postings.tags[postings.tag_count] = tag
        postings.tag_count += 1
        tag.batch = postings.batch
        tag.first_posting = index
    tag.last_posting = index
    postings.items[index].position = position
    postings.items[index].next = NO_POSTING
    postings.count += 1
    return 0


cdef bint more_items(Postings* postings) noexcept nogil:
    cdef uint32_t room = 2 * postings.room or FEWEST_POSTINGS
    cdef void* grown = realloc(postings.items, room * sizeof(Posting))
    if grown == NULL:
        return False
    postings.items = <Posting*>grown
    postings.room = room
    return True


cdef bint more_tags(Postings* postings) noexcept nogil:
    cdef uint32_t room = 2 * postings.tag_room or FEWEST_TAGS
    cdef void* grown = realloc(postings.tags, room * sizeof(Name*))
    if grown == NULL:
        return False
    postings.tags = <Name**>grown
    postings.tag_room = room
    return True


cdef uint64_t find_posting(const Postings* postings, Name** tags, uint32_t count, uint64_t least) noexcept nogil:
    cdef uint32_t index = 0
    cdef uint32_t item
    while index < count:
        item = tags[index].first_posting if tags[index].batch == postings.batch else <uint32_t>NO_POSTING
        while item != NO_POSTING and postings.items[item].position < least:
            item = postings.items[item].next
        if item == NO_POSTING:
            return NOWHERE
        if postings.items[item].position > least:
            least = postings.items[item].position
            index = 0
        else:
            index += 1
    return least


cdef int put_postings(Postings* postings, Txn* txn, const Segment* segment) noexcept nogil:
    cdef uint32_t index, item
    cdef int code = 0
    postings.packer.txn = txn
    postings.packer.segment = segment
    postings.packer.first = 0
    postings.packer.size = 0
    for index in range(postings.tag_count):
        postings.packer.tag = postings.tags[index].id
        item = postings.tags[index].first_posting
        while code == 0 and item != NO_POSTING:
            code = add_position(&postings.packer, postings.items[item].position)
            item = postings.items[item].next
        code = code or end_packing(&postings.packer)
        if code:
            return code
    return 0
