"""Check everything that an event log's file holds: each record, each entry of the indexes, and each against the other.

Rules: what events say that the indexes must hold, and what the indexes hold, are two sets; they are compared by
sums of their entries' hashes under a secret drawn for the occasion, so that one walk over each is enough, without
looking anything up. Nothing is read but through core/_fast/event_pages, which believes nothing.
core/event_log/verification holds the plan: which tables, in which order.
"""

import os
import struct

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from core._fast.crc32c cimport crc32c
from core._fast.envelope cimport check_record, hash_record
from core._fast.event_append cimport MOST_INDEX_NAME
from core._fast.event_catalogue cimport get_u64
from core._fast.event_env cimport open_identity
from core._fast.event_layout cimport (
    AT_ID, AT_PREVIOUS_HASH, AT_PREVIOUS_POSITION, AT_VERSION, CRC_WRONG, FORMAT_UNKNOWN, ID_SIZE, MOST_NAME,
    PLACE_WRONG, SOUND, Span, load64, next_tag, stream_of, tags_of, type_of,
)
from core._fast.event_names cimport clear_names, know_name
from core._fast.event_pages cimport TREE_SIZE, WALK_BROKEN, WALK_END, read_tree, walk_tree
from core._fast.event_streams cimport MARK_EVERY, MARK_KEY, MARK_SIZE, Stream, open_stream, open_tag
from core._fast.event_values cimport open_value
from core._fast.siphash cimport siphash

cdef enum:
    MOST_FINDINGS = 100
    MOST_IDS = 1 << 40         # names of a table

cdef dict KINDS = {
    "state": VALUES, "keys": VALUES, "streams": STREAMS, "tags": TAGS,
    "s": MARKS, "t": POSTINGS, "i": IDS, "e": EVENTS,
}
cdef set TABLES = {"meta", "streams", "keys", "state", "tags"}
cdef set META = {b"catalogue", b"format", b"lmdb", b"log"}
cdef set FORMATS = {b"1"}
cdef set LIBRARIES = {b"0.9.36"}
cdef object CATALOGUE = struct.Struct("<IIQ")          # CRC, count, revision
cdef object SEGMENT = struct.Struct("<IIQqq32s")       # number, zero, first position, start, end, hash before


cdef class Names:
    """Hold the names of streams, or those of types and tags."""

    def __cinit__(self, uint64_t most):
        self.most = most
        self.by_id = <Name**>calloc(<size_t>most + 1, sizeof(Name*))
        self.heads = <Stream*>calloc(<size_t>most + 1, sizeof(Stream))
        if self.by_id == NULL or self.heads == NULL:
            raise MemoryError

    def __dealloc__(self):
        clear_names(&self.table)
        free(self.by_id)
        free(self.heads)


cdef class LogCheck:
    """Check the newest snapshot of the log in a directory; others may go on writing, if it is ``pinned``.

    Raises LogMissing, LogInUse, and LogUnreadable if the file does not even begin as one.
    """

    def __init__(self, str path not None, *, bint pinned=True):
        self.findings = []
        self.segments = []
        self.trees = {}
        self.table = ""
        self.file = PageFile(path, pinned=pinned)
        self.secret_low, self.secret_high = struct.unpack("<QQ", os.urandom(16))

    def close(self):
        """Give the snapshot back."""
        self.file.close()

    @property
    def entries(self):
        """Return how many entries there are in all tables."""
        return sum(struct.unpack_from("<Q", record, 32)[0] for record in self.trees.values())

    # -- the structure ----------------------------------------------------------------------------------------

    def read_structure(self):
        """Read which pages are free, which tables there are, and which segments; tell if one can go on."""
        self.read_free_pages()
        if not self.read_tables():
            return False
        problem = self.read_meta()
        if problem:
            self.findings.append(("meta", problem))
            return False
        wanted = TABLES | {f"{kind}.{number:08x}" for number, _, _ in self.segments for kind in "esti"}
        for name in sorted(wanted ^ set(self.trees)):
            self.findings.append((name, "the table is missing" if name in wanted else "no segment has this table"))
        return wanted <= set(self.trees)

    cdef object read_free_pages(self):
        """Meet the pages that are listed as free."""
        cdef Val key, value
        cdef uint64_t count, index, page, before
        cdef TreeWalk walk = walk_tree(self.file, &self.file.free_tree, True)
        cdef int code = walk.step(&key, &value)
        while code == 0:
            count = load64(<const char*>value.data) if value.size >= 8 else value.size
            before = <uint64_t>-1
            if value.size < 8 or count > value.size // 8 - 1:
                self.findings.append(("free pages", "a list of free pages is longer than its entry"))
                return
            if not 1 <= load64(<const char*>key.data) <= self.file.snapshot:
                self.findings.append(("free pages", "pages were freed by a transaction that never was"))
            for index in range(1, count + 1):
                page = load64(<const char*>value.data + 8 * index)
                if page >= before:
                    code = self.file.fail("a list of free pages is not in order", page)
                code = code or self.file.meet(page, 1)
                before = page
            self.file.free_pages += count
            code = code or walk.step(&key, &value)
        if code == WALK_BROKEN:
            self.broken("free pages")

    cdef object read_tables(self):
        """Read the records of all tables."""
        cdef Val key, value
        cdef Tree tree
        cdef TreeWalk walk = walk_tree(self.file, &self.file.main_tree, False, True)
        cdef int code = walk.step(&key, &value)
        while code == 0:
            name = (<const char*>key.data)[:key.size].decode(errors="backslashreplace")
            if not read_tree(<const char*>value.data, &tree):
                self.findings.append((name, "the table is of an unknown kind"))
                return False
            self.trees[name] = (<const char*>value.data)[:TREE_SIZE]
            code = walk.step(&key, &value)
        if code == WALK_BROKEN:
            self.broken("tables")
        return code == WALK_END

    cdef object read_meta(self):
        """Read what the log says of itself, and its segments; return what is wrong."""
        cdef Val key, value
        cdef Tree tree
        cdef TreeWalk walk
        cdef int code
        held = {}
        if "meta" not in self.trees:
            return "the table is missing"
        read_tree(<const char*><bytes>self.trees["meta"], &tree)
        walk = walk_tree(self.file, &tree)
        code = walk.step(&key, &value)
        while code == 0:
            held[(<const char*>key.data)[:key.size]] = (<const char*>value.data)[:value.size]
            code = walk.step(&key, &value)
        if code == WALK_BROKEN:
            return self.page_problem()
        self.checked += len(held)
        if set(held) != META:
            return "its entries are not those of an event log"
        if held[b"format"] not in FORMATS or held[b"lmdb"] not in LIBRARIES:
            return f"format {held[b'format']!r} of LMDB {held[b'lmdb']!r} is not known"
        self.identity = open_identity(held[b"log"])
        if self.identity is None:
            return "the checksum of the log's own id is not that of its bytes"
        self.format = held[b"format"].decode()
        self.library = held[b"lmdb"].decode()
        return self.read_catalogue(held[b"catalogue"])

    cdef object read_catalogue(self, bytes text):
        """Read the segments; return what is wrong."""
        if len(text) < CATALOGUE.size:
            return "the catalogue of segments is not whole"
        told, count, _ = CATALOGUE.unpack_from(text)
        if crc32c(0, <const char*>text + 4, <Py_ssize_t>len(text) - 4) != told:
            return "the checksum of the catalogue of segments is not that of its bytes"
        if count == 0 or len(text) != CATALOGUE.size + count * SEGMENT.size:
            return "the catalogue of segments is not whole"
        for number, _, first, _, _, before in SEGMENT.iter_unpack(text[CATALOGUE.size:]):
            self.segments.append((number, first, before))
        for older, newer in zip(self.segments, self.segments[1:]):
            if older[0] >= newer[0] or older[1] >= newer[1]:
                return "the segments are not in order"
        return None

    # -- one table after another ------------------------------------------------------------------------------

    def begin(self, str table not None):
        """Begin with a table; those of a segment after `begin_segment`, its events last."""
        cdef Tree tree
        read_tree(<const char*><bytes>self.trees[table], &tree)
        self.table = table
        self.kind = KINDS[table.partition(".")[0]]
        self.walk = walk_tree(self.file, &tree)
        self.entry_id = self.entry_next = 0
        if self.kind == STREAMS or self.kind == TAGS:
            # NOTE: so many entries need so many pages; a damaged number must not ask for all memory there is.
            if tree.entries > self.file.last_page * self.file.page_size // 16:
                tree.entries = 0
            names = Names(tree.entries)
            if self.kind == STREAMS:
                self.streams = names
            else:
                self.tags = names

    def begin_segment(self, int index):
        """Begin with a segment."""
        cdef Tree tree
        cdef bytes before
        number, first, before = self.segments[index]
        read_tree(<const char*><bytes>self.trees[f"e.{number:08x}"], &tree)
        if index == 0 or not self.chained:
            memcpy(self.hash, <const char*>before, HASH_BYTES)
        elif memcmp(self.hash, <const char*>before, HASH_BYTES):
            self.findings.append((f"segment {number}", "the hash of the record before it is another"))
            memcpy(self.hash, <const char*>before, HASH_BYTES)
        if index and first != self.position:
            what = f"it begins at {first}, the one before ends before {self.position}"
            self.findings.append((f"segment {number}", what))
        if index == 0 and (number == 1) != (first == 1):
            self.findings.append((f"segment {number}", f"it begins at {first}"))
        if index == 0 and number == 1 and before != bytes(HASH_BYTES):
            self.findings.append((f"segment {number}", "there is a record before the first"))
        self.chained = True
        self.whole = self.segments[0][0] == 1
        self.oldest_kept = self.segments[0][1]
        self.position = self.first = first
        self.last = first + tree.entries - 1
        self.comparable = True
        memset(self.told, 0, sizeof(self.told))
        memset(self.held, 0, sizeof(self.held))

    def proceed(self, uint32_t most):
        """Check so many entries more of the table; tell if there are others."""
        cdef Val key, value
        cdef int code = 0
        with nogil:
            while code == 0 and most:
                most -= 1
                code = self.walk.step(&key, &value)
                if code == 0:
                    self.checked += 1
                    code = self.take(&key, &value)
        if code == FOUND:
            self.comparable = False
            self.findings.append((self.place(), self.what.decode()))
            return len(self.findings) < MOST_FINDINGS
        if code == WALK_BROKEN:
            self.comparable = False
            self.broken(self.table)
        return code == 0

    cdef object place(self):
        """Say in words where something was found."""
        told = "event" if self.kind == EVENTS else f"{self.table}, entry for"
        return f"{told} {self.at}" if self.at else self.table

    cdef object broken(self, str table):
        """Note what the pages of a table have."""
        self.findings.append((table, self.page_problem()))

    cdef object page_problem(self):
        """Say what is wrong with a page."""
        return f"page {self.file.problem_page}: {self.file.problem.decode()}"

    def end_segment(self):
        """Compare what a segment's events say with what its indexes hold."""
        if not self.comparable:
            return
        if self.position != self.last + 1:
            self.findings.append((self.table, "it has not all its events"))
        for index, name in enumerate(("streams", "types and tags", "event ids")):
            if self.told[index].sum != self.held[index].sum or self.told[index].count != self.held[index].count:
                self.findings.append((self.table, f"the index of {name} is not that of the events"))

    def end(self):
        """Look for what nothing led to: streams and tags without events, pages in no place."""
        self.compare_heads()
        self.look_for_unused()
        if self.file.unmet_pages and not self.findings:
            self.findings.append(("pages", f"{self.file.unmet_pages} pages are neither used nor free"))

    cdef object compare_heads(self):
        """Hold the places of streams to their last events; those without any must have been dropped."""
        cdef uint64_t index
        cdef Name* name
        cdef Stream* head
        if self.findings:
            return
        for index in range(1, self.streams.most + 1):
            name = self.streams.by_id[index]
            head = &self.streams.heads[index]
            if name.epoch and (head.version != name.version or head.position != name.position):
                self.findings.append((f"streams, number {index}", "its last event stands elsewhere"))
            elif name.epoch == 0 and (self.whole or head.position >= self.oldest_kept):
                self.findings.append((f"streams, number {index}", "no event has this name"))

    cdef object look_for_unused(self):
        """Note a name of a type or a tag that no event has."""
        cdef uint64_t index
        if self.findings or not self.whole:
            return
        for index in range(1, self.tags.most + 1):
            if self.tags.by_id[index].epoch == 0:
                self.findings.append((f"tags, number {index}", "no event has this name"))
                return

    # -- one entry after another ------------------------------------------------------------------------------

    cdef int find(self, const char* what, uint64_t at) noexcept nogil:
        self.what = what
        self.at = at
        return FOUND

    cdef void count(self, Tally* tally, uint64_t one, uint64_t other, uint64_t position) noexcept nogil:
        cdef uint64_t[3] entry
        entry[0] = one
        entry[1] = other
        entry[2] = position
        tally.sum += siphash(self.secret_low, self.secret_high, <const char*>entry, sizeof(entry))
        tally.count += 1

    cdef int take(self, const Val* key, Val* value) noexcept nogil:
        if self.kind == EVENTS:
            return self.take_event(key, value)
        if self.kind == IDS:
            return self.take_id(key, value)
        if self.kind == POSTINGS:
            return self.take_posting(key, value)
        if self.kind == MARKS:
            return self.take_mark(key, value)
        if self.kind == STREAMS:
            return self.take_stream(key, value)
        if self.kind == TAGS:
            return self.take_tag(key, value)
        return self.find("a value's checksum is not that of its bytes", 0) if open_value(key, value) else 0

    cdef int take_stream(self, const Val* key, const Val* value) noexcept nogil:
        cdef Stream head
        cdef int code
        if open_stream(key, value, &head):
            return self.find("the checksum of a stream's place is not that of its bytes", 0)
        code = self.take_name(self.streams, key, head.id)
        if code == 0:
            if head.version == 0 or head.position == 0:
                return self.find("there is no place for a stream's last event", head.id)
            self.streams.heads[head.id] = head
        return code

    cdef int take_tag(self, const Val* key, const Val* value) noexcept nogil:
        cdef uint64_t number
        if open_tag(key, value, &number):
            return self.find("the checksum of a name's number is not that of its bytes", 0)
        return self.take_name(self.tags, key, number)

    cdef int take_name(self, Names names, const Val* key, uint64_t number) noexcept nogil:
        cdef Name* name
        if not 1 <= number <= names.most or names.by_id[number] != NULL:
            return self.find("a name's number is out of range, or another's", number)
        name = know_name(&names.table, <const char*>key.data, <uint32_t>key.size)
        if name == NULL:
            return self.find("there is no memory for the names", number)
        name.id = number
        names.by_id[number] = name
        return 0

    cdef int take_mark(self, const Val* key, const Val* value) noexcept nogil:
        cdef uint64_t stream, version
        if key.size != MARK_KEY or value.size != MARK_SIZE:
            return self.find("an entry has an impossible size", 0)
        stream = get_u64(key.data)
        version = get_u64(<const char*>key.data + 8)
        self.count(&self.told[OF_MARKS], stream, version, load64(<const char*>value.data))
        return 0

    cdef int take_posting(self, const Val* key, const Val* value) noexcept nogil:
        cdef const uint8_t* at = <const uint8_t*>value.data
        cdef const uint8_t* end = at + value.size
        cdef uint64_t tag, position, distance
        cdef uint8_t byte = 0
        cdef int shift
        if key.size != 16:
            return self.find("an entry has an impossible size", 0)
        tag = get_u64(key.data)
        position = get_u64(<const char*>key.data + 8)
        if not 1 <= tag <= self.tags.most or self.tags.by_id[tag] == NULL:
            return self.find("there is no type or tag of this number", tag)
        if tag == self.entry_id and position < self.entry_next:
            return self.find("two entries of a type or tag overlap", tag)
        while self.first <= position <= self.last:
            self.count(&self.told[OF_POSTINGS], tag, 0, position)
            if at == end:
                self.entry_id = tag
                self.entry_next = position + 1
                return 0
            distance = 0
            shift = 0
            while at < end and shift <= 56:
                byte = at[0]
                distance |= <uint64_t>(byte & 0x7f) << shift
                shift += 7
                at += 1
                if byte < 0x80:
                    break
            if byte >= 0x80 or distance == 0 or distance > self.last - position:
                break
            position += distance
        return self.find("events are named that the segment does not have", tag)

    cdef int take_id(self, const Val* key, const Val* value) noexcept nogil:
        if key.size != ID_SIZE or value.size != 8:
            return self.find("an entry has an impossible size", 0)
        self.count(&self.told[OF_IDS], load64(<const char*>key.data), load64(<const char*>key.data + 8),
                   load64(<const char*>value.data))
        return 0

    cdef int take_event(self, const Val* key, const Val* value) noexcept nogil:
        cdef const char* record = <const char*>value.data
        cdef uint64_t position
        cdef int damage
        cdef bint linked
        if key.size != 8:
            return self.find("an entry has an impossible size", 0)
        position = get_u64(key.data)
        if position != self.position:
            damage = self.find("it stands where another event must be", position)
            self.position = position + 1
            self.chained = False
            return damage
        self.position += 1
        damage = check_record(record, <Py_ssize_t>value.size, position, True)
        if damage != SOUND:
            self.chained = False
            if damage == CRC_WRONG:
                return self.find("its checksum is not that of its bytes", position)
            if damage == PLACE_WRONG:
                return self.find("it says that it stands elsewhere", position)
            return self.find("its format is not known" if damage == FORMAT_UNKNOWN else "it is not whole", position)
        self.events += 1
        linked = not self.chained or memcmp(record + AT_PREVIOUS_HASH, self.hash, HASH_BYTES) == 0
        hash_record(record, <Py_ssize_t>value.size, self.hash)
        self.chained = True
        if not linked:
            return self.find("it does not follow the record before it: the hash that it names is another's", position)
        self.count(&self.held[OF_IDS], load64(record + AT_ID), load64(record + AT_ID + 8), position)
        return self.take_places(record)

    cdef int take_places(self, const char* record) noexcept nogil:
        """Note where the indexes must have an event."""
        cdef Span text = stream_of(record)
        cdef Span rest = tags_of(record)
        cdef uint64_t version = load64(record + AT_VERSION)
        cdef Name* name = know_name(&self.streams.table, text.data, <uint32_t>text.size)
        cdef int code
        if name == NULL or name.id == 0:
            return self.find("its stream is not in the table of streams", self.position - 1)
        code = self.check_order(name, version, load64(record + AT_PREVIOUS_POSITION))
        name.version = version
        name.position = self.position - 1
        name.epoch = 1
        if code:
            return code
        if version % MARK_EVERY == 0:
            self.count(&self.held[OF_MARKS], name.id, version, name.position)
        text = type_of(record)
        code = self.take_index_name("type:", 5, text.data, text.size)
        while code == 0 and rest.size:
            text = next_tag(&rest)
            code = self.take_index_name("tag:", 4, text.data, text.size)
        return code

    cdef int check_order(self, const Name* stream, uint64_t version, uint64_t before) noexcept nogil:
        """Hold what an event says of the one before it in its stream to what was met; that may have been dropped."""
        if stream.epoch or self.whole:
            if version != stream.version + 1:
                return self.find("its version does not follow that of its stream's event before it", self.position - 1)
            if before != stream.position:
                return self.find("it names another event than the one before it in its stream", self.position - 1)
        elif version == 0 or (version == 1) != (before == 0) or before >= self.oldest_kept:
            return self.find("it names an event before it in its stream that cannot be", self.position - 1)
        return 0

    cdef int take_index_name(self, const char* prefix, uint32_t prefix_size, const char* text,
                             Py_ssize_t size) noexcept nogil:
        cdef char[MOST_INDEX_NAME] index_name
        cdef Name* name
        if size > MOST_NAME:
            return self.find("its type or a tag is longer than can be", self.position - 1)
        memcpy(index_name, prefix, prefix_size)
        memcpy(&index_name[prefix_size], text, size)
        name = know_name(&self.tags.table, index_name, prefix_size + <uint32_t>size)
        if name == NULL or name.id == 0:
            return self.find("its type or a tag is not in the table of tags", self.position - 1)
        name.epoch = 1
        self.count(&self.held[OF_POSTINGS], name.id, 0, self.position - 1)
        return 0
