# The pages of an LMDB file, read without LMDB: one snapshot of it, and walks over its trees.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from core._fast.mdb cimport MAX_KEY, Env, Txn, Val

cdef enum:
    MOST_DEPTH = 32
    TREE_SIZE = 48             # bytes of a tree's record
    META_SIZE = 136
    WALK_END = 1               # a step's answers, beside 0
    WALK_BROKEN = 2            # the file's `problem` says why

cdef struct Tree:              # what its record says of it
    uint64_t root, branch_pages, leaf_pages, overflow_pages, entries
    uint16_t depth

cdef class PageFile:
    cdef int fd
    cdef Env* env              # SAFETY: owned, as is the transaction
    cdef Txn* pin              # keeps the snapshot's pages from being used again
    cdef readonly size_t page_size
    cdef readonly uint64_t last_page
    cdef readonly uint64_t snapshot        # number of the transaction that made it
    cdef readonly uint64_t free_pages      # listed as free
    cdef readonly uint64_t slack           # bytes of used pages that hold nothing
    cdef uint64_t used                     # pages met so far, free ones too
    cdef uint8_t* met                      # SAFETY: owned; a bit for each page
    cdef Tree free_tree, main_tree
    cdef const char* problem
    cdef uint64_t problem_page

    cdef int _pin(self, bytes path) except -1
    cdef int _read_metas(self, uint64_t wanted) except -1
    cdef tuple meta_pages(self)
    cdef int _check_freed(self) except -1
    cdef object last_freed(self, Tree tree)
    cdef int fail(self, const char* problem, uint64_t page) noexcept nogil    # returns WALK_BROKEN
    cdef int meet(self, uint64_t page, uint64_t count) noexcept nogil
    cdef int fetch(self, uint64_t page, size_t offset, char* to, size_t size) noexcept nogil

cdef struct Level:
    char* page                 # SAFETY: owned
    uint32_t index, count

cdef class TreeWalk:
    cdef PageFile file
    cdef Tree tree
    cdef bint numbers          # keys are numbers of the machine
    cdef bint holds_trees
    cdef Level[MOST_DEPTH] levels
    cdef int depth
    cdef uint64_t branch_pages, leaf_pages, overflow_pages, entries
    cdef char[MAX_KEY] last_key
    cdef uint32_t last_size
    cdef char[MAX_KEY] least_key       # the next key is not less; `least_size` 0: there is no such bound
    cdef uint32_t least_size
    cdef char* held            # SAFETY: owned; a value that has pages of its own
    cdef size_t held_room

    # The next entry, in order: 0, WALK_END or WALK_BROKEN. What it points to lasts until the next step.
    cdef int step(self, Val* key, Val* value) noexcept nogil
    cdef int _enter(self, uint64_t page) noexcept nogil
    cdef int _check_page(self, char* page, uint64_t number) noexcept nogil
    cdef int _descend(self) noexcept nogil
    cdef int _take_long(self, const char* node, size_t size, Val* value) noexcept nogil
    cdef int _compare(self, const char* one, uint32_t one_size, const char* other,
                      uint32_t other_size) noexcept nogil
    cdef int _check_order(self, const Val* key) noexcept nogil
    cdef int _end(self) noexcept nogil

cdef TreeWalk walk_tree(PageFile file, const Tree* tree, bint numbers=*, bint holds_trees=*)
# Read a tree's record; False: it is not one.
cdef bint read_tree(const char* record, Tree* tree) noexcept nogil
