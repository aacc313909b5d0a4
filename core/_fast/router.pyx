"""Find the route of a request: a search in a tree of path segments.

The rule: a search reads immutable tables and its own stack, nothing else. Routes of the exact host come
before those of wildcard hosts (longest first) and of any host; then, segment by segment, a literal before {x}
before {x:path}, with backtracking. A search visits each node of a host at most once, so its cost is bounded
by the table and linear in the path; nodes that the number of segments rules out are left at once.
Paths must be normalised; a trailing slash counts. Hosts are compared without case, port and final dot.
The native door calls find(); the ASGI door and the command line use the Python face.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp

from urllib.parse import unquote

from core._fast.chars cimport lower_char
from core._fast.clock cimport monotonic_ns
from core._fast.route_table cimport (
    LAST_DEPTH, SPACE_HOST, SPACE_REST_PREFIX, SPACE_SEGMENT_PREFIX, SPACE_WILDCARD,
    WAY_LITERAL, WAY_REST, WAY_SEGMENT,
    Edge, Extra, Group, Leaf, Node, RouteTable, Tables, hash_text, lookup, method_bit,
)
from core._fast.route_value cimport Part, divide, fits, inside_escape

from core.route_explanation import Step, explain
from core.route_pattern import KNOWN_METHODS, Pattern, RoutePatternInvalid
from core.route_tree import RouteConflict, RouteTree

__all__ = ["Pattern", "RouteConflict", "RoutePatternInvalid", "Router", "Step"]

cdef enum:
    KEPT_PIECES = 64  # core.route_pattern.MAX_SEGMENTS
    HOST_SIZE = 256  # no host pattern is as long
    TRACE_SIZE = 256  # events of an explained search
    EVERY_ROUTE = 63  # the bit of no method: the search passes all routes that take the path

cdef enum:  # core.route_explanation.Event
    EVENT_HOST = 0
    EVENT_LENGTH = 1
    EVENT_DEAD_END = 2
    EVENT_UNFIT = 3
    EVENT_METHOD = 4
    EVENT_FOUND = 5

cdef dict METHOD_NUMBERS = {name.encode(): number for number, name in enumerate(KNOWN_METHODS, 1)}
# What a route for every method is said to allow: all but those that a gateway does not pass on.
cdef frozenset COMMON_METHODS = frozenset(KNOWN_METHODS) - {"CONNECT", "TRACE"}


cdef struct Piece:  # a segment of the path
    uint32_t start
    uint32_t length
    uint64_t hash  # 0: not computed yet


cdef struct Event:  # of a search that explains itself
    int what
    uint32_t number  # of the node or of the route; place of the root
    int index  # of the segment


cdef struct Walk:  # one search
    const Tables* tables
    const char* path
    uint32_t path_length
    int count  # segments of the path
    int method  # bit
    uint32_t steps
    uint64_t refused  # methods of the routes that take the path but not the method
    Span* spans
    Event* events  # NULL: it does not explain itself
    int event_count
    Piece pieces[2 * KEPT_PIECES]


cdef struct Request:  # of measure()
    uint32_t host_length
    uint32_t path_length
    int method


cdef inline Piece* piece_of(Walk* walk, int index) noexcept nogil:
    """Return a segment: of the first KEPT_PIECES, or of the last."""
    return &walk.pieces[index if index < KEPT_PIECES else KEPT_PIECES + (index & (KEPT_PIECES - 1))]


cdef inline void split(Walk* walk) noexcept nogil:
    """Divide the path into segments. Of a very long path those in the middle are counted, not kept."""
    cdef uint32_t start = 1
    cdef const char* slash
    cdef Piece* piece
    while True:
        slash = <const char*>memchr(walk.path + start, c'/', walk.path_length - start)
        piece = piece_of(walk, walk.count)
        piece.start = start
        piece.length = (<uint32_t>(slash - walk.path) if slash != NULL else walk.path_length) - start
        piece.hash = 0
        walk.count += 1
        if slash == NULL:
            return
        start += piece.length + 1


cdef inline uint32_t plain_host(const char* host, Py_ssize_t length, char* name) noexcept nogil:
    """Write a host in lower case without port and final dot; return its length, 0 if it is too long."""
    cdef Py_ssize_t i
    cdef Py_ssize_t end = 0
    if length > 0 and host[0] == c'[':
        while end < length and host[end] != c']':
            end += 1
        end += 1
    else:
        while end < length and host[end] != c':':
            end += 1
        if end > 0 and host[end - 1] == c'.':
            end -= 1
    if end > length or end >= HOST_SIZE:
        return 0
    for i in range(end):
        name[i] = <char>lower_char(<unsigned char>host[i])
    return <uint32_t>end


cdef inline void note(Walk* walk, int what, uint32_t number, int index) noexcept nogil:
    """Record an event of a search that explains itself; when there are too many, the last is kept."""
    cdef Event* event
    if walk.events != NULL:
        event = &walk.events[min(walk.event_count, <int>TRACE_SIZE - 1)]
        event.what = what
        event.number = number
        event.index = index
        walk.event_count += 1


cdef int search(Walk* walk, const char* host, Py_ssize_t host_len, const char* path,
                Py_ssize_t path_len) noexcept nogil:
    """Return the route, NO_ROUTE or NO_METHOD. `walk` has tables, method, spans and events."""
    cdef int route = NO_ROUTE
    walk.count = 0
    walk.steps = 0
    walk.refused = 0
    walk.event_count = 0
    if path_len <= 0 or path_len > 0x7FFFFFFF or path[0] != c'/':
        return NO_ROUTE
    walk.path = path
    walk.path_length = <uint32_t>path_len
    split(walk)
    if walk.tables.has_hosts:
        route = search_named_hosts(walk, host, host_len)
    if route < 0 and walk.tables.any_host:
        route = search_host(walk, walk.tables.any_host)
    return NO_METHOD if route < 0 and walk.refused else route


cdef int search_named_hosts(Walk* walk, const char* host, Py_ssize_t host_len) noexcept nogil:
    """Search below the exact host, then below wildcards, the longest first."""
    cdef char name[HOST_SIZE]
    cdef uint32_t length = plain_host(host, host_len, name), at, labels = 1, root
    cdef int route = NO_ROUTE
    root = lookup(walk.tables, SPACE_HOST, name, length, hash_text(name, length))
    if root:
        route = search_host(walk, root)
    if not walk.tables.wildcards:
        return route
    for at in range(length):
        labels += name[at] == c'.'
    for at in range(1, length):
        if name[at] != c'.' or route >= 0:
            continue
        labels -= 1
        if walk.tables.wildcards >> min(labels, <uint32_t>LAST_DEPTH) & 1:
            root = lookup(walk.tables, SPACE_WILDCARD, name + at, length - at,
                          hash_text(name + at, length - at))
            if root:
                route = search_host(walk, root)
    return route


cdef int search_host(Walk* walk, uint32_t root) noexcept nogil:
    note(walk, EVENT_HOST, root, 0)
    return descend(walk, root, 0, 0)


cdef int descend(Walk* walk, uint32_t place, int index, int params) noexcept nogil:
    """Search below a node, from segment `index` on, with `params` spans filled; the route or NO_ROUTE."""
    cdef const Node* node = &walk.tables.nodes[place]
    cdef int left = walk.count - index, end = index + node.skip, events = walk.event_count, route
    cdef Piece* piece
    walk.steps += 1
    if not node.depths >> min(left, <int>LAST_DEPTH) & 1 and (node.rest_least == 0 or left < node.rest_least):
        note(walk, EVENT_LENGTH, node.number, index)
        return NO_ROUTE
    while index < end:
        if not take_plain(walk, index, walk.spans + params):
            note(walk, EVENT_UNFIT, node.number, index)
            return NO_ROUTE
        index += 1
        params += 1
    if index == walk.count:
        return choose(walk, node)
    piece = piece_of(walk, index)
    if node.ways & WAY_LITERAL:
        if piece.hash == 0:
            piece.hash = hash_text(walk.path + piece.start, piece.length)
        place = lookup(walk.tables, node.number, walk.path + piece.start, piece.length, piece.hash)
        if place:
            route = descend(walk, place, index + 1, params)
            if route >= 0:
                return route
    if node.ways & WAY_SEGMENT:
        route = descend_edges(walk, node, index, params, False)
        if route >= 0:
            return route
    if node.next and take_plain(walk, index, walk.spans + params):
        route = descend(walk, node.next, index + 1, params + 1)
        if route >= 0:
            return route
    if node.ways & WAY_REST:
        route = descend_edges(walk, node, index, params, True)
        if route >= 0:
            return route
    if events == walk.event_count:
        note(walk, EVENT_DEAD_END, node.number, index)
    return NO_ROUTE


cdef int descend_edges(Walk* walk, const Node* node, int index, int params, bint rest) noexcept nogil:
    """Try the edges whose literal prefix the segment has, longer prefixes first."""
    cdef const Tables* tables = walk.tables
    cdef const Extra* extra = &tables.extras[node.extra]
    cdef const Piece* piece = piece_of(walk, index)
    cdef const char* text = walk.path + piece.start
    cdef const uint32_t* prefix = tables.prefixes + extra.prefixes + (extra.segment_prefixes if rest else 0)
    cdef const uint32_t* last = prefix + (extra.rest_prefixes if rest else extra.segment_prefixes)
    cdef uint32_t parent = node.number | (<uint32_t>SPACE_REST_PREFIX if rest else
                                          <uint32_t>SPACE_SEGMENT_PREFIX)
    cdef uint32_t place
    cdef const Group* group
    cdef const Edge* edge
    cdef const Edge* end
    cdef int route
    while prefix < last:
        walk.steps += 1
        place = 0
        if prefix[0] <= piece.length:
            place = lookup(tables, parent, text, prefix[0], hash_text(text, prefix[0]))
        group = &tables.groups[tables.nodes[place].next]
        edge = tables.edges + group.first
        end = edge + group.count
        while edge < end:
            walk.steps += 1
            if not (take_rest(walk, edge, index, prefix[0], walk.spans + params) if rest else
                    take_segment(walk, edge, index, prefix[0], walk.spans + params)):
                note(walk, EVENT_UNFIT, tables.nodes[edge.child].number, index)
            else:
                route = descend(walk, edge.child, walk.count - edge.tail if rest else index + 1,
                                params + edge.count)
                if route >= 0:
                    return route
            edge += 1
        prefix += 1
    return NO_ROUTE


cdef inline bint take_plain(Walk* walk, int index, Span* span) noexcept nogil:
    """Read {x}: a whole segment, which must not be empty."""
    cdef const Piece* piece = piece_of(walk, index)
    span.start = piece.start
    span.length = piece.length
    return index < walk.count and piece.length > 0


cdef bint take_segment(Walk* walk, const Edge* edge, int index, uint32_t prefix, Span* spans) noexcept nogil:
    """Read the parameters of a segment that begins with the edge's prefix."""
    cdef const Piece* piece = piece_of(walk, index)
    cdef const Part* parts = walk.tables.parts + edge.parts
    cdef const char* texts = walk.tables.texts
    cdef Py_ssize_t low = <Py_ssize_t>piece.start + prefix
    cdef Py_ssize_t end = <Py_ssize_t>piece.start + piece.length - edge.suffix_length
    if end <= low or memcmp(walk.path + end, texts + edge.suffix, edge.suffix_length) != 0 or \
            inside_escape(walk.path, low, end):
        return False
    if edge.count > 1:
        return divide(parts, edge.count, texts, walk.path, low, end, spans)
    spans[0].start = <uint32_t>low
    spans[0].length = <uint32_t>(end - low)
    return fits(parts[0].kind, walk.path, low, end)


cdef bint take_rest(Walk* walk, const Edge* edge, int index, uint32_t prefix, Span* spans) noexcept nogil:
    """Read a {x:path}: all segments from `index` on but the edge's tail, at least one, which may be empty."""
    cdef int stop = walk.count - edge.tail
    cdef Py_ssize_t low = <Py_ssize_t>piece_of(walk, index).start + prefix
    cdef Py_ssize_t end = walk.path_length
    if stop <= index:
        return False
    if edge.tail:
        end = <Py_ssize_t>piece_of(walk, stop).start - 1
    end -= edge.suffix_length
    if end < low or memcmp(walk.path + end, walk.tables.texts + edge.suffix, edge.suffix_length) != 0:
        return False
    spans[0].start = <uint32_t>low
    spans[0].length = <uint32_t>(end - low)
    return not inside_escape(walk.path, low, end)


cdef int choose(Walk* walk, const Node* node) noexcept nogil:
    """Return the route that takes the method, of those that end at a node, if any."""
    cdef const Extra* extra = &walk.tables.extras[node.extra]
    cdef const Leaf* leaf = walk.tables.leaves + extra.leaves
    cdef const Leaf* end = leaf + extra.leaf_count
    cdef int route = node.route if node.methods >> walk.method & 1 else NO_ROUTE
    walk.refused |= node.methods
    while route < 0 and leaf < end:
        walk.refused |= leaf.methods
        if leaf.methods >> walk.method & 1:
            route = leaf.route
        leaf += 1
    if node.methods and route < 0:
        note(walk, EVENT_METHOD, node.number, walk.count)
    elif route >= 0:
        note(walk, EVENT_FOUND, <uint32_t>route, walk.count)
    return route


cdef int search_objects(const Tables* tables, Walk* walk, bytes host, bytes method, bytes path, Span* spans,
                        Event* events) except? -3:
    """Search with Python's objects; without a method, pass every route that takes the path."""
    walk.tables = tables
    walk.spans = spans
    walk.events = events
    walk.method = EVERY_ROUTE
    if method is not None:
        walk.method = method_bit(tables, METHOD_NUMBERS.get(method, 0), PyBytes_AS_STRING(method),
                                 PyBytes_GET_SIZE(method))
    return search(walk, PyBytes_AS_STRING(host), PyBytes_GET_SIZE(host), PyBytes_AS_STRING(path),
                  PyBytes_GET_SIZE(path))


@cython.final
cdef class Router:
    """Match requests to ``routes``. Raises RouteConflict when two of them can never be told apart."""

    def __cinit__(self, routes):
        tree = RouteTree(routes)
        self.routes = tree.patterns
        self.table = RouteTable(tree)
        self.tables = &self.table.tables
        self.names = tuple([pattern.names for pattern in tree.patterns])

    def __len__(self):
        return len(self.routes)

    cdef int find(self, const char* host, Py_ssize_t host_len, int method, const char* method_name,
                  Py_ssize_t method_len, const char* path, Py_ssize_t path_len, Span* spans) noexcept nogil:
        cdef Walk walk
        walk.tables = self.tables
        walk.method = method_bit(self.tables, method, method_name, method_len)
        walk.spans = spans
        walk.events = NULL
        return search(&walk, host, host_len, path, path_len)

    cdef dict parameters(self, int route, const char* path, const Span* spans):
        cdef dict values = {}
        cdef const char* text
        cdef Py_ssize_t length
        cdef int i
        for i, name in enumerate(<tuple>self.names[route]):
            text = path + spans[i].start
            length = spans[i].length
            if memchr(text, c'%', length) == NULL:
                values[name] = PyUnicode_DecodeUTF8(text, length, "replace")
            else:
                values[name] = unquote(text[:length], errors="replace")
        return values

    def match(self, bytes host not None, bytes method not None, bytes path not None):
        """Return the index of the route and its parameters' decoded values; -1 for 404, -2 for 405."""
        cdef Walk walk
        cdef Span spans[MAX_PARAMS]
        cdef int route = search_objects(self.tables, &walk, host, method, path, spans, NULL)
        return route if route < 0 else (route, self.parameters(route, PyBytes_AS_STRING(path), spans))

    def allowed(self, bytes host not None, bytes path not None):
        """Return the methods that routes take on this path, for the Allow header; none for 404."""
        cdef Walk walk
        cdef Span spans[MAX_PARAMS]
        search_objects(self.tables, &walk, host, None, path, spans, NULL)
        if walk.refused & 1:
            return COMMON_METHODS.union(self.table.methods[len(KNOWN_METHODS) + 1:])
        return frozenset(name for bit, name in enumerate(self.table.methods) if walk.refused >> bit & 1)

    def explain(self, bytes host not None, bytes method not None, bytes path not None):
        """Return the steps of the search in words: what was tried, in order, and why it matched or not."""
        return explain(RouteTree(self.routes), self.trace, self.table.roots, host, method, path)

    def trace(self, bytes host not None, bytes method not None, bytes path not None, uint32_t root=0):
        """Return the search's events as core.route_explanation.Trace has them; of many, not all.

        Raises ValueError for a ``root`` that is not in ``table.roots``.
        """
        cdef Walk walk
        cdef Span spans[MAX_PARAMS]
        cdef Event events[TRACE_SIZE]
        cdef int i
        if root and root not in self.table.roots.values():
            raise ValueError(f"{root} is the place of no root")
        search_objects(self.tables, &walk, host, method, path, spans, events)
        if root and walk.count:
            walk.event_count = 0
            search_host(&walk, root)
        return [(events[i].what, events[i].number, events[i].index)
                for i in range(min(walk.event_count, <int>TRACE_SIZE))]

    def steps(self, bytes host not None, bytes method not None, bytes path not None):
        """Return how many nodes, prefixes and edges a search looks at: its cost without a clock."""
        cdef Walk walk
        cdef Span spans[MAX_PARAMS]
        search_objects(self.tables, &walk, host, method, path, spans, NULL)
        return walk.steps

    def measure(self, requests, int rounds):
        """Return the nanoseconds of one find(), over ``rounds`` of ``requests``: (host, method, path)."""
        cdef Span spans[MAX_PARAMS]
        cdef bytes texts = b"".join([host + path for host, _, path in requests])
        cdef const char* first = texts
        cdef const char* text
        cdef Py_ssize_t count = len(requests), i
        cdef Request* rows = <Request*>malloc((count + 1) * sizeof(Request))
        cdef int64_t begin
        if rows == NULL:
            raise MemoryError
        for i, (host, method, path) in enumerate(requests):
            rows[i].host_length, rows[i].path_length = len(host), len(path)
            rows[i].method = METHOD_NUMBERS[method]
        begin = monotonic_ns()
        with nogil:
            for _ in range(rounds):
                text = first
                for i in range(count):
                    self.find(text, rows[i].host_length, rows[i].method, NULL, 0, text + rows[i].host_length,
                              rows[i].path_length, spans)
                    text += rows[i].host_length + rows[i].path_length
        free(rows)
        return (monotonic_ns() - begin) / <double>max(1, rounds * count)
