"""Normalise a path the slow way, rule after rule: what core._fast.path must agree with."""

import re
from urllib.parse import unquote_to_bytes

from core._fast.head import ParseProblem

P = ParseProblem
UNRESERVED = re.compile(rb"[A-Za-z0-9._~-]")
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def problems(path: bytes) -> set[ParseProblem]:
    """Return every rule that a path breaks."""
    if path == b"*":
        return set()
    found = set()
    if not path.startswith(b"/"):
        found.add(P.P_PATH_FORM)
    if b"\\" in path:
        found.add(P.P_PATH_BACKSLASH)
    if re.search(rb"[^\x21-\x7e]|[?#]", path):
        found.add(P.P_PATH_CHARACTER)
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        found.add(P.P_PATH_ESCAPE_MALFORMED)
    if re.search(rb"%([01][0-9A-Fa-f]|7[Ff])", path):
        found.add(P.P_PATH_ESCAPE_CONTROL)
    try:
        # A raw byte from 0x80 up is refused as such; it does not continue an escaped one.
        unquote_to_bytes(re.sub(rb"[\x80-\xff]", b"?", path)).decode()
    except UnicodeDecodeError:
        found.add(P.P_PATH_NOT_UTF8)
    for segment in normalise_escapes(path).split(b"/"):
        parts = [part.partition(b";")[0] for part in re.split(rb"%2F|%5C", segment)]
        if segment not in (b".", b"..") and (b"." in parts or b".." in parts):
            found.add(P.P_PATH_DOTS_HIDDEN)
    return found


def normalise_escapes(path: bytes) -> bytes:
    """Decode unreserved bytes; write other escapes in upper case."""

    def decide(match: re.Match[bytes]) -> bytes:
        byte = bytes.fromhex(match[1].decode())
        return byte if UNRESERVED.fullmatch(byte) else match[0].upper()

    return ESCAPE.sub(decide, path)


def normalise(path: bytes) -> bytes:
    """Return the normal form of a path that breaks no rule."""
    if path == b"*":
        return path
    stack: list[bytes] = []
    segments = normalise_escapes(path).split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del stack[-1:]
        elif segment not in (b"", b"."):
            stack.append(segment)
    inside = b"/" if stack and segments[-1] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(stack) + inside
