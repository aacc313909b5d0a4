"""The tree of all routes' patterns: what the compiled router is made from, and where conflicts are found.

The rule: order comes from the patterns alone, never from their place in the list. At each node the
alternatives are sorted by rank: a literal, then segments with parameters (longer literal prefix first, then
more literal bytes, then uuid, int, float, str), then the rest of the path. ``core._fast.router`` flattens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import AgoraError
from core.route_pattern import Pattern, Segment

ANY_HOST = b""


class RouteConflict(AgoraError, ValueError):
    """Refuse two routes that no request can tell apart; ``first`` and ``second`` are their indices."""

    slug = "route-conflict"
    title = "Routes in conflict"

    def __init__(self, message: str, first: int, second: int) -> None:
        super().__init__(message)
        self.first = first
        self.second = second


@dataclass(slots=True, eq=False)
class Node:
    """Be a place in the tree: all patterns that begin with the same segments meet here."""

    segment: Segment | None  # how it is reached from its parent; None for the root of a host
    sample: int  # a route that passes here
    depth: int  # how many segments its patterns have read here
    number: int = 0
    children: dict[Segment, Node] = field(default_factory=dict)  # in the order in which they are tried
    leaves: list[int] = field(default_factory=list)  # routes that end here; those that name methods first


class RouteTree:
    """Hold one root for each host that routes name and one for any host; nodes are numbered from 1."""

    def __init__(self, patterns: Sequence[Pattern], *, ordered: bool = True) -> None:
        """Build it; without ``ordered`` only to find out whether two patterns are in conflict."""
        self.patterns = tuple(patterns)
        self.roots: dict[bytes, Node] = {}  # by host key
        for route, pattern in enumerate(self.patterns):
            for host in pattern.host_keys or (ANY_HOST,):
                self._insert(host, route, pattern)
        self.nodes: list[Node] = []
        for root in self.roots.values() if ordered else ():
            self._number(root)

    def text(self, node: Node) -> str:
        """Return the pattern as far as ``node``, in the words of a route that passes there."""
        return "/".join(self.patterns[node.sample].path.split("/")[: node.depth + 1])

    def _insert(self, host: bytes, route: int, pattern: Pattern) -> None:
        """Add a route below the root of ``host``. Raises RouteConflict."""
        if host not in self.roots:
            self.roots[host] = Node(None, route, 0)
        node = self.roots[host]
        for segment in pattern.segments:
            if segment not in node.children:
                node.children[segment] = Node(segment, route, node.depth + 1)
            node = node.children[segment]
        for other in node.leaves:
            self._check_apart(host, other, route)
        node.leaves.append(route)

    def _check_apart(self, host: bytes, first: int, second: int) -> None:
        """Raise RouteConflict when two routes of one pattern and host share a method.

        NOTE: a route that names its methods stands before one that takes all: these two are told apart.
        """
        one, two = self.patterns[first], self.patterns[second]
        shared = one.methods & two.methods
        if not shared and (one.methods or two.methods):
            return
        methods = ", ".join(sorted(shared)) or "every method"
        raise RouteConflict(
            f"routes {first} ({one.path!r}) and {second} ({two.path!r}) take the same paths with {methods} on"
            f" {host_text(host)}; give one of them another path, other methods or other hosts",
            first,
            second,
        )

    def _number(self, node: Node) -> None:
        """Number ``node`` and all below it, and bring their alternatives into order."""
        self.nodes.append(node)
        node.number = len(self.nodes)
        node.children = dict(sorted(node.children.items(), key=lambda item: item[0].rank))
        node.leaves.sort(key=lambda route: not self.patterns[route].methods)
        for child in node.children.values():
            self._number(child)


def host_text(key: bytes) -> str:
    """Return a host key as its pattern is written, or "any host"."""
    return ("*" if key.startswith(b".") else "") + key.decode() if key else "any host"
