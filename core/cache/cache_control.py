"""Read Cache-Control and its like: what clients and servers say to caches (RFC 9111 section 5.2, RFC 9213).

The rule it guards: where a directive can be read in two ways, it is read in the way that keeps less and for
less time. Used by core/cache/freshness.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Directives = Mapping[str, str]  # names in small letters; the argument, "" without one

LONGEST = 1 << 31  # seconds; a larger number means this (RFC 9111 section 1.2.2)
CONFLICT = "?"  # what stands for arguments that contradict each other
WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"((?:[^"\\]|\\.)*)"'
DIRECTIVE = re.compile(rf'[\s,]*({WORD})(?:\s*=\s*(?:{QUOTED}|([^\s,"]*)))?[^,]*')
NOT_ONE = re.compile(r"[\s,]*[^\s,][^,]*")
KEY = r"[a-z*][a-z0-9_.*-]*"
BARE = (
    r'(?:-?\d{1,15}(?:\.\d{1,3})?|"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][!#$%&\'*+.^_`|~0-9A-Za-z:/-]*|\?[01])'
)
MEMBER = re.compile(rf"({KEY})(?:=({BARE}))?((?:; *{KEY}(?:={BARE})?)*)")


def read_directives(values: Iterable[bytes]) -> Directives:
    """Return what Cache-Control says, of all fields of that name."""
    text = b",".join(values).decode("latin-1")
    found: dict[str, str] = {}
    at = 0
    while match := DIRECTIVE.match(text, at) or NOT_ONE.match(text, at):
        at = match.end()
        if match.re is NOT_ONE:
            continue
        name = match[1].lower()
        argument = match[2] if match[2] is not None else match[3] or ""
        found[name] = argument if found.get(name, argument) == argument else CONFLICT
    return found


def read_targeted(values: Iterable[bytes]) -> Directives | None:
    """Return what a field for certain caches says, such as CDN-Cache-Control; None: it is to be left alone.

    It is a dictionary of structured fields (RFC 9651), so that a mistake anywhere makes it count for nothing.
    """
    text = b", ".join(values).decode("latin-1").strip(" ")
    found: dict[str, str] = {}
    for member in split_members(text):
        match = MEMBER.fullmatch(member)
        if match is None:
            return None
        value = match[2] or ""
        found.pop(match[1], None)
        if value != "?0":
            found[match[1]] = "" if value == "?1" else value
    return found or None


def split_members(text: str) -> list[str]:
    """Return the parts between commas that do not stand in quotes."""
    parts, quoted, part = [], False, ""
    for i, char in enumerate(text):
        if char == '"' and not (quoted and text[i - 1] == "\\"):
            quoted = not quoted
        if char == "," and not quoted:
            parts.append(part)
            part = ""
        else:
            part += char
    return [one.strip(" \t") for one in [*parts, part]]


def seconds(directives: Directives, name: str) -> int | None:
    """Return a directive's number of seconds; None: it is not there; 0: it is no number."""
    value = directives.get(name)
    if value is None:
        return None
    return min(int(value[:12]), LONGEST) if value.isascii() and value.isdigit() else 0
