"""Route patterns: what paths, methods and hosts a route takes, parsed and checked.

The rule: a pattern is accepted only if it can match something and is read in one way. Its literals are put
in the form that normalised request paths have, so that matching is a comparison of bytes. Whoever builds a
router makes the patterns; the route tree reads their segments.

Paths are Starlette's: ``{x}`` takes one segment or a part of one, ``{x:int}``, ``{x:float}`` and ``{x:uuid}``
narrow it, ``{x:path}`` takes any number of segments, none included. A trailing slash counts: ``/a`` and
``/a/`` are two paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple, NoReturn
from urllib.parse import quote, unquote_to_bytes

from core.errors import AgoraError

MAX_PARAMS = 16  # parameters of one pattern
MAX_SEGMENTS = 64  # segments of one pattern
MAX_LENGTH = 4096  # characters of one path pattern
KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LABEL = re.compile(rb"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_KEPT = "".join(map(chr, range(0x21, 0x7F)))  # what a literal may hold without being percent-encoded
_DIGITS = b"0123456789"


class RoutePatternInvalid(AgoraError, ValueError):
    """Refuse a path, method or host of a route: ``problem`` is what is wrong, ``cure`` what is right."""

    slug = "route-pattern-invalid"
    title = "Route pattern invalid"

    def __init__(self, subject: str, problem: str, cure: str) -> None:
        super().__init__(f"{subject}: {problem}; {cure}")
        self.problem = problem
        self.cure = cure


class Kind(IntEnum):
    """Name what a parameter takes; a smaller number is narrower and tried earlier."""

    UUID = 0
    INT = 1
    FLOAT = 2
    STR = 3
    PATH = 4


class Segment(NamedTuple):
    """Be the shape of one segment: literals around parameters, without the parameters' names."""

    literals: tuple[bytes, ...]  # one more than kinds: before the first, between, after the last
    kinds: tuple[Kind, ...] = ()  # none: the segment is a literal
    tail: int = 0  # for PATH: how many segments follow it in the pattern

    @property
    def rank(self) -> tuple[int, int, int, int, tuple[Kind, ...], tuple[bytes, ...]]:
        """Return the key by which alternatives are ordered: what is smaller is tried earlier."""
        prefix, total = len(self.literals[0]), sum(map(len, self.literals))
        if not self.kinds:
            return 0, 0, 0, 0, (), self.literals
        if self.kinds == (Kind.PATH,):
            return 2, -prefix, -self.tail, -total, self.kinds, self.literals
        return 1, -prefix, 0, -total, self.kinds, self.literals


@dataclass(frozen=True, slots=True)
class Pattern:
    """Say what a route takes. Raises RoutePatternInvalid when it can match nothing or is ambiguous."""

    path: str
    methods: frozenset[str] = frozenset()  # none: every method
    hosts: tuple[str, ...] = ()  # none: every host; "*.example.test": every name below example.test
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    host_keys: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        segments, names = parse_path(self.path)
        for method in self.methods:
            _check_method(method)
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "host_keys", tuple(dict.fromkeys(map(parse_host, self.hosts))))


@lru_cache(maxsize=1 << 16)
def pattern_of(path: str, methods: tuple[str, ...], hosts: tuple[str, ...]) -> Pattern:
    """Return a pattern, remembered: of many routes few change at a time. Raises RoutePatternInvalid."""
    return Pattern(path, frozenset(methods), hosts)


def parse_path(path: str) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return the segments of a path pattern and its parameters' names, from left to right."""
    if not path.startswith("/"):
        _refuse("path", path, "it has no leading slash", f"write {'/' + path!r}")
    if len(path) > MAX_LENGTH:
        _refuse("path", path[:60] + "...", f"it is {len(path)} characters long", f"use at most {MAX_LENGTH}")
    texts = path[1:].split("/")
    if len(texts) > MAX_SEGMENTS:
        _refuse("path", path, f"it has {len(texts)} segments", f"use at most {MAX_SEGMENTS}")
    segments: list[Segment] = []
    names: list[str] = []
    for number, text in enumerate(texts):
        tail = len(texts) - number - 1
        if not text and tail:
            _refuse(
                "path",
                path,
                "it has an empty segment; paths are normalised before they are matched",
                f"write {re.sub('/+', '/', path)!r}",
            )
        segments.append(_parse_segment(path, text, tail, names))
    _check_names(path, names)
    if sum(Kind.PATH in segment.kinds for segment in segments) > 1:
        _refuse("path", path, "two {:path} parameters leave open where one ends", "keep one")
    return tuple(segments), tuple(names)


def parse_host(host: str) -> bytes:
    """Return a host pattern as it is compared: lower case; a leading dot stands for ``*.``."""
    name = host.removesuffix(".")
    if not name.isascii():
        _refuse(
            "host", host, "it is not ASCII", "write its punycode form (xn--...), which is what clients send"
        )
    key = name.lower().encode()
    if key.startswith(b"["):
        if not _is_ipv6_literal(name):
            _refuse("host", host, "it is no IPv6 literal", "write one like '[2001:db8::1]', without a port")
        return key
    if b":" in key or b"/" in key:
        _refuse(
            "host",
            host,
            "it is more than a host name; ports and schemes are not compared",
            "write the name alone, like 'api.example.test'",
        )
    if key == b"*":
        _refuse("host", host, "it would take every host", "leave the list of hosts out")
    wildcard = key.startswith(b"*.")
    labels = key[2:] if wildcard else key
    if b"*" in labels:
        _refuse("host", host, "a '*' may only be the whole first label", "write one like '*.example.test'")
    if len(key) > 253 or not all(map(_LABEL.fullmatch, labels.split(b"."))):
        _refuse("host", host, "it is no host name", "write one like 'api.example.test'")
    return b"." + labels if wildcard else labels


def _is_ipv6_literal(name: str) -> bool:
    """Return whether ``name`` is an IPv6 address in brackets."""
    try:
        IPv6Address(name[1:-1])
    except AddressValueError:
        return False
    return name.endswith("]")


def _parse_segment(path: str, text: str, tail: int, names: list[str]) -> Segment:
    """Return the shape of one segment; its parameters' names are added to ``names``."""
    pieces = _PARAMETER.split(text)
    for piece in pieces[::2]:
        if "{" in piece or "}" in piece:
            _refuse(
                "path",
                path,
                f"a brace in {text!r} has no partner",
                "write parameters as {name}, and a brace that is meant as such as %7B or %7D",
            )
    literals = tuple(_normal_literal(path, piece) for piece in pieces[::2])
    kinds = tuple(_parse_parameter(path, piece, names) for piece in pieces[1::2])
    if not kinds and literals[0] in (b".", b".."):
        _refuse("path", path, f"the segment {text!r} is resolved before paths are matched", "leave it out")
    _check_neighbours(path, text, literals, kinds)
    return Segment(literals, kinds, tail if Kind.PATH in kinds else 0)


def _parse_parameter(path: str, text: str, names: list[str]) -> Kind:
    """Return the kind of the parameter ``text`` (between its braces) and add its name to ``names``."""
    name, colon, kind = text.partition(":")
    if not _NAME.fullmatch(name):
        _refuse(
            "path", path, f"{{{text}}} has no proper name", "use letters, digits and '_', like {order_id}"
        )
    if not colon:
        kind = "str"
    if kind.upper() not in Kind.__members__ or not kind.islower():
        _refuse(
            "path", path, f"{{{text}}} has an unknown convertor {kind!r}", "use str, int, float, uuid or path"
        )
    names.append(name)
    return Kind[kind.upper()]


def _check_names(path: str, names: list[str]) -> None:
    """Refuse too many parameters, or two of one name."""
    if len(names) > MAX_PARAMS:
        _refuse("path", path, f"it has {len(names)} parameters", f"use at most {MAX_PARAMS}")
    for name in names:
        if names.count(name) > 1:
            _refuse("path", path, f"the parameter {{{name}}} is there twice", "give each its own name")


def _check_neighbours(path: str, text: str, literals: tuple[bytes, ...], kinds: tuple[Kind, ...]) -> None:
    """Refuse parameters in one segment between which the border is not plain to see.

    NOTE: this is what makes the border unique, so that a segment is split in one pass without trying again.
    """
    if Kind.PATH in kinds and len(kinds) > 1:
        _refuse("path", path, f"{text!r} has a parameter beside a {{:path}}", "put a slash between them")
    for left, separator, right in zip(kinds, literals[1:], kinds[1:], strict=False):
        if not separator:
            _refuse(
                "path", path, f"two parameters touch in {text!r}", "put a literal between them, like {a}-{b}"
            )
        if left in (Kind.INT, Kind.FLOAT) and separator[0] in _DIGITS:
            _refuse(
                "path", path, f"a number is followed by a digit in {text!r}", "put another character between"
            )
        if right in (Kind.INT, Kind.FLOAT) and separator[-1] in _DIGITS:
            _refuse("path", path, f"a number follows a digit in {text!r}", "put another character between")
        if right is Kind.FLOAT and separator[-1:] == b".":
            _refuse("path", path, f"a float follows a '.' in {text!r}", "put another character between")


def _normal_literal(path: str, text: str) -> bytes:
    """Return a literal as normalised request paths have it: unreserved bytes plain, escapes in upper case."""
    if _PLAIN.fullmatch(text):
        return text.encode()
    for character in text:
        if character in "?#\\" or character < " " or character == "\x7f":
            _refuse("path", path, f"no path contains {character!r}", "leave it out, or percent-encode it")

    def escape(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            _refuse("path", path, "a '%' is not followed by two hex digits", "write a plain one as %25")
        character = chr(int(match[1], 16))
        if character < " " or character == "\x7f":
            _refuse(
                "path", path, f"paths with the control byte {match[0].decode()} are refused", "leave it out"
            )
        return character.encode() if _PLAIN.fullmatch(character) else match[0].upper()

    literal = _ESCAPE.sub(escape, quote(text, safe=_KEPT).encode())
    try:
        unquote_to_bytes(literal).decode()
    except UnicodeDecodeError:
        _refuse(
            "path", path, f"{text!r} is no UTF-8 when decoded", "percent-encode whole characters as UTF-8"
        )
    return literal


def _check_method(method: str) -> None:
    """Refuse what is no method token, or a known method in the wrong case."""
    if not _TOKEN.fullmatch(method):
        _refuse("method", method, "it is no method name", "write one like 'GET'")
    if method.upper() in KNOWN_METHODS and method not in KNOWN_METHODS:
        _refuse("method", method, "methods are case-sensitive", f"write {method.upper()!r}")


def _refuse(part: str, value: str, problem: str, cure: str) -> NoReturn:
    """Raise the error that names the part of the route, what is wrong and what would be right."""
    raise RoutePatternInvalid(f"route {part} {value!r}", problem, cure)
