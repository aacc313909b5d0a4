"""Match a request as the router must: try the regular expression of every route, in the order of precedence.

The expressions are Starlette's own, but for one thing: a border of a parameter does not break a
percent-escape apart (Starlette matches decoded paths, which have none).
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

from starlette.routing import compile_path

from core.route_pattern import Pattern

KINDS = ["uuid", "int", "float", "str", "path"]  # narrow first


def match(routes: Sequence[Pattern], host: str, method: str, path: str) -> tuple[int, dict[str, str]] | int:
    """Return (index, decoded parameters), -1 for 404 or -2 for 405."""
    candidates = [
        (host_rank(pattern), path_rank(route.path), method_rank(route, method), index)
        for index, route in enumerate(routes)
        for pattern in route.hosts or ("",)
        if host_matches(pattern, host)
    ]
    answer = -1
    for _, _, taken, index in sorted(candidates):
        values = regex(routes[index].path).fullmatch(path)
        if values and taken < 3:
            return index, {name: unquote(value) for name, value in values.groupdict().items()}
        if values:
            answer = -2
    return answer


def conflict(routes: Sequence[Pattern]) -> bool:
    """Tell whether two routes have the same rank everywhere and share a method."""
    return any(
        path_shape(one.path) == path_shape(two.path)
        and (bool(one.methods & two.methods) or not (one.methods or two.methods))
        and bool({*map(plain_host, one.hosts or ("",))} & {*map(plain_host, two.hosts or ("",))})
        for number, one in enumerate(routes)
        for two in routes[:number]
    )


@cache
def regex(path: str) -> re.Pattern[str]:
    """Return Starlette's expression for a path, with escapes kept whole."""
    whole = compile_path(path)[0].pattern
    return re.compile(whole.replace("[^/]+", "(?:[^/%]|%..)+").replace(".*", "(?:[^%]|%..)*"))


@cache
def path_shape(path: str) -> list[list[str]]:
    """Return the path's segments, each divided into literals and kinds."""
    return [
        [part if number % 2 == 0 else part.partition(":")[2] or "str" for number, part in enumerate(parts)]
        for parts in (re.split(r"\{(.*?)\}", segment) for segment in path[1:].split("/"))
    ]


@cache
def path_rank(path: str) -> list[Any]:
    """Return the key by which two routes that match one path are ordered."""
    shape = path_shape(path)
    ranks: list[Any] = []
    for number, (prefix, *rest) in enumerate(shape):
        kinds = [KINDS.index(kind) for kind in rest[::2]]
        literals = [prefix, *rest[1::2]]
        length = sum(map(len, literals))
        if not kinds:
            ranks.append((0,))
        elif KINDS[kinds[0]] != "path":
            ranks.append((1, -len(prefix), -length, kinds, literals))
        else:
            ranks.append((2, -len(prefix), number - len(shape), -length, literals))
    return ranks


def method_rank(route: Pattern, method: str) -> int:
    """Return how well a route takes a method: by name, as HEAD for its GET, as any, not at all."""
    if method in route.methods:
        return 0
    if method == "HEAD" and "GET" in route.methods:
        return 1
    return 3 if route.methods else 2


def plain_host(host: str) -> str:
    """Return a host in lower case, without port and final dot."""
    bare = host if host.endswith("]") else host.rpartition(":")[0] or host
    return bare.removesuffix(".").lower()


def host_rank(pattern: str) -> int:
    """Return the place of a host pattern: exact, wildcards from long to short, any."""
    if not pattern:
        return 2
    return 1 - len(plain_host(pattern)) if pattern.startswith("*") else -1000


def host_matches(pattern: str, host: str) -> bool:
    """Tell whether a host pattern takes a host."""
    pattern, host = plain_host(pattern), plain_host(host)
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return pattern in ("", host)
