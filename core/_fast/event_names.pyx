"""Know names by their bytes: a hash table that runs without the interpreter.

Rule: what is said of a name holds for one epoch of the writer alone; a new epoch begins whenever somebody else
may have written. core/_fast/event_writer keeps two, of streams and of tags. Names come from clients, so
their hashes are keyed.
"""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from core._fast.siphash cimport siphash

cdef extern from "<sys/random.h>" nogil:
    Py_ssize_t getrandom(void* to, size_t size, unsigned int flags)

cdef enum:
    FEWEST_BUCKETS = 256
    FEWEST_LISTED = 64


cdef bint make_buckets(NameTable* table) noexcept nogil:
    """Begin with some buckets, or double them."""
    cdef uint32_t mask = 2 * table.mask + 1 if table.buckets != NULL else FEWEST_BUCKETS - 1
    cdef Name** buckets = <Name**>calloc(<size_t>mask + 1, sizeof(Name*))
    cdef Name* name
    cdef Name* following
    cdef size_t index
    if buckets == NULL:
        return False
    if table.buckets == NULL:
        getrandom(&table.secret_low, 8, 0)
        getrandom(&table.secret_high, 8, 0)
    else:
        for index in range(<size_t>table.mask + 1):
            name = table.buckets[index]
            while name != NULL:
                following = name.next
                name.next = buckets[name.hash & mask]
                buckets[name.hash & mask] = name
                name = following
        free(table.buckets)
    table.buckets = buckets
    table.mask = mask
    return True


cdef Name* know_name(NameTable* table, const char* text, uint32_t size) noexcept nogil:
    cdef uint64_t hashed
    cdef Name* name
    if table.count >= table.mask and not make_buckets(table):
        return NULL
    hashed = siphash(table.secret_low, table.secret_high, text, size)
    name = table.buckets[hashed & table.mask]
    while name != NULL:
        if name.hash == hashed and name.size == size and memcmp(name.text, text, size) == 0:
            return name
        name = name.next
    name = <Name*>malloc(sizeof(Name) + size)
    if name == NULL:
        return NULL
    memset(name, 0, sizeof(Name))
    name.text = <char*>(name + 1)
    name.hash = hashed
    name.size = size
    memcpy(name.text, text, size)
    name.next = table.buckets[hashed & table.mask]
    table.buckets[hashed & table.mask] = name
    table.count += 1
    return name


cdef void clear_names(NameTable* table) noexcept nogil:
    cdef Name* name
    cdef Name* following
    cdef size_t index
    if table.buckets != NULL:
        for index in range(<size_t>table.mask + 1):
            name = table.buckets[index]
            while name != NULL:
                following = name.next
                free(name)
                name = following
        free(table.buckets)
    memset(table, 0, sizeof(NameTable))


cdef bint list_name(NameList* names, Name* name) noexcept nogil:
    cdef uint32_t room = 2 * names.room or FEWEST_LISTED
    cdef void* grown
    if names.count == names.room:
        grown = realloc(names.items, room * sizeof(Name*))
        if grown == NULL:
            return False
        names.items = <Name**>grown
        names.room = room
    names.items[names.count] = name
    names.count += 1
    return True
