"""The route tree as rows of numbers: what the compiled router copies into its arrays.

The rule: everything that can be decided once is decided here, so that the search only compares and counts.
``core._fast.router`` is the only caller; the structs in its ``.pxd`` say what each number is for.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from functools import reduce
from itertools import groupby
from operator import or_

from core.route_pattern import KNOWN_METHODS, Kind, RoutePatternInvalid, Segment
from core.route_tree import ANY_HOST, Node, RouteTree

PLAIN = Segment((b"", b""), (Kind.STR,))  # {x} alone: by far the commonest segment with a parameter
DEPTH_BITS = 64
METHOD_BITS = 63  # bit 0: any method without a name here
EVERY_METHOD = (1 << METHOD_BITS) - 1


class Space(IntEnum):
    """Keep the kinds of keys apart that share one hash table."""

    LITERAL = 0
    SEGMENT_PREFIX = 1
    REST_PREFIX = 2
    HOST = 3
    WILDCARD = 4


class Way(IntFlag):
    """Tell by what, other than {x}, the search may go on from a node."""

    LITERAL = 1
    SEGMENT = 2
    REST = 4


def way_by(segment: Segment) -> Way:
    """Return the way on that ``segment`` is."""
    if not segment.kinds:
        return Way.LITERAL
    if segment == PLAIN:
        return Way(0)
    return Way.REST if Kind.PATH in segment.kinds else Way.SEGMENT


class RouteRows:
    """Hold the rows of a tree. Raises RoutePatternInvalid when routes name too many unusual methods.

    Of groups and extras, number 0 stands for none.
    """

    def __init__(self, tree: RouteTree) -> None:
        self.texts = bytearray()
        self.nodes: dict[int, tuple[int, ...]] = {}  # by number
        self.keys: list[tuple[Space, int, bytes, int]] = []  # parent, text -> node, or group
        self.edges: list[tuple[int, int, int, int, int, int]] = []
        self.groups = [(0, 0)]
        self.parts: list[tuple[Kind, int, int]] = []
        self.prefixes: list[int] = []
        self.leaves: list[tuple[int, int]] = []
        self.extras = [(0,) * 5]
        self.methods = ["", *KNOWN_METHODS]  # by bit
        self.wildcards = 0
        self.any_host = 0
        self._offsets: dict[bytes, int] = {}
        self._tree = tree
        self._lookahead: dict[int, tuple[int, int]] = {}
        for pattern in tree.patterns:
            self.methods += sorted(pattern.methods.difference(self.methods))
        if len(self.methods) > METHOD_BITS:
            raise RoutePatternInvalid(
                "the routes",
                f"they name {len(self.methods) - 1} different methods",
                f"use at most {METHOD_BITS - 1}, or routes that take every method",
            )
        for host, root in tree.roots.items():
            self._add_host(host, root.number)
        for node in reversed(tree.nodes):
            self._lookahead[node.number] = self._look_ahead(node)
        for root in tree.roots.values():
            self._add_node(root)

    def place(self, text: bytes) -> int:
        """Return the offset of ``text`` in ``texts``; equal ones share it."""
        if text not in self._offsets:
            self._offsets[text] = len(self.texts)
            self.texts += text
        return self._offsets[text]

    def _add_host(self, host: bytes, root: int) -> None:
        """Make the root of a host findable."""
        if host == ANY_HOST:
            self.any_host = root
        elif host.startswith(b"."):
            self.wildcards |= 1 << min(host.count(b"."), DEPTH_BITS - 1)
            self.keys.append((Space.WILDCARD, 0, host, root))
        else:
            self.keys.append((Space.HOST, 0, host, root))

    def _look_ahead(self, node: Node) -> tuple[int, int]:
        """Return how many segments may follow ``node``: as bits, and the least for a {x:path}, 0 for none."""
        depths, least = int(bool(node.leaves)), []
        for segment, child in node.children.items():
            if Kind.PATH in segment.kinds:
                least.append(1 + segment.tail)
                continue
            below, below_least = self._lookahead[child.number]
            depths |= below << 1 | below & 1 << DEPTH_BITS - 1
            if below_least:
                least.append(1 + below_least)
        return depths & (1 << DEPTH_BITS) - 1, min(least, default=0)

    def _add_node(self, node: Node) -> None:
        """Add the row of ``node`` and of all below it.

        PERF: bench/route_match.py. Nodes from which only {x} goes on have no row; the one before says how
        many there are, so that passing them costs no memory access.
        """
        last, skip = node, 0
        while not last.leaves and list(last.children) == [PLAIN]:
            last, skip = last.children[PLAIN], skip + 1
        methods, route = self._leaf(last, last.leaves[0]) if last.leaves else (0, 0)
        plain = last.children[PLAIN].number if PLAIN in last.children else 0
        ways = reduce(or_, (way_by(segment) for segment in last.children), Way(0))
        extra = self._add_extra(last)
        lookahead = self._lookahead[node.number]
        self.nodes[node.number] = (*lookahead, skip, last.number, methods, route, plain, extra, ways)
        for segment, child in last.children.items():
            if not segment.kinds:
                self.keys.append((Space.LITERAL, last.number, segment.literals[0], child.number))
            self._add_node(child)

    def _add_extra(self, node: Node) -> int:
        """Add what few nodes have: leaves after the first, edges; return the number of the row."""
        narrow = [segment for segment in node.children if way_by(segment) == Way.SEGMENT]
        rests = [segment for segment in node.children if way_by(segment) == Way.REST]
        if not narrow and not rests and len(node.leaves) < 2:
            return 0
        leaves, prefixes = len(self.leaves), len(self.prefixes)
        self.leaves += [self._leaf(node, route) for route in node.leaves[1:]]
        narrow_prefixes = self._add_groups(node, Space.SEGMENT_PREFIX, narrow)
        rest_prefixes = self._add_groups(node, Space.REST_PREFIX, rests)
        self.extras.append((leaves, len(self.leaves) - leaves, prefixes, narrow_prefixes, rest_prefixes))
        return len(self.extras) - 1

    def _leaf(self, node: Node, route: int) -> tuple[int, int]:
        """Return the methods that ``route`` takes at ``node``, as bits, and the route.

        NOTE: a route that takes GET takes HEAD too, unless another one at the same node names HEAD.
        """
        methods = self._tree.patterns[route].methods
        if "GET" in methods and not any(
            "HEAD" in self._tree.patterns[other].methods for other in node.leaves
        ):
            methods |= {"HEAD"}
        return sum(1 << self.methods.index(method) for method in methods) or EVERY_METHOD, route

    def _add_groups(self, node: Node, space: Space, segments: list[Segment]) -> int:
        """Add the edges by ``segments``, grouped by literal prefix; return how many lengths prefixes have."""
        first = len(self.prefixes)
        for length, same_length in groupby(segments, key=lambda segment: len(segment.literals[0])):
            self.prefixes.append(length)
            by_prefix: dict[bytes, list[Segment]] = {}
            for segment in same_length:
                by_prefix.setdefault(segment.literals[0], []).append(segment)
            for prefix, members in by_prefix.items():
                self.keys.append((space, node.number, prefix, len(self.groups)))
                self.groups.append((len(self.edges), len(members)))
                for segment in members:
                    self._add_edge(segment, node.children[segment].number)
        return len(self.prefixes) - first

    def _add_edge(self, segment: Segment, child: int) -> None:
        """Add the edge by ``segment`` to ``child``."""
        suffix = segment.literals[-1]
        count = len(segment.kinds)
        self.edges.append((child, self.place(suffix), len(suffix), len(self.parts), count, segment.tail))
        for kind, separator in zip(segment.kinds, (b"", *segment.literals[1:-1]), strict=True):
            self.parts.append((kind, self.place(separator), len(separator)))
