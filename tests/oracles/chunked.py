"""Decode a whole chunked body the slow way: what core._fast.chunked must agree with, however it is fed."""

from dataclasses import dataclass, field

from core._fast.head import ParseProblem
from core._fast.headers import KNOWN_NAMES
from tests.oracles.head import (
    ADDED_BY_GATEWAYS,
    LF,
    VALUE,
    MoreNeededError,
    Reader,
    RefusedError,
    Result,
    read_fields,
)

P = ParseProblem
CR = 0x0D
HEX = frozenset(b"0123456789abcdefABCDEF")
MOST_TRAILER_FIELDS = 64
LARGEST_CHUNK = 2**63 - 1
# What a trailer may not be: every name with a meaning of its own but ETag, and what gateways add or confuse.
MEANINGFUL = {name for _, name, _ in KNOWN_NAMES} - {b"etag"}


@dataclass
class Decoded:
    """A body so far; `problem` and `done` say how it ended, if it did."""

    body: bytearray = field(default_factory=bytearray)
    consumed: int = 0
    done: bool = False
    problem: ParseProblem | None = None
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)


def read_size(reader: Reader) -> int:
    digits = bytearray()
    while reader.peek() in HEX:
        if len(digits) == 16 or int(digits or b"0", 16) > LARGEST_CHUNK >> 4:
            raise RefusedError(P.P_CHUNK_SIZE_OVERFLOW)
        digits.append(reader.next())
    if not digits:
        raise RefusedError(P.P_CHUNK_SIZE_MALFORMED)
    return int(digits, 16)


def read_extensions(reader: Reader, used: int, limit: int) -> int:
    """Read from ';' to before the CR; return how much of the limit is used now."""
    while reader.peek() in VALUE:
        used += 1
        if used > limit:
            raise RefusedError(P.P_CHUNK_EXTENSIONS_TOO_LARGE)
        reader.next()
    if reader.peek() not in (CR, LF):
        raise RefusedError(P.P_CHUNK_EXTENSION_CHARACTER)
    return used


def read_trailers(data: bytes, start: int, limit: int, result: Result) -> None:
    """Read the section once it is whole: lines that end with CR LF, up to an empty one."""
    at = start
    while True:
        line_end = data.find(b"\n", at)
        if (line_end + 1 if line_end >= 0 else len(data)) - start > limit:
            raise RefusedError(P.P_TRAILERS_TOO_LARGE)
        if line_end < 0:
            raise MoreNeededError
        if data[line_end - 1] != CR:
            raise RefusedError(P.P_BARE_LF)
        if line_end == at + 1:
            break
        at = line_end + 1
    read_fields(data[: line_end + 1], start, limit, MOST_TRAILER_FIELDS, result)


def may_trail(name: bytes) -> bool:
    """Tell whether a field may be forwarded when it comes as a trailer."""
    return not (name.lower() in MEANINGFUL or b"_" in name or ADDED_BY_GATEWAYS.fullmatch(name))


def decode(data: bytes, extension_bytes: int = 4096, trailer_bytes: int = 8192) -> Decoded:
    """Decode as much as there is."""
    result = Decoded()
    reader = Reader(data, 0, len(data), P.P_NONE)
    used = 0
    try:
        while True:
            size = read_size(reader)
            if reader.peek() == ord(";"):
                used = read_extensions(reader, used, extension_bytes)
            reader.line_end(P.P_CHUNK_SIZE_MALFORMED)
            if size == 0:
                break
            result.body += data[reader.at : reader.at + size]
            reader.at += min(size, len(data) - reader.at)
            for wanted in b"\r\n":
                if reader.peek() != wanted:
                    raise RefusedError(P.P_CHUNK_END_MALFORMED)
                reader.next()
        if reader.peek() == CR:
            reader.line_end(P.P_BARE_CR)
            result.consumed = reader.at
        else:
            fields = Result()
            read_trailers(data, reader.at, trailer_bytes, fields)
            result.trailers = [field for field in fields.fields if may_trail(field[0])]
            result.consumed = fields.consumed
        result.done = True
    except RefusedError as refused:
        result.problem = refused.problem
    except MoreNeededError:
        result.consumed = len(data)
    return result
