"""Prepare what is to be appended in one piece, as arrays that a commit runs over without the interpreter.

Rule: whatever a caller can get wrong is refused here, in the caller's thread, before anything of it waits in a
batch; what is left depends on the log alone. core/event_log makes them, core/_fast/event_writer commits them.
"""

from uuid import UUID

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cython cimport final
from libc.stdlib cimport qsort
from libc.string cimport memcmp

from core._fast.envelope cimport Draft, check_stream
from core._fast.event_layout cimport AT_ID, ID_SIZE, MOST_NAME, Span
from core._fast.mdb cimport MAX_KEY

from core.event_log.errors import ConditionFailed, EventIdConflict, EventInvalid, VersionConflict

cdef enum:
    MOST_EVENTS = 1 << 20      # of one append
    MOST_VALUE = 64 << 20      # bytes of one value of state

ANY = EXPECT_ANY
NO_STREAM = EXPECT_NO_STREAM
EXISTS = EXPECT_EXISTS


@final
cdef class Appended:
    """What became of an append: its events' positions, and the version that each written stream then had.

    Without events, ``first_position`` is 0 and ``last_position`` the log's. ``repeated``: they were there already.
    """

    cdef readonly unsigned long long first_position
    cdef readonly unsigned long long last_position
    cdef readonly tuple versions
    cdef readonly bint repeated

    def __repr__(self):
        return f"Appended({self.first_position}, {self.last_position}, {self.versions}, repeated={self.repeated})"


cdef void* room(size_t count, size_t size) except NULL:
    cdef void* found = PyMem_RawCalloc(count or 1, size)
    if found == NULL:
        raise MemoryError
    return found


cdef int compare_ids(const void* one, const void* other) noexcept nogil:
    return memcmp((<const DraftPart*>one).record + AT_ID, (<const DraftPart*>other).record + AT_ID, ID_SIZE)


@final
cdef class Query:
    """Name events by their types and tags: those that have all names of any one of ``items``.

    A name is ``type:`` and a type, or ``tag:`` and a tag. An item without names matches every event, no item
    matches none. Raises TypeError and EventInvalid.
    """

    def __cinit__(self, items):
        cdef ItemPart* item
        cdef TagPart* tag
        cdef bytes text
        self.items = tuple([tuple(names) for names in items])
        self.held = []
        self.part.items = <ItemPart*>room(len(self.items), sizeof(ItemPart))
        for names in self.items:
            item = &self.part.items[self.part.count]
            item.tags = <TagPart*>room(len(names), sizeof(TagPart))
            self.part.count += 1
            for name in names:
                text = index_name(name)
                self.held.append(text)
                tag = &item.tags[item.count]
                tag.text = PyBytes_AS_STRING(text)
                tag.size = <uint32_t>PyBytes_GET_SIZE(text)
                item.count += 1
                self.part.tag_count += 1

    def __dealloc__(self):
        cdef uint32_t index
        for index in range(self.part.count):
            PyMem_RawFree(self.part.items[index].tags)
        PyMem_RawFree(self.part.items)

    def __repr__(self):
        return f"Query({self.items!r})"


cdef bytes index_name(object name):
    if type(name) is not str:
        raise TypeError(f"a query's names are str, not {type(name).__name__}")
    cdef bytes text = name.encode()
    cdef Py_ssize_t prefix = 5 if text.startswith(b"type:") else 4 if text.startswith(b"tag:") else 0
    if prefix == 0:
        raise EventInvalid(f"a query's names begin with type: or tag:, not as {name!r}")
    if not 0 < len(text) - prefix <= MOST_NAME:
        raise EventInvalid(f"a query's name has 1 to {MOST_NAME} bytes after its prefix, not {len(text) - prefix}")
    return text


@final
cdef class Append:
    """Hold events for one or more streams, what must be so for them to be appended, and state that goes with them.

    ``writes``: (stream, expected version, drafts) each; drafts of one stream need not stand together.
    ``checks``: (stream, expected version) of streams that get none. Expected is a version, or ANY, NO_STREAM or
    EXISTS; all are held against the log as it was before this append.
    ``unless``, ``after``: refuse it if an event at a later position than ``after`` matches that query.
    ``state``: (key, value) each, of 1 to 511 bytes and up to 64 MiB; the value None removes the key.
    ``keys``: the same for the database of keys.
    Raises TypeError and EventInvalid. It belongs to one commit at a time.
    """

    def __cinit__(self, writes=(), *, checks=(), Query unless=None, after=0, state=(), keys=()):
        cdef list write_list = list(writes)
        cdef list check_list = list(checks)
        cdef list state_list = list(state)
        cdef list key_list = list(keys)
        cdef list drafts = []
        self.held = [drafts]
        self.part.targets = <TargetPart*>room(len(write_list) + len(check_list), sizeof(TargetPart))
        for stream, expected, events in write_list:
            events = list(events)
            self.take_target(stream, expected, len(events))
            drafts.extend(events)
        self.part.write_count = self.part.target_count
        for stream, expected in check_list:
            self.take_target(stream, expected, 0)
        self.take_drafts(drafts)
        self.part.states = <StatePart*>room(len(state_list) + len(key_list), sizeof(StatePart))
        for key, value in state_list:
            self.take_state(key, value, False)
        for key, value in key_list:
            self.take_state(key, value, True)
        self.query = unless
        if unless is not None:
            self.part.query = unless.part
        if not 0 <= after < 1 << 63:
            raise EventInvalid(f"after is a position, from 0, not {after}")
        self.part.after = after

    def __dealloc__(self):
        PyMem_RawFree(self.part.targets)
        PyMem_RawFree(self.part.drafts)
        PyMem_RawFree(self.part.states)

    cdef int take_target(self, object stream, object expected, Py_ssize_t count) except -1:
        cdef Span name = check_stream(stream)
        cdef TargetPart* target = &self.part.targets[self.part.target_count]
        if type(expected) is not int:
            raise TypeError(f"an expected version is an int, not {type(expected).__name__}")
        if not EXPECT_EXISTS <= expected < 1 << 63:
            raise EventInvalid(f"an expected version is a version, ANY, NO_STREAM or EXISTS, not {expected}")
        self.held.append(stream)
        target.stream = name.data
        target.size = <uint32_t>name.size
        target.expected = expected
        target.count = <uint32_t>count
        self.part.target_count += 1
        return 0

    cdef int take_drafts(self, list drafts) except -1:
        cdef Draft draft
        cdef DraftPart* part
        if len(drafts) > MOST_EVENTS:
            raise EventInvalid(f"an append has {len(drafts)} events; it may have {MOST_EVENTS}")
        self.part.drafts = <DraftPart*>room(len(drafts), sizeof(DraftPart))
        cdef bint ascending = True
        for item in drafts:
            if type(item) is not Draft:
                raise TypeError(f"an append's events are Drafts, not {type(item).__name__}")
            draft = <Draft>item
            part = &self.part.drafts[self.part.draft_count]
            part.record = PyBytes_AS_STRING(draft.held)
            part.size = PyBytes_GET_SIZE(draft.held)
            part.content = draft.content
            if self.part.draft_count and compare_ids(part - 1, part) >= 0:
                ascending = False
            self.part.draft_count += 1
        if not ascending:
            self.refuse_twins()
        return 0

    cdef int refuse_twins(self) except -1:
        cdef uint32_t count = self.part.draft_count
        cdef uint32_t index
        cdef DraftPart* sorted_parts = <DraftPart*>room(count, sizeof(DraftPart))
        cdef const char* twin = NULL
        for index in range(count):
            sorted_parts[index] = self.part.drafts[index]
        qsort(sorted_parts, count, sizeof(DraftPart), compare_ids)
        for index in range(1, count):
            if compare_ids(&sorted_parts[index - 1], &sorted_parts[index]) == 0:
                twin = sorted_parts[index].record + AT_ID
        PyMem_RawFree(sorted_parts)
        if twin != NULL:
            raise EventInvalid(f"two events of an append have the id {UUID(bytes=twin[:ID_SIZE])}")
        return 0

    cdef int take_state(self, object key, object value, bint secret) except -1:
        cdef StatePart* part = &self.part.states[self.part.state_count]
        if type(key) is not bytes or not (value is None or type(value) is bytes):
            raise TypeError("keys of state are bytes, values are bytes or None")
        if not 0 < len(key) <= MAX_KEY:
            raise EventInvalid(f"a key of state has 1 to {MAX_KEY} bytes, not {len(key)}")
        if value is not None and len(value) > MOST_VALUE:
            raise EventInvalid(f"a value of state has {len(value)} bytes; it may have {MOST_VALUE}")
        self.held.append((key, value))
        part.secret = secret
        part.key = PyBytes_AS_STRING(key)
        part.key_size = <uint32_t>PyBytes_GET_SIZE(key)
        if value is not None:
            part.value = PyBytes_AS_STRING(value)
            part.size = <size_t>PyBytes_GET_SIZE(value)
        self.part.state_count += 1
        return 0

    cdef object result(self):
        cdef AppendPart* part = &self.part
        cdef TargetPart* target
        cdef Appended done
        cdef uint32_t index
        if part.outcome == VERSION_WRONG:
            target = &part.targets[part.culprit]
            return VersionConflict(target.expected, part.found, target.stream[:target.size].decode())
        if part.outcome == CONDITION_FALSE:
            return ConditionFailed(part.after, part.found)
        if part.outcome == ID_TAKEN:
            taken = (part.drafts[part.culprit].record + AT_ID)[:ID_SIZE]
            return EventIdConflict(str(UUID(bytes=taken)), part.found)
        done = Appended.__new__(Appended)
        done.first_position = part.first
        done.last_position = part.last
        done.versions = tuple([part.targets[index].version for index in range(part.write_count)])
        done.repeated = part.outcome == REPEATED
        return done
