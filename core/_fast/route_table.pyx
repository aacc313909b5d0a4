"""Build the router's tables once, from the rows of the route tree; see route_table.pxd for what they are.

The hash table is made by hashing and displacing: keys fall into buckets, and each bucket gets the first
displacement that sends all its keys to free slots, the largest bucket first. Only the router calls it.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from core._fast.route_table cimport hash_key, hash_text, slot_of

from core.route_pattern import KNOWN_METHODS
from core.route_rows import RouteRows, Space

cdef frozenset PREFIXES = frozenset({Space.SEGMENT_PREFIX, Space.REST_PREFIX})

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** memory, size_t alignment, size_t size)

cdef enum:
    CACHE_LINE = 64
    BUCKET_BITS = 2  # slots for each bucket, as a power of two
    SEEDS = 4  # tried before the table is made larger
    GROWTH = 4  # how many times
    LAST_DISPLACEMENT = 4095


cdef class RouteTable:
    """Own the arrays. Raises RoutePatternInvalid when routes name too many methods."""

    # SAFETY: the arrays are this object's; they are written in __cinit__ alone and freed in __dealloc__.

    def __cinit__(self, tree):
        rows = RouteRows(tree)
        self.methods = tuple(rows.methods)
        self.nodes = len(rows.nodes)
        self.tables.wildcards = rows.wildcards
        self.tables.has_hosts = len(tree.roots) > (1 if rows.any_host else 0)
        cdef dict places = self.copy_nodes(rows)
        self.copy_edges(rows, places)
        self.copy_extras(rows)
        self.copy_texts(rows)
        self.tables.any_host = places[rows.any_host]
        self.roots = {host: places[root.number] for host, root in tree.roots.items()}

    def __dealloc__(self):
        free(self.tables.nodes)
        free(self.tables.displacements)
        free(self.tables.extras)
        free(self.tables.edges)
        free(self.tables.groups)
        free(self.tables.parts)
        free(self.tables.leaves)
        free(self.tables.prefixes)
        free(self.tables.texts)
        free(self.tables.methods)

    cdef void* reserve(self, Py_ssize_t count, Py_ssize_t size) except NULL:
        """Return zeroed memory for `count` structs."""
        cdef void* memory = NULL
        size *= max(count, 1)
        if posix_memalign(&memory, CACHE_LINE, size) != 0:
            raise MemoryError
        self.size += size
        return memset(memory, 0, size)

    cdef int copy_texts(self, rows) except -1:
        """Copy the names of unusual methods, then all texts: rows must place nothing after this."""
        cdef list names = [name.encode() for name in rows.methods[len(KNOWN_METHODS) + 1:]]
        cdef Py_ssize_t i
        cdef bytes texts
        self.tables.method_count = len(names)
        self.tables.first_method = len(KNOWN_METHODS) + 1
        self.tables.methods = <Text*>self.reserve(len(names), sizeof(Text))
        for i, name in enumerate(names):
            self.tables.methods[i].start, self.tables.methods[i].length = rows.place(name), len(name)
        texts = bytes(rows.texts)
        self.tables.texts = <char*>self.reserve(len(texts), 1)
        memcpy(self.tables.texts, <const char*>texts, len(texts))
        return 0

    cdef dict copy_nodes(self, rows):
        """Copy nodes and keys; return the nodes' places by number."""
        cdef list slots = self.place_keys(rows.keys)
        cdef dict places = {0: 0}
        cdef Py_ssize_t end = 1 + (<Py_ssize_t>1 << 64 - self.tables.slot_shift)
        cdef Node* node
        for (space, _, _, target), slot in zip(rows.keys, slots):
            if space not in PREFIXES:
                places[target] = slot
        for number in rows.nodes:
            if number not in places:
                places[number] = end
                end += 1
        self.tables.nodes = <Node*>self.reserve(end, sizeof(Node))
        for number, row in rows.nodes.items():
            node = &self.tables.nodes[<Py_ssize_t>places[number]]
            (node.depths, node.rest_least, node.skip, node.number, node.methods, node.route, next_number,
             node.extra, node.ways) = row
            node.next = places[next_number]
        for (space, parent, text, target), slot in zip(rows.keys, slots):
            node = &self.tables.nodes[<Py_ssize_t>slot]
            if space in PREFIXES:
                node.next = target
            self.write_key(node, space << SPACE_SHIFT | parent, text, rows)
        return places

    cdef int write_key(self, Node* node, uint32_t parent, bytes text, rows) except -1:
        """Write the key by which a node is found."""
        cdef uint32_t place
        node.parent = parent
        node.length = len(text)
        if len(text) > INLINE_TEXT:
            place = rows.place(text)
            memcpy(node.text, &place, sizeof(place))
        else:
            memcpy(node.text, <const char*>text, len(text))
        return 0

    cdef int copy_edges(self, rows, dict places) except -1:
        """Copy the ways on by parameters: prefixes lead to groups, these to edges, these to parts."""
        cdef Py_ssize_t i
        cdef Group* group = <Group*>self.reserve(len(rows.groups), sizeof(Group))
        self.tables.groups = group
        cdef Edge* edge = <Edge*>self.reserve(len(rows.edges), sizeof(Edge))
        self.tables.edges = edge
        cdef Part* part = <Part*>self.reserve(len(rows.parts), sizeof(Part))
        self.tables.parts = part
        self.tables.prefixes = <uint32_t*>self.reserve(len(rows.prefixes), sizeof(uint32_t))
        for i, length in enumerate(rows.prefixes):
            self.tables.prefixes[i] = length
        for row in rows.groups:
            group.first, group.count = row
            group += 1
        for row in rows.edges:
            number, edge.suffix, edge.suffix_length, edge.parts, edge.count, edge.tail = row
            edge.child = places[number]
            edge += 1
        for row in rows.parts:
            part.kind, part.separator, part.separator_length = row
            part += 1
        return 0

    cdef int copy_extras(self, rows) except -1:
        """Copy what few nodes have: further leaves, and where their edges begin."""
        cdef Leaf* leaf = <Leaf*>self.reserve(len(rows.leaves), sizeof(Leaf))
        self.tables.leaves = leaf
        cdef Extra* extra = <Extra*>self.reserve(len(rows.extras), sizeof(Extra))
        self.tables.extras = extra
        for row in rows.leaves:
            leaf.methods, leaf.route = row
            leaf += 1
        for row in rows.extras:
            (extra.leaves, extra.leaf_count, extra.prefixes, extra.segment_prefixes,
             extra.rest_prefixes) = row
            extra += 1
        return 0

    cdef list place_keys(self, list keys):
        """Choose size, seed and displacements so that no two keys share a slot; return the slots."""
        cdef int bits = 3, first, seed
        while 4 << bits < 5 * len(keys):
            bits += 1
        first = bits
        while bits < first + GROWTH:
            self.tables.slot_shift = 64 - bits
            self.tables.bucket_shift = 64 - bits + BUCKET_BITS
            for seed in range(SEEDS):
                self.tables.seed = seed
                slots = self.displace(keys)
                if slots is not None:
                    return slots
            bits += 1
        raise RuntimeError("two keys of the route table have one hash")

    cdef list displace(self, list keys):
        """Find a displacement for each bucket; return the keys' slots, or None when a bucket finds none."""
        cdef int shift = self.tables.slot_shift
        cdef list hashes = [
            hash_key(self.tables.seed, space << SPACE_SHIFT | parent, hash_text(text, len(text)))
            for space, parent, text, _ in keys
        ]
        cdef Py_ssize_t bucket_count = <Py_ssize_t>1 << 64 - self.tables.bucket_shift
        cdef dict buckets = {}
        cdef bytearray taken = bytearray(1 + (<Py_ssize_t>1 << 64 - shift))
        cdef list slots = [0] * len(keys)
        free(self.tables.displacements)
        self.tables.displacements = NULL
        self.tables.displacements = <uint16_t*>self.reserve(bucket_count, sizeof(uint16_t))
        for i, key in enumerate(hashes):
            buckets.setdefault(<uint64_t>key >> self.tables.bucket_shift, []).append(i)
        for bucket, members in sorted(buckets.items(), key=lambda item: -len(item[1])):
            for displacement in range(LAST_DISPLACEMENT + 1):
                wanted = {slot_of(hashes[i], displacement, shift) for i in members}
                if len(wanted) == len(members) and not any([taken[slot] for slot in wanted]):
                    break
            else:
                return None
            self.tables.displacements[<Py_ssize_t>bucket] = displacement
            for i in members:
                slots[i] = slot_of(hashes[i], displacement, shift)
                taken[slots[i]] = 1
        return slots
