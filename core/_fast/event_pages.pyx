"""Read an LMDB file's pages without LMDB, and believe nothing that they say.

Rules: LMDB trusts its file, so a damaged page can lead it anywhere in memory; here every number is held against
the bounds of what it points into before it is used, and every page is met once: in one tree, or as free. A
snapshot is read, while others write: a reading transaction of LMDB's, which itself looks at no page, keeps its pages.
core/_fast/event_check calls; `agora log verify` stands on it.

NOTE: the layout is that of LMDB 0.9 on machines of 64 bits whose numbers are little-endian. All is relative to
a page: header (number u64, pad u16, flags u16, lower u16, upper u16), then offsets of nodes (u16), then room, then
nodes (size or page low u16, high u16, flags u16, key size u16, key, data), each beginning at an even offset.
"""

import os

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

from core._fast.event_layout cimport load16, load32, load64
from core._fast.mdb cimport ENV_NO_TLS, ENV_READ_ONLY, MAX_KEY, TXN_READ_ONLY, Val, mdb

from core.event_log.errors import LogInUse, LogMissing, LogUnreadable

cdef extern from "<unistd.h>" nogil:
    Py_ssize_t pread(int fd, void* to, size_t size, long offset)

cdef enum:
    MAGIC = 0xBEEFC0DE
    DATA_VERSION = 1
    HEADER = 16                # bytes before a page's offsets
    NODE = 8                   # bytes before a node's key
    AT_FLAGS = 10              # in a page
    AT_LOWER = 12
    AT_UPPER = 14
    AT_PAGES = 12              # u32, of a value's own pages
    BRANCH = 1
    LEAF = 2
    OVERFLOW = 4
    META = 8
    BIG_DATA = 1               # flags of a node
    SUB_TREE = 2
    INTEGER_KEYS = 8           # the only flag of the list of free pages
    SMALLEST_PAGE = 512
    LARGEST_PAGE = 0x8000
    MOST_READERS = 2048        # as core/_fast/event_env sets it
    MOST_DATABASES = 8
    MOST_TURNS = 64            # to catch a snapshot's meta page while others commit

cdef uint64_t NO_PAGE = <uint64_t>-1


cdef bint read_tree(const char* record, Tree* tree) noexcept nogil:
    if load32(record) or load16(record + 4):
        return False
    read_numbers(record, tree)
    return True


cdef void read_numbers(const char* record, Tree* tree) noexcept nogil:
    tree.depth = load16(record + 6)
    tree.branch_pages = load64(record + 8)
    tree.leaf_pages = load64(record + 16)
    tree.overflow_pages = load64(record + 24)
    tree.entries = load64(record + 32)
    tree.root = load64(record + 40)


cdef class PageFile:
    """Open the newest snapshot of the LMDB file in a directory.

    ``pinned``: keep its pages while others write; without it, nobody may. Raises LogMissing, LogInUse, and
    LogUnreadable if the two meta pages, where all else begins, are not sound.
    """

    def __cinit__(self):
        self.fd = -1

    def __init__(self, str path not None, *, bint pinned=True):
        file = os.path.join(path, "data.mdb")
        try:
            self.fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise LogMissing(f"there is no event log in {path}") from None
        except OSError as error:
            raise LogUnreadable(f"{file}: {error.strerror}") from None
        try:
            self._read_metas(NO_PAGE)
            if not pinned:
                self._check_freed()
            else:
                refuse_second_opening(path)
                self._pin(os.fsencode(path))
            self.met = <uint8_t*>calloc(<size_t>self.last_page // 8 + 1, 1)
            if self.met == NULL:
                raise MemoryError
        except BaseException:
            self.close()
            raise

    def __dealloc__(self):
        self.close()

    def close(self):
        """Give the snapshot back; more often is harmless."""
        if self.pin != NULL:
            mdb.txn_abort(self.pin)
            self.pin = NULL
        if self.env != NULL:
            mdb.env_close(self.env)
            self.env = NULL
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        free(self.met)
        self.met = NULL

    @property
    def unmet_pages(self):
        """Return how many pages were met neither in a tree nor in the list of free ones."""
        return self.last_page + 1 - 2 - self.used

    cdef int _pin(self, bytes path) except -1:
        cdef int _turn
        cdef int code = mdb.env_create(&self.env)
        if code == 0:
            code = (mdb.env_set_maxreaders(self.env, MOST_READERS)
                    or mdb.env_set_maxdbs(self.env, MOST_DATABASES)
                    or mdb.env_open(self.env, path, ENV_NO_TLS | ENV_READ_ONLY, 0o600))
        for _turn in range(MOST_TURNS):
            code = code or mdb.txn_begin(self.env, NULL, TXN_READ_ONLY, &self.pin)
            if code:
                self.pin = NULL
                raise LogUnreadable(f"{os.fsdecode(path)}: {mdb.strerror(code).decode()}")
            if self._read_metas(mdb.txn_id(self.pin)):
                self._check_freed()
                return 0
            mdb.txn_abort(self.pin)
            self.pin = NULL
        raise LogInUse(f"{os.fsdecode(path)}: others commit faster than its meta pages can be read")

    cdef int _read_metas(self, uint64_t wanted) except -1:
        """Take the snapshot that a transaction made, the newest without one; tell whether it still stands there."""
        cdef const char* meta
        cdef uint64_t map_size
        first, second = self.meta_pages()
        numbers = [check_meta(page, index, self.page_size) for index, page in enumerate((first, second))]
        newest = int(numbers[1] > numbers[0])
        if numbers != [0, 0] and (abs(numbers[0] - numbers[1]) != 1 or numbers[newest] % 2 != newest):
            raise LogUnreadable("the numbers of its meta pages contradict each other")
        if wanted != NO_PAGE:
            if wanted not in numbers:
                return 0
            newest = numbers.index(wanted)
        page = (first, second)[newest]
        meta = <const char*><bytes>page + HEADER
        if load16(meta + 24 + 4) != INTEGER_KEYS or not read_tree(meta + 24 + TREE_SIZE, &self.main_tree):
            raise LogUnreadable("the trees of its meta page are of no known kind")
        read_numbers(meta + 24, &self.free_tree)
        self.last_page = load64(meta + 24 + 2 * TREE_SIZE)
        self.snapshot = numbers[newest]
        map_size = load64(meta + 16)
        if not 1 <= self.last_page < map_size // self.page_size:
            raise LogUnreadable("its meta page tells of more pages than there can be")
        return 1

    cdef int _check_freed(self) except -1:
        """Hold the numbers of the meta pages against the lists of free pages, where each commit leaves its number.

        Else one flipped bit could have the commit before the last taken for the last.
        """
        cdef Tree tree
        for page in self.meta_pages():
            number = load64(<const char*><bytes>page + HEADER + 24 + 2 * TREE_SIZE + 8)
            read_numbers(<const char*><bytes>page + HEADER + 24, &tree)
            # NOTE: a newer one may have come; its pages are not kept for us.
            if number <= self.snapshot and self.last_freed(tree) != (number if number > 1 else 0):
                raise LogUnreadable(f"its meta page of transaction {number} is not what that transaction wrote")
        return 0

    cdef object last_freed(self, Tree tree):
        """Return the greatest key of a list of free pages, 0 without one, None if its pages are not sound."""
        cdef uint64_t page = tree.root
        cdef bytes held
        cdef const char* at
        cdef uint32_t node
        cdef int _level
        if tree.root == NO_PAGE:
            return 0
        if not 1 <= tree.depth <= MOST_DEPTH:
            return None
        for _level in range(tree.depth):
            held = os.pread(self.fd, self.page_size, page * self.page_size) if 1 < page <= self.last_page else b""
            if len(held) < <Py_ssize_t>self.page_size:
                return None
            at = held
            if not HEADER + 2 <= load16(at + AT_LOWER) <= self.page_size:
                return None
            node = load16(at + load16(at + AT_LOWER) - 2)
            if node + NODE + 8 > self.page_size:
                return None
            page = load32(at + node) | <uint64_t>load16(at + node + 4) << 32
        return load64(at + node + NODE)

    cdef tuple meta_pages(self):
        """Return the two meta pages as they were at one moment."""
        for _turn in range(MOST_TURNS):
            first = os.pread(self.fd, HEADER + META_SIZE, 0)
            self.page_size = meta_page_size(first)
            second = os.pread(self.fd, HEADER + META_SIZE, self.page_size)
            if os.pread(self.fd, HEADER + META_SIZE, 0) == first:
                return first, second
        raise LogInUse("others commit faster than its meta pages can be read")

    cdef int fail(self, const char* problem, uint64_t page) noexcept nogil:
        self.problem = problem
        self.problem_page = page
        return WALK_BROKEN

    cdef int meet(self, uint64_t page, uint64_t count) noexcept nogil:
        cdef uint64_t number
        if page < 2 or page > self.last_page or count > self.last_page - page + 1:
            return self.fail("a page is named that the file does not have", page)
        for number in range(page, page + count):
            if self.met[number >> 3] & (1 << (number & 7)):
                return self.fail("the page is in two places", number)
            self.met[number >> 3] |= <uint8_t>(1 << (number & 7))
        self.used += count
        return 0

    cdef int fetch(self, uint64_t page, size_t offset, char* to, size_t size) noexcept nogil:
        cdef size_t done = 0
        cdef Py_ssize_t count
        while done < size:
            count = pread(self.fd, to + done, size - done, <long>(page * self.page_size + offset + done))
            if count < 0:
                return self.fail("the disk cannot read the page", page)
            if count == 0:
                return self.fail("the file ends before the page does", page)
            done += <size_t>count
        return 0


cdef object refuse_second_opening(str path):
    """Raise LogInUse if this process has the log open already: closing it here would drop the locks of there."""
    try:
        place = os.stat(os.path.join(path, "lock.mdb"))
    except OSError:
        return
    for name in os.listdir("/proc/self/fd"):
        try:
            other = os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if (other.st_dev, other.st_ino) == (place.st_dev, place.st_ino):
            raise LogInUse(f"the event log in {path} is open in this process already")


cdef size_t meta_page_size(bytes page) except 0:
    cdef size_t size
    if len(page) < HEADER + META_SIZE:
        raise LogUnreadable("its file ends before its first meta page does")
    size = load32(<const char*>page + HEADER + 24)
    if not SMALLEST_PAGE <= size <= LARGEST_PAGE or size & (size - 1):
        raise LogUnreadable(f"its meta page says that pages have {size} bytes")
    return size


cdef object check_meta(bytes page, int number, size_t page_size):
    """Return the number of the transaction that wrote a meta page; raise LogUnreadable."""
    cdef const char* at = page
    if len(page) < HEADER + META_SIZE:
        raise LogUnreadable(f"its file ends before meta page {number} does")
    cdef const char* meta = at + HEADER
    if load64(at) != <uint64_t>number or load16(at + 8) or load16(at + AT_FLAGS) != META:
        raise LogUnreadable(f"page {number} is no meta page")
    if load32(meta) != MAGIC or load32(meta + 4) != DATA_VERSION:
        raise LogUnreadable(f"meta page {number} is not that of an LMDB file of version {DATA_VERSION}")
    if load64(meta + 8) or load64(meta + 16) % page_size or load32(meta + 24) != page_size:
        raise LogUnreadable(f"meta page {number} contradicts itself")
    return load64(meta + 24 + 2 * TREE_SIZE + 8)


cdef TreeWalk walk_tree(PageFile file, const Tree* tree, bint numbers=False, bint holds_trees=False):
    cdef TreeWalk walk = TreeWalk.__new__(TreeWalk)
    walk.file = file
    walk.tree = tree[0]
    walk.numbers = numbers
    walk.holds_trees = holds_trees
    return walk


cdef class TreeWalk:
    """Go over a tree's entries in order, checking each of its pages."""

    def __dealloc__(self):
        cdef int index
        for index in range(MOST_DEPTH):
            free(self.levels[index].page)
        free(self.held)

    cdef int step(self, Val* key, Val* value) noexcept nogil:
        cdef Level* level
        cdef const char* node
        cdef size_t size
        cdef int code
        if self.depth == 0:
            if self.tree.root == NO_PAGE:
                return self._end()
            if self.entries:
                return WALK_END
            code = self._enter(self.tree.root)
            if code:
                return code
        code = self._descend()
        if code:
            return code
        level = &self.levels[self.depth - 1]
        node = level.page + load16(level.page + HEADER + 2 * level.index)
        level.index += 1
        key.size = load16(node + 6)
        key.data = <void*>(node + NODE)
        size = load32(node)
        value.size = size
        value.data = <void*>(node + NODE + key.size)
        code = self._check_order(key)
        if code == 0 and load16(node + 4) & BIG_DATA:
            code = self._take_long(node, size, value)
        self.entries += 1
        return code

    cdef int _descend(self) noexcept nogil:
        """Go up from nodes that are done with, and down to the next leaf's; WALK_END after the last."""
        cdef Level* level
        cdef const char* node
        cdef uint64_t child
        cdef int code
        while True:
            level = &self.levels[self.depth - 1]
            if level.index == level.count:
                self.depth -= 1
                if self.depth == 0:
                    return self._end()
                continue
            if self.depth == self.tree.depth:
                return 0
            node = level.page + load16(level.page + HEADER + 2 * level.index)
            child = load32(node) | <uint64_t>load16(node + 4) << 32
            if level.index:
                self.least_size = load16(node + 6)
                memcpy(self.least_key, node + NODE, self.least_size)
                if self._compare(self.last_key, self.last_size, node + NODE, self.least_size) >= 0:
                    return self.file.fail("a key that parts two pages belongs before them", child)
            level.index += 1
            code = self._enter(child)
            if code:
                return code

    cdef int _enter(self, uint64_t page) noexcept nogil:
        cdef Level* level = &self.levels[self.depth]
        cdef int code = 0
        if self.depth >= self.tree.depth or self.depth >= MOST_DEPTH:
            return self.file.fail("the tree is deeper than it says", page)
        if level.page == NULL:
            level.page = <char*>malloc(self.file.page_size)
            if level.page == NULL:
                return self.file.fail("there is no memory to read the page", page)
        code = self.file.meet(page, 1)
        code = code or self.file.fetch(page, 0, level.page, self.file.page_size)
        code = code or self._check_page(level.page, page)
        if code == 0:
            level.index = 0
            level.count = (load16(level.page + AT_LOWER) - HEADER) // 2
            self.depth += 1
            if self.depth == self.tree.depth:
                self.leaf_pages += 1
            else:
                self.branch_pages += 1
        return code

    cdef int _check_page(self, char* page, uint64_t number) noexcept nogil:
        cdef bint leaf = self.depth + 1 == self.tree.depth
        cdef uint32_t lower = load16(page + AT_LOWER)
        cdef uint32_t upper = load16(page + AT_UPPER)
        cdef uint32_t count = (lower - HEADER) // 2 if lower >= HEADER else 0
        cdef uint32_t filled = 0
        cdef uint32_t index, at, size, key_size, flags
        if load64(page) != number or load16(page + 8):
            return self.file.fail("the page says that it is another", number)
        if load16(page + AT_FLAGS) != (LEAF if leaf else BRANCH):
            return self.file.fail("the page is of another kind than its place in the tree", number)
        if lower & 1 or upper & 1 or lower > upper or upper > self.file.page_size or count < (1 if leaf else 2):
            return self.file.fail("the page's bounds contradict each other", number)
        for index in range(count):
            at = load16(page + HEADER + 2 * index)
            if at < upper or at & 1 or at + NODE > self.file.page_size:
                return self.file.fail("an entry lies outside of the page's", number)
            key_size = load16(page + at + 6)
            size = NODE + key_size
            if leaf:
                flags = load16(page + at + 4)
                if flags & ~<uint32_t>(SUB_TREE if self.holds_trees else BIG_DATA):
                    return self.file.fail("an entry is of an unknown kind", number)
                if self.holds_trees and (flags != SUB_TREE or load32(page + at) != TREE_SIZE):
                    return self.file.fail("an entry names no tree", number)
                if not flags & BIG_DATA and load32(page + at) > self.file.page_size:
                    return self.file.fail("an entry is longer than its page", number)
                size += 8 if flags & BIG_DATA else load32(page + at)
            if key_size > MAX_KEY or (key_size == 0 and (leaf or index)) or self.numbers and key_size not in (0, 8):
                return self.file.fail("an entry's key has an impossible size", number)
            self.file.slack += size & 1
            size += size & 1
            if at + size > self.file.page_size:
                return self.file.fail("an entry is longer than its page", number)
            filled += size
        if filled != self.file.page_size - upper:
            return self.file.fail("the page's entries do not fill it", number)
        self.file.slack += upper - lower
        return 0

    cdef int _take_long(self, const char* node, size_t size, Val* value) noexcept nogil:
        """Read a value that has pages of its own."""
        cdef char[HEADER] header
        cdef void* grown
        cdef uint64_t page = load64(node + NODE + load16(node + 6))
        cdef uint64_t count
        cdef int code = 0
        if page < 2 or page > self.file.last_page:
            return self.file.fail("a page is named that the file does not have", page)
        code = self.file.fetch(page, 0, header, HEADER)
        if code:
            return code
        count = load32(header + AT_PAGES)
        if load64(header) != page or load16(header + 8) or load16(header + AT_FLAGS) != OVERFLOW:
            return self.file.fail("the page of a long value is another", page)
        if count * self.file.page_size < HEADER + size:
            return self.file.fail("a long value has fewer pages than it needs", page)
        code = self.file.meet(page, count)
        if code:
            return code
        if size > self.held_room:
            grown = realloc(self.held, size)
            if grown == NULL:
                return self.file.fail("there is no memory to read the value", page)
            self.held = <char*>grown
            self.held_room = size
        self.overflow_pages += count
        self.file.slack += count * self.file.page_size - HEADER - size
        value.data = self.held
        return self.file.fetch(page, HEADER, self.held, size)

    cdef int _compare(self, const char* one, uint32_t one_size, const char* other,
                      uint32_t other_size) noexcept nogil:
        cdef int order
        if self.numbers and one_size == 8 and other_size == 8:
            return (load64(one) > load64(other)) - (load64(one) < load64(other))
        order = memcmp(one, other, min(one_size, other_size))
        return order or (one_size > other_size) - (one_size < other_size)

    cdef int _check_order(self, const Val* key) noexcept nogil:
        cdef char* last = self.last_key
        cdef uint32_t size = <uint32_t>key.size
        cdef const char* text = <const char*>key.data
        cdef uint64_t page = load64(self.levels[self.depth - 1].page)
        if self.last_size and self._compare(last, self.last_size, text, size) >= 0:
            return self.file.fail("the keys are not in order", page)
        if self.least_size and self._compare(self.least_key, self.least_size, text, size) > 0:
            return self.file.fail("a key is less than the one that leads to its page", page)
        self.least_size = 0
        self.last_size = size
        memcpy(last, text, size)
        return 0

    cdef int _end(self) noexcept nogil:
        cdef const Tree* told = &self.tree
        if (told.entries != self.entries or told.branch_pages != self.branch_pages
                or told.leaf_pages != self.leaf_pages or told.overflow_pages != self.overflow_pages
                or (told.root == NO_PAGE and told.depth)):
            return self.file.fail("the tree has not what it is said to have", told.root)
        return WALK_END
