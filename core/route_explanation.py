"""Put a search of the compiled router into words: what it tried, in order, and why each did or did not match.

The rule: the search itself is traced, not done again here, so an explanation cannot differ from what happens.
``Router.explain`` calls it for ``agora explain``.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from core.route_pattern import Kind
from core.route_tree import Node, RouteTree, host_text

SHOWN = 5  # alternatives that one sentence names


class Event(IntEnum):
    """Name what a search did at a node."""

    HOST = 0
    LENGTH = 1
    DEAD_END = 2
    UNFIT = 3
    METHOD = 4
    FOUND = 5


class Step(NamedTuple):
    """Be one candidate of a search: whether it was taken, and why or why not."""

    host: str  # as the route names it, or "any host"
    pattern: str  # the pattern as far as it was followed; with "/..." when routes go on from there
    routes: tuple[int, ...]  # the routes concerned
    matched: bool
    reason: str


class Trace(Protocol):
    """Be the router's search that records its events, below one root if it is given."""

    def __call__(self, host: bytes, method: bytes, path: bytes, root: int = 0) -> list[tuple[int, int, int]]:
        """Return (event, node number, index of the segment).

        Event.HOST has the place of the host's root for the node, Event.FOUND the route.
        """


def explain(
    tree: RouteTree, trace: Trace, roots: dict[bytes, int], host: bytes, method: bytes, path: bytes
) -> list[Step]:
    """Return the steps of the search for a request, then the routes that only its host keeps it from."""
    if not path.startswith(b"/"):
        return [Step("any host", "/...", (), False, "the path does not begin with a slash")]
    hosts = {root: host_text(key) for key, root in roots.items()}
    words = _Words(tree, method.decode("latin-1"), path)
    steps = []
    at = ""
    for event, number, index in trace(host, method, path):
        if event == Event.HOST:
            at = hosts.pop(number)
        else:
            steps.append(words.step(at, event, number, index))
    if steps and steps[-1].matched:
        return steps
    name = host.decode("latin-1")
    for root, other in hosts.items():
        last = trace(host, method, path, root)[-1]
        if last[0] == Event.FOUND:
            reason = f"path and method match, but the host is {name!r}"
            steps.append(words.step(other, *last)._replace(matched=False, reason=reason))
    return steps or [Step("any host", "/...", (), False, f"no route takes the host {name!r}")]


class _Words:
    """Put the events of one search into words."""

    def __init__(self, tree: RouteTree, method: str, path: bytes) -> None:
        self.tree = tree
        self.method = method
        self.pieces = [piece.decode("utf-8", "replace") for piece in path.split(b"/")[1:]]

    def step(self, host: str, event: int, number: int, index: int) -> Step:
        """Return the step for an event."""
        if event == Event.FOUND:
            pattern = self.tree.patterns[number].path
            return Step(host, pattern, (number,), True, "path and method match")
        node = self.tree.nodes[number - 1]
        if event == Event.METHOD:
            takes = set().union(*(self.tree.patterns[route].methods for route in node.leaves))
            reason = f"the path matches, but {self.method} is none of {', '.join(sorted(takes))}"
            return Step(host, self.tree.text(node), tuple(node.leaves), False, reason)
        reason = self._why_not(event, node, index)
        pattern = self.tree.text(node) + ("/..." if node.children else "")
        return Step(host, pattern, tuple(_routes_below(node)), False, reason)

    def _why_not(self, event: int, node: Node, index: int) -> str:
        """Return why the search did not go on at, or to, ``node``."""
        if event == Event.LENGTH:
            return (
                f"the path has another number of segments ({len(self.pieces)}) than every route from here on"
            )
        piece = f"segment {index + 1}, {self.pieces[index]!r},"
        if event == Event.UNFIT:
            if node.segment and Kind.PATH in node.segment.kinds:
                piece = f"the rest from segment {index + 1} on, {'/'.join(self.pieces[index:])!r},"
            return f"{piece} does not fit {self._last_segment(node)!r}"
        ways = [repr(self._last_segment(child)) for child in node.children.values()]
        more = f" and {len(ways) - SHOWN} more" if len(ways) > SHOWN else ""
        return f"{piece} is none of {', '.join(ways[:SHOWN])}{more}"

    def _last_segment(self, node: Node) -> str:
        """Return the segment that leads to ``node`` as its pattern writes it."""
        return self.tree.text(node).rpartition("/")[2]


def _routes_below(node: Node) -> Iterator[int]:
    """Yield the routes that end at ``node`` or below it."""
    yield from node.leaves
    for child in node.children.values():
        yield from _routes_below(child)
