"""Run batches of appends: each batch in one transaction, from begin to commit without the interpreter.

Rules: an append is validated whole before anything of it is written, against the log and what the batch has
written so far; one that fails leaves the others alone. A code that ends the batch undoes all of it. What is
remembered of the log between two batches holds only while nobody else has written.
core/_fast/event_store calls. PERF: bench/event_append.py.
"""

from libc.errno cimport ENOMEM
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from core._fast.envelope cimport check_record, finish_record, hash_record
from core._fast.event_append cimport (
    APPENDED, CONDITION_FALSE, EXPECT_ANY, EXPECT_EXISTS, ID_TAKEN, MOST_INDEX_NAME, REPEATED, VERSION_WRONG,
    TagPart,
)
from core._fast.event_catalogue cimport find_segment, get_u64, htole64, put_u64
from core._fast.event_layout cimport (
    AT_ID, AT_VERSION, HEAD_SIZE, SOUND, Span, load64, next_tag, stored_size, stream_of, tags_of, type_of,
)
from core._fast.event_names cimport clear_names, know_name, list_name
from core._fast.event_postings cimport (
    add_posting, begin_postings, find_posting, free_postings, put_postings,
)
from core._fast.event_streams cimport (
    MARK_EVERY, Stream, add_tag, find_stream, find_tag, put_mark, put_stream,
)
from core._fast.event_tags cimport NOWHERE, Search, begin_search, end_search, next_match
from core._fast.event_values cimport put_value
from core._fast.event_trouble cimport LOG_DAMAGED, SEGMENT_OVER
from core._fast.locks cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from core._fast.mdb cimport (
    CURSOR_LAST, MDB_KEYEXIST, MDB_MAP_FULL, MDB_NOTFOUND, PUT_APPEND, PUT_NO_OVERWRITE, PUT_RESERVE, Stat,
    Val, mdb,
)

cdef enum:
    MOST_NAMES = 1 << 17       # remembered of each kind


cdef class EventWriter:
    """Hold what the writer of one log remembers; one for each environment."""

    def __cinit__(self, EventEnv env not None):
        self.env = env
        pthread_mutex_init(&self.turn, NULL)

    def __dealloc__(self):
        pthread_mutex_destroy(&self.turn)
        clear_names(&self.streams)
        clear_names(&self.tags)
        free_postings(&self.postings)
        free(self.asked)
        free(self.written.items)
        free(self.asked_ids)

    cdef int commit(self, AppendPart** appends, Py_ssize_t count, int64_t now_ns) noexcept nogil:
        cdef int code = MDB_MAP_FULL
        pthread_mutex_lock(&self.turn)
        self.now_ns = now_ns
        while code == MDB_MAP_FULL:
            code = self._try(appends, count)
            if code:
                self.next_txn = 0
            if code == MDB_MAP_FULL:
                code = self.env.grow() or MDB_MAP_FULL
        pthread_mutex_unlock(&self.turn)
        return code

    cdef int _try(self, AppendPart** appends, Py_ssize_t count) noexcept nogil:
        cdef Py_ssize_t index = 0
        cdef int code = self.env.begin_write(&self.txn)
        if code:
            return code
        code = self._begin()
        while code == 0 and index < count:
            code = self._run(appends[index])
            index += 1
        if code == 0 and self.changed:
            code = self._finish()
        if code or not self.changed:
            self.env.abort(self.txn)
            return code
        code = self.env.commit(self.txn)
        self.next_txn += 1      # NOTE: only for a transaction that changed something; LMDB uses others' numbers again
        return code

    # -- what is remembered -----------------------------------------------------------------------------------

    cdef int _begin(self) noexcept nogil:
        cdef size_t txn = mdb.txn_id(self.txn)
        cdef int code = 0
        self.segment = &self.env.catalogue.segments[self.env.catalogue.count - 1]
        self.changed = False
        self.written.count = 0
        begin_postings(&self.postings)
        if txn != self.next_txn or self.env.catalogue.revision != self.revision:
            code = self._recall()
        elif self.streams.count > MOST_NAMES or self.tags.count > MOST_NAMES:
            clear_names(&self.streams)
            clear_names(&self.tags)
        self.next_txn = txn
        self.stored = self.position
        code = code or mdb.cursor_open(self.txn, self.segment.events, &self.events)
        return code or mdb.cursor_open(self.txn, self.segment.ids, &self.ids)

    cdef int _recall(self) noexcept nogil:
        """Read what the writer has to know, and forget what it knew of names."""
        cdef Val key, value
        cdef Stat stat
        cdef Cursor* cursor
        cdef int index
        cdef int code = mdb.cursor_open(self.txn, self.segment.events, &cursor)
        self.epoch += 1
        self.revision = self.env.catalogue.revision
        if code:
            return code
        code = mdb.cursor_get(cursor, &key, &value, CURSOR_LAST)
        mdb.cursor_close(cursor)
        if code == 0:
            if key.size != 8:
                return LOG_DAMAGED
            self.position = get_u64(key.data)
            if check_record(<const char*>value.data, <Py_ssize_t>value.size, self.position, True) != SOUND:
                return LOG_DAMAGED
            hash_record(<const char*>value.data, <Py_ssize_t>value.size, self.hash)
        elif code == MDB_NOTFOUND:
            self.position = self.segment.first - 1
            memcpy(self.hash, self.segment.hash_before, HASH_ROOM)
        else:
            return code
        code = mdb.cursor_open(self.txn, self.segment.ids, &cursor)
        if code:
            return code
        memset(self.last_id, 0, ID_SIZE)
        code = mdb.cursor_get(cursor, &key, &value, CURSOR_LAST)
        mdb.cursor_close(cursor)
        if code == 0:
            memcpy(self.last_id, key.data, ID_SIZE)
        elif code != MDB_NOTFOUND:
            return code
        memcpy(self.newest_id, self.last_id, ID_SIZE)
        for index in range(self.env.catalogue.count - 1):
            if memcmp(self.env.catalogue.segments[index].last_id, self.newest_id, ID_SIZE) > 0:
                memcpy(self.newest_id, self.env.catalogue.segments[index].last_id, ID_SIZE)
        code = mdb.stat(self.txn, self.env.streams, &stat)
        self.stream_count = stat.entries
        code = code or mdb.stat(self.txn, self.env.tags, &stat)
        self.tag_count = stat.entries
        return code

    cdef int _know(self, NameTable* table, const char* text, uint32_t size, Name** found) noexcept nogil:
        """Find what is remembered of a name, and its id, 0 if it is not stored."""
        cdef Name* name = know_name(table, text, size)
        cdef Stream head
        cdef int code
        found[0] = name
        if name == NULL:
            return ENOMEM
        if name.epoch == self.epoch:
            return 0
        if table == &self.streams:
            code = find_stream(self.txn, self.env.streams, text, size, &head)
            name.version = head.version
            name.position = head.position
            name.id = head.id
        else:
            code = find_tag(self.txn, self.env.tags, text, size, &name.id)
        if code == 0:
            name.epoch = self.epoch
        return code

    # -- validating an append ---------------------------------------------------------------------------------

    cdef int _run(self, AppendPart* part) noexcept nogil:
        cdef int code
        part.outcome = APPENDED
        part.first = 0
        code = self._check_ids(part)
        if code == 0 and part.outcome == APPENDED:
            code = self._check_targets(part)
        if code == 0 and part.outcome == APPENDED and part.query.count:
            code = self._check_condition(part)
        if code == 0 and part.outcome == APPENDED:
            code = self._write(part)
        return code

    cdef int _check_ids(self, AppendPart* part) noexcept nogil:
        # PERF: bench/event_append.py. Ids made here ascend, and one beyond all others was never stored.
        cdef const char* newest = self.newest_id
        cdef uint32_t index = 0
        cdef uint32_t taken = 0
        cdef int code
        while index < part.draft_count and memcmp(part.drafts[index].record + AT_ID, newest, ID_SIZE) > 0:
            newest = part.drafts[index].record + AT_ID
            index += 1
        if index == part.draft_count:
            return 0
        for index in range(part.draft_count):
            code = self._find_id(part.drafts[index].record + AT_ID, &part.drafts[index].position)
            if code:
                return code
            if part.drafts[index].position:
                taken += 1
                part.culprit = index
        if taken == 0:
            return 0
        part.outcome = ID_TAKEN
        part.found = part.drafts[part.culprit].position
        return self._compare_repeat(part) if taken == part.draft_count else 0

    cdef int _find_id(self, const char* event_id, uint64_t* position) noexcept nogil:
        cdef Val key = Val(ID_SIZE, <void*>event_id)
        cdef Val value
        cdef const char* greatest = self.last_id
        cdef const Segment* segment
        cdef int index = self.env.catalogue.count - 1
        cdef int code
        position[0] = 0
        while index >= 0:
            segment = &self.env.catalogue.segments[index]
            if memcmp(event_id, greatest, ID_SIZE) <= 0:
                code = mdb.get(self.txn, segment.ids, &key, &value)
                if code == 0:
                    if value.size != 8:
                        return LOG_DAMAGED
                    position[0] = load64(<const char*>value.data)
                    return 0
                if code != MDB_NOTFOUND:
                    return code
            index -= 1
            greatest = self.env.catalogue.segments[index].last_id if index >= 0 else NULL
        return 0

    cdef int _compare_repeat(self, AppendPart* part) noexcept nogil:
        """See whether the events that have the ids are these, in these streams and in this order."""
        cdef uint32_t target, _count
        cdef uint32_t index = 0
        cdef DraftPart* draft
        cdef TargetPart* write
        cdef Val key, value
        cdef char[8] position
        cdef Span stored, given
        cdef int code
        key = Val(8, &position[0])
        for target in range(part.write_count):
            write = &part.targets[target]
            if write.count == 0:
                code = self._know(&self.streams, write.stream, write.size, &write.name)
                if code:
                    return code
                write.version = write.name.version
            for _count in range(write.count):
                draft = &part.drafts[index]
                put_u64(position, draft.position)
                code = mdb.get(self.txn, self._segment_of(draft.position).events, &key, &value)
                if code:
                    return LOG_DAMAGED if code == MDB_NOTFOUND else code
                if value.size < HEAD_SIZE:
                    return LOG_DAMAGED
                stored = stream_of(<const char*>value.data)
                part.culprit = index
                part.found = draft.position
                if (draft.position != part.drafts[0].position + index or stored.size != write.size
                        or memcmp(stored.data, write.stream, write.size) != 0):
                    return 0
                stored = type_of(<const char*>value.data)
                given = type_of(draft.record)
                if stored.size != given.size or memcmp(stored.data, given.data, given.size) != 0:
                    return 0
                write.version = load64(<const char*>value.data + AT_VERSION)
                index += 1
        part.outcome = REPEATED
        part.first = part.drafts[0].position
        part.last = part.drafts[part.draft_count - 1].position
        return 0

    cdef const Segment* _segment_of(self, uint64_t position) noexcept nogil:
        cdef int index = find_segment(&self.env.catalogue, position)
        return &self.env.catalogue.segments[index if index >= 0 else 0]

    cdef int _check_targets(self, AppendPart* part) noexcept nogil:
        cdef TargetPart* target
        cdef uint32_t index
        cdef int code
        for index in range(part.target_count):
            target = &part.targets[index]
            code = self._know(&self.streams, target.stream, target.size, &target.name)
            if code:
                return code
            if target.expected == EXPECT_ANY:
                continue
            if target.expected == EXPECT_EXISTS:
                if target.name.version:
                    continue
            elif target.name.version == <uint64_t>target.expected:
                continue
            part.outcome = VERSION_WRONG
            part.culprit = index
            part.found = target.name.version
            return 0
        return 0

    cdef int _check_condition(self, AppendPart* part) noexcept nogil:
        cdef uint64_t found = NOWHERE
        cdef uint64_t least = max(part.after, self.stored) + 1
        cdef uint64_t matching
        cdef Name** names = NULL
        cdef uint32_t index
        cdef int code = self._know_asked(&part.query)
        if code == 0 and part.after < self.stored:
            code = self._search_stored(part, &found)
        if code:
            return code
        if found == NOWHERE:
            names = self.asked
            for index in range(part.query.count):
                matching = find_posting(&self.postings, names, part.query.items[index].count, least)
                if matching <= self.position and matching < found:
                    found = matching
                names += part.query.items[index].count
        if found != NOWHERE:
            part.outcome = CONDITION_FALSE
            part.found = found
        return 0

    cdef int _know_asked(self, const QueryPart* query) noexcept nogil:
        cdef const TagPart* tag
        cdef void* grown
        cdef uint32_t item, index
        cdef uint32_t count = 0
        cdef int code
        if query.tag_count > self.asked_room:
            grown = realloc(self.asked, query.tag_count * sizeof(Name*))
            if grown == NULL:
                return ENOMEM
            self.asked = <Name**>grown
            grown = realloc(self.asked_ids, query.tag_count * sizeof(uint64_t))
            if grown == NULL:
                return ENOMEM
            self.asked_ids = <uint64_t*>grown
            self.asked_room = query.tag_count
        for item in range(query.count):
            for index in range(query.items[item].count):
                tag = &query.items[item].tags[index]
                code = self._know(&self.tags, tag.text, tag.size, &self.asked[count])
                if code:
                    return code
                self.asked_ids[count] = self.asked[count].id
                count += 1
        return 0

    cdef int _search_stored(self, AppendPart* part, uint64_t* found) noexcept nogil:
        cdef Search search
        cdef const Segment* segments = self.env.catalogue.segments
        cdef uint64_t last
        cdef int code = 0
        cdef int index = max(find_segment(&self.env.catalogue, part.after + 1), 0)
        while code == 0 and found[0] == NOWHERE and index < self.env.catalogue.count:
            last = segments[index + 1].first - 1 if index + 1 < self.env.catalogue.count else self.stored
            code = begin_search(&search, self.txn, &segments[index], &part.query, self.asked_ids, last)
            if code == 0:
                code = next_match(&search, max(part.after + 1, segments[index].first), found)
                end_search(&search)
            index += 1
        return code

    # -- writing it -------------------------------------------------------------------------------------------

    cdef int _write(self, AppendPart* part) noexcept nogil:
        cdef TargetPart* write
        cdef Name* name
        cdef uint32_t target, _count
        cdef uint32_t index = 0
        cdef int code = 0
        if part.draft_count and self.now_ns >= self.segment.end_ns:
            return SEGMENT_OVER
        if part.draft_count:
            part.first = self.position + 1
        for target in range(part.write_count):
            write = &part.targets[target]
            name = write.name
            if write.count:
                code = self._will_write(name)
            for _count in range(write.count):
                if code == 0:
                    code = self._write_event(&part.drafts[index], name)
                index += 1
            if code:
                return code
            write.version = name.version
        part.last = self.position
        return self._write_state(part)

    cdef int _will_write(self, Name* stream) noexcept nogil:
        """Note that a stream's head changes in this batch."""
        if stream.batch == self.postings.batch:
            return 0
        if not list_name(&self.written, stream):
            return ENOMEM
        if stream.id == 0:
            self.stream_count += 1
            stream.id = self.stream_count
        stream.batch = self.postings.batch
        return 0

    cdef int _write_event(self, const DraftPart* draft, Name* stream) noexcept nogil:
        cdef char[8] place
        cdef Val key = Val(8, &place[0])
        cdef Val room = Val(<size_t>stored_size(draft.size, stream.size), NULL)
        cdef Stream at
        cdef int code
        self.changed = True
        self.position += 1
        stream.version += 1
        put_u64(place, self.position)
        code = mdb.cursor_put(self.events, &key, &room, PUT_APPEND | PUT_RESERVE)
        if code:
            return LOG_DAMAGED if code == MDB_KEYEXIST else code
        finish_record(<char*>room.data, draft.record, draft.size, draft.content, stream.text, stream.size,
                      self.position, stream.version, self.now_ns, stream.position, self.hash, self.hash)
        stream.position = self.position
        code = self._write_id(draft.record + AT_ID)
        if code == 0 and stream.version % MARK_EVERY == 0:
            place_of(stream, &at)
            code = put_mark(self.txn, self.segment, &at)
        return code or self._index(draft)

    cdef int _write_id(self, const char* event_id) noexcept nogil:
        cdef uint64_t position = htole64(self.position)
        cdef Val key = Val(ID_SIZE, <void*>event_id)
        cdef Val value = Val(8, &position)
        cdef int code
        if memcmp(event_id, self.last_id, ID_SIZE) > 0:
            code = mdb.cursor_put(self.ids, &key, &value, PUT_APPEND)
            memcpy(self.last_id, event_id, ID_SIZE)
            if memcmp(event_id, self.newest_id, ID_SIZE) > 0:
                memcpy(self.newest_id, event_id, ID_SIZE)
        else:
            code = mdb.cursor_put(self.ids, &key, &value, PUT_NO_OVERWRITE)
        return LOG_DAMAGED if code == MDB_KEYEXIST else code

    cdef int _write_state(self, AppendPart* part) noexcept nogil:
        cdef uint32_t index
        cdef int code = 0
        for index in range(part.state_count):
            if code == 0:
                code = put_value(self.txn, self.env.keys if part.states[index].secret else self.env.state,
                                 &part.states[index], &self.changed)
        return code

    cdef int _index(self, const DraftPart* draft) noexcept nogil:
        cdef Span text = type_of(draft.record)
        cdef Span rest = tags_of(draft.record)
        cdef int code = self._post("type:", 5, text.data, <uint32_t>text.size)
        while code == 0 and rest.size:
            text = next_tag(&rest)
            code = self._post("tag:", 4, text.data, <uint32_t>text.size)
        return code

    cdef int _post(self, const char* prefix, uint32_t prefix_size, const char* text, uint32_t size) noexcept nogil:
        cdef char[MOST_INDEX_NAME] index_name
        cdef Name* name
        cdef int code
        memcpy(index_name, prefix, prefix_size)
        memcpy(&index_name[prefix_size], text, size)
        code = self._know(&self.tags, index_name, prefix_size + size, &name)
        return code or add_posting(&self.postings, name, self.position)

    cdef int _finish(self) noexcept nogil:
        """Write the heads of the batch's streams, and its indexes."""
        cdef Name* name
        cdef Stream head
        cdef uint32_t index
        cdef int code = 0
        for index in range(self.written.count):
            name = self.written.items[index]
            place_of(name, &head)
            code = code or put_stream(self.txn, self.env.streams, name.text, name.size, &head)
        for index in range(self.postings.tag_count):
            name = self.postings.tags[index]
            if code == 0 and name.id == 0:
                self.tag_count += 1
                name.id = self.tag_count
                code = add_tag(self.txn, self.env.tags, name.text, name.size, name.id)
        return code or put_postings(&self.postings, self.txn, self.segment)


cdef inline void place_of(const Name* stream, Stream* at) noexcept nogil:
    at.id = stream.id
    at.version = stream.version
    at.position = stream.position
