"""The tables that the router searches: C arrays made from core.route_rows.

The rule: nothing here changes after RouteTable is built, and searching touches no Python object. A node holds
in one cache line all that a usual step needs: the key by which its parent finds it, and how the search goes
on. Nodes reached by a literal lie in a perfect hash table, so that looking up a key reads one node and no
other, whatever the key. The other nodes follow. PERF: bench/route_match.py.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from core._fast.route_value cimport Part

cdef enum:
    SPACE_SHIFT = 28  # in a key's parent: the node's number below, core.route_rows.Space above
    SPACE_SEGMENT_PREFIX = 1 << 28
    SPACE_REST_PREFIX = 2 << 28
    SPACE_HOST = 3 << 28
    SPACE_WILDCARD = 4 << 28
    LAST_DEPTH = 63
    INLINE_TEXT = 22
    WAY_LITERAL = 1  # core.route_rows.Way
    WAY_SEGMENT = 2
    WAY_REST = 4


cdef struct Node:
    uint64_t depths  # bit n: a route ends n segments further on; the last bit: that many or more
    uint64_t methods  # of its first leaf; 0: no route ends here
    int32_t route  # of its first leaf
    uint32_t number
    uint32_t next  # the node by {x}, 0: none; for keys of prefixes the group
    uint32_t extra  # 0: none
    uint32_t parent  # of its key; with the text that leads here
    uint16_t length
    uint8_t rest_least  # segments that a path must still have for a {x:path} ahead, 0: there is none
    uint8_t skip  # how many {x} to read before anything else; what follows is of the node after them
    uint8_t ways  # WAY_ bits: by what the search may go on, other than {x}
    char text[INLINE_TEXT + 1]  # longer ones: their place in the texts


cdef struct Extra:  # what few nodes have
    uint32_t leaves  # the first of its leaves after the first
    uint32_t leaf_count
    uint32_t prefixes  # the first of the lengths of its edges' literal prefixes, longest first
    uint32_t segment_prefixes  # how many of these are of segments with parameters
    uint32_t rest_prefixes  # how many, after those, of {x:path}


cdef struct Edge:  # one way on from a node, other than a literal or {x}
    uint32_t child
    uint32_t suffix
    uint32_t suffix_length
    uint32_t parts  # the first of its parts
    uint16_t count  # how many parameters it has
    uint16_t tail  # {x:path}: how many segments come after it


cdef struct Group:  # the edges of one node that have one literal prefix
    uint32_t first
    uint32_t count


cdef struct Leaf:
    uint64_t methods
    int32_t route


cdef struct Text:
    uint32_t start
    uint32_t length


cdef struct Tables:
    Node* nodes  # number 0 is none, then the hash table
    uint16_t* displacements  # by bucket
    Extra* extras  # number 0 is empty
    Edge* edges
    Group* groups  # number 0 is empty
    Part* parts
    Leaf* leaves
    uint32_t* prefixes
    char* texts  # all long literals, suffixes, separators and methods
    Text* methods  # names of methods that have no number in head.Method
    int method_count
    int first_method  # the bit of the first of these
    uint64_t seed
    int bucket_shift
    int slot_shift
    uint32_t any_host  # root of the routes that take every host, 0: none
    uint64_t wildcards  # bit n: some wildcard host has n labels; the last bit: that many or more
    bint has_hosts


cdef class RouteTable:
    cdef Tables tables
    cdef readonly Py_ssize_t nodes
    cdef readonly Py_ssize_t size  # bytes
    cdef readonly tuple methods  # names by bit
    cdef readonly dict roots  # places of the roots, by host key

    cdef void* reserve(self, Py_ssize_t count, Py_ssize_t size) except NULL
    cdef int copy_texts(self, object rows) except -1
    cdef dict copy_nodes(self, object rows)
    cdef int write_key(self, Node* node, uint32_t parent, bytes text, object rows) except -1
    cdef int copy_edges(self, object rows, dict places) except -1
    cdef int copy_extras(self, object rows) except -1
    cdef list place_keys(self, list keys)
    cdef list displace(self, list keys)


cdef inline uint64_t load64(const char* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t load32(const char* at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline uint64_t hash_text(const char* text, uint32_t length) noexcept nogil:
    """Hash a text, eight bytes a step. Never 0. PERF: bench/route_match.py."""
    cdef uint64_t hash = length * <uint64_t>0x9E3779B97F4A7C15, word = 0
    while length > 8:
        hash = (hash ^ load64(text)) * <uint64_t>0xBF58476D1CE4E5B9
        hash ^= hash >> 29
        text += 8
        length -= 8
    if length >= 4:
        word = load32(text) | load32(text + length - 4) << 32
    elif length > 0:
        word = (<uint64_t><unsigned char>text[0] << 16 | <uint64_t><unsigned char>text[length >> 1] << 8 |
                <uint64_t><unsigned char>text[length - 1])
    hash = (hash ^ word) * <uint64_t>0x94D049BB133111EB
    return (hash ^ hash >> 32) | 1


cdef inline uint64_t hash_key(uint64_t seed, uint32_t parent, uint64_t hash) noexcept nogil:
    """Mix the hash of a text with the parent below which it is looked up."""
    hash = (hash ^ (parent + seed) * <uint64_t>0xD6E8FEB86659FD93) * <uint64_t>0x9E3779B97F4A7C15
    return hash ^ hash >> 32


cdef inline uint32_t slot_of(uint64_t key, uint16_t displacement, int shift) noexcept nogil:
    """Return a key's only place in the hash table."""
    return 1 + <uint32_t>((key ^ displacement * <uint64_t>0x8CB92BA72F3D8DD7) *
                          <uint64_t>0xBF58476D1CE4E5B9 >> shift)


cdef inline uint32_t lookup(const Tables* tables, uint32_t parent, const char* text, uint32_t length,
                            uint64_t hash) noexcept nogil:
    """Return the node that `text` leads to from `parent`, 0 when there is none."""
    cdef uint64_t key = hash_key(tables.seed, parent, hash)
    cdef uint16_t displacement = tables.displacements[key >> tables.bucket_shift]
    cdef uint32_t slot = slot_of(key, displacement, tables.slot_shift)
    cdef const Node* node = &tables.nodes[slot]
    cdef const char* own = &node.text[0]
    cdef uint32_t place
    if node.parent != parent or node.length != length:
        return 0
    if length > INLINE_TEXT:
        memcpy(&place, own, sizeof(place))
        own = tables.texts + place
    return slot if memcmp(own, text, length) == 0 else 0


cdef inline int method_bit(const Tables* tables, int method, const char* name,
                           Py_ssize_t length) noexcept nogil:
    """Return the bit of a method; 0, which only routes for every method have, when no route names it."""
    cdef int i
    if method == 0:
        for i in range(tables.method_count):
            if <Py_ssize_t>tables.methods[i].length == length and \
                    memcmp(tables.texts + tables.methods[i].start, name, length) == 0:
                return tables.first_method + i
    return method
