"""Parse an HTTP/1.x head the slow way: what core._fast.head must agree with, to the problem's code."""

import ipaddress
import re
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core._fast.head import Method, ParseProblem
from core._fast.headers import KNOWN_NAMES

P = ParseProblem
LARGEST_LENGTH = 2**63 - 1
MOST_OPTIONS = 64
UNDERSTOOD_OPTIONS = (b"close", b"keep-alive", b"upgrade", b"te")
ALNUM = (string.ascii_letters + string.digits).encode()
TOKEN = frozenset(ALNUM + b"!#$%&'*+-.^_`|~")
TARGET = frozenset(range(0x21, 0x7F)) - frozenset(b"#")
VALUE = frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100)) | {0x09}
DIGITS = frozenset(b"0123456789")
CR, LF, SP, COLON = b"\r\n :"
HOP_BY_HOP = {
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
}
# What proxies and gateways add about a request.
ADDED_BY_GATEWAYS = re.compile(
    rb"x[-_](forwarded.*|real[-_]ip|(consumer|authenticated|credential)[-_].*|userinfo)",
    re.IGNORECASE,
)


class RefusedError(Exception):
    """The message breaks a rule."""

    def __init__(self, problem: ParseProblem) -> None:
        super().__init__(problem)
        self.problem = problem


class MoreNeededError(Exception):
    """Nothing is wrong so far and the head has not ended."""


class Reader:
    """Reads bytes in order; none past `limit` bytes from the start, where `beyond` is the problem."""

    def __init__(self, data: bytes, start: int, limit: int, beyond: ParseProblem) -> None:
        self.data = data
        self.at = start
        self.end = start + limit
        self.beyond = beyond

    def peek(self) -> int:
        """Return the next byte."""
        if self.at < self.end and self.at < len(self.data):
            return self.data[self.at]
        if len(self.data) > self.end:
            raise RefusedError(self.beyond)
        raise MoreNeededError

    def next(self) -> int:
        """Take the next byte."""
        byte = self.peek()
        self.at += 1
        return byte

    def run(self, allowed: frozenset[int]) -> bytes:
        """Take the longest run of bytes of a class; the byte after it must be there to see."""
        taken = bytearray()
        while self.peek() in allowed:
            taken.append(self.next())
        return bytes(taken)

    def line_end(self, otherwise: ParseProblem) -> None:
        """Take CR LF."""
        byte = self.next()
        if byte == LF:
            raise RefusedError(P.P_BARE_LF)
        if byte != CR:
            raise RefusedError(otherwise)
        if self.next() != LF:
            raise RefusedError(P.P_BARE_CR)


@dataclass
class Result:
    """Everything that a head says."""

    status: int = 0
    minor: int = 0
    method: bytes | None = None
    target: bytes | None = None
    path: bytes | None = None
    query: bytes | None = None
    host: bytes | None = None
    reason: bytes | None = None
    content_length: int = -1
    chunked: bool = False
    keep_alive: bool = False
    upgrade: bool = False
    expect_continue: bool = False
    te_trailers: bool = False
    bodiless: bool = False
    close_delimited: bool = False
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    options: list[bytes] = field(default_factory=list)  # what Connection lists, lower case
    consumed: int = 0

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of the fields seen so far with this lower-case name."""
        return [value for key, value in self.fields if key.lower() == name]


def is_authority(text: bytes) -> bool:
    """Tell whether this is host[:port] as strictly as the parser wants it."""
    match = re.fullmatch(rb"(\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9._~-]{1,255})(:([0-9]{1,5}))?", text)
    if match is None:
        return False
    if match[2] is not None:
        try:
            ipaddress.IPv6Address(match[2].decode())
        except ValueError:
            return False
    return match[4] is None or 0 < int(match[4]) < 65536


def elements(values: Iterable[bytes]) -> list[bytes]:
    """Return the elements of a comma-separated list in one or more fields, lower case and trimmed."""
    return [element.strip(b" \t").lower() for value in values for element in value.split(b",")]


def judge_codings(value: bytes) -> ParseProblem:
    """Say what is wrong with a Transfer-Encoding that is not chunked alone."""
    codings = elements([value])
    if any(not coding or not set(coding) <= TOKEN for coding in codings):
        return P.P_TRANSFER_ENCODING_MALFORMED
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1] or b"identity" in codings:
        return P.P_TRANSFER_ENCODING_MALFORMED
    return P.P_TRANSFER_ENCODING_UNKNOWN


def meet_content_length(value: bytes, result: Result) -> None:
    digits = re.match(rb"[0-9]*", value)
    assert digits is not None
    if digits[0] and int(digits[0]) > LARGEST_LENGTH:
        raise RefusedError(P.P_CONTENT_LENGTH_OVERFLOW)
    if digits[0] != value or not value:
        raise RefusedError(P.P_CONTENT_LENGTH_MALFORMED)
    if result.content_length not in (-1, int(value)):
        raise RefusedError(P.P_CONTENT_LENGTH_CONFLICT)
    if result.chunked:
        raise RefusedError(P.P_FRAMING_AMBIGUOUS)
    result.content_length = int(value)


def meet_transfer_encoding(value: bytes, result: Result) -> None:
    if result.minor == 0:
        raise RefusedError(P.P_TRANSFER_ENCODING_VERSION)
    if result.chunked:
        raise RefusedError(P.P_TRANSFER_ENCODING_REPEATED)
    if value.lower() != b"chunked":
        raise RefusedError(judge_codings(value))
    if result.content_length != -1:
        raise RefusedError(P.P_FRAMING_AMBIGUOUS)
    result.chunked = True


def meet_host(value: bytes, result: Result) -> None:
    if result.values(b"host"):
        raise RefusedError(P.P_HOST_REPEATED)
    if not is_authority(value):
        raise RefusedError(P.P_HOST_MALFORMED)


def meet_expect(value: bytes, result: Result) -> None:
    if value.lower() != b"100-continue":
        raise RefusedError(P.P_EXPECTATION_UNKNOWN)
    result.expect_continue = result.minor == 1


def meet_connection(value: bytes, result: Result) -> None:
    result.options += elements([value])
    named = [option for option in result.options if option and option not in UNDERSTOOD_OPTIONS]
    if len(named) > MOST_OPTIONS:
        raise RefusedError(P.P_CONNECTION_OPTIONS)


def meet_te(value: bytes, result: Result) -> None:
    result.te_trailers = result.te_trailers or b"trailers" in elements([value])


Meanings = dict[bytes, Callable[[bytes, Result], None]]
IN_TRAILERS: Meanings = {}
IN_RESPONSES: Meanings = {
    b"content-length": meet_content_length,
    b"transfer-encoding": meet_transfer_encoding,
    b"connection": meet_connection,
}
IN_REQUESTS: Meanings = {**IN_RESPONSES, b"host": meet_host, b"expect": meet_expect, b"te": meet_te}


def read_fields(
    data: bytes, start: int, limit: int, count: int, result: Result, meanings: Meanings = IN_TRAILERS
) -> None:
    """Read field lines and the blank line."""
    reader = Reader(data, start, limit, P.P_HEADERS_TOO_LARGE)
    while True:
        first = reader.at == start
        name = reader.run(TOKEN)
        byte = reader.peek()
        if byte == CR:
            reader.line_end(P.P_BARE_CR)
            if name:
                raise RefusedError(P.P_HEADER_NO_COLON)
            break
        if byte == LF:
            raise RefusedError(P.P_BARE_LF)
        if byte in b" \t":
            raise RefusedError(
                P.P_HEADER_NAME_SPACE if name else P.P_HEADERS_LEADING_SPACE if first else P.P_HEADER_FOLDED
            )
        if byte != COLON:
            raise RefusedError(P.P_HEADER_NAME_MALFORMED)
        if not name:
            raise RefusedError(P.P_HEADER_NAME_EMPTY)
        if len(result.fields) == count:
            raise RefusedError(P.P_HEADERS_TOO_MANY)
        reader.next()
        value = reader.run(VALUE).strip(b" \t")
        reader.line_end(P.P_HEADER_VALUE_CHARACTER)
        meaning = meanings.get(name.lower())
        if meaning is not None:
            meaning(value, result)
        result.fields.append((name, value))
    result.consumed = reader.at


def settle(result: Result) -> None:
    """Draw the conclusions that both kinds of message share."""
    result.keep_alive = b"close" not in result.options and (
        result.minor == 1 or b"keep-alive" in result.options
    )
    result.upgrade = result.minor == 1 and b"upgrade" in result.options and any(result.values(b"upgrade"))


def read_version(reader: Reader, malformed: ParseProblem) -> int:
    """Read HTTP/x.y and return y."""
    version = bytearray()
    for wanted in b"HTTP/0.0":
        byte = reader.peek()
        if byte not in DIGITS if wanted in DIGITS else byte != wanted:
            raise RefusedError(malformed)
        version.append(reader.next())
    if bytes(version) not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise RefusedError(P.P_VERSION_UNSUPPORTED)
    return version[-1] - ord("0")


def read_target(method: bytes, target: bytes, result: Result) -> None:
    """Find the form of a target."""
    if method == b"CONNECT":
        if not is_authority(target) or re.search(rb":[0-9]+$", target) is None:
            raise RefusedError(P.P_TARGET_AUTHORITY)
        result.host = target
        return
    if target == b"*":
        if method != b"OPTIONS":
            raise RefusedError(P.P_TARGET_ASTERISK)
        result.path = target
        return
    rest = target
    if not target.startswith(b"/"):
        absolute = re.fullmatch(rb"(?i:https?)://([^/?]*)(.*)", target)
        if absolute is None:
            foreign = re.match(rb"[A-Za-z0-9+.-]+://", target)
            raise RefusedError(P.P_TARGET_SCHEME if foreign else P.P_TARGET_FORM)
        if not is_authority(absolute[1]):
            raise RefusedError(P.P_TARGET_AUTHORITY)
        result.host = absolute[1]
        rest = absolute[2]
    path, mark, query = rest.partition(b"?")
    result.query = query if mark else None
    result.path = path or (b"*" if method == b"OPTIONS" and not mark else b"/")


def read_request(data: bytes, limits: tuple[int, int, int]) -> Result:
    """Read a request head or raise RefusedError or MoreNeededError."""
    request_line, header_block, header_count = limits
    result = Result()
    start = 0
    if data[:1] == b"\r":
        reader = Reader(data, 0, 3, P.P_EMPTY_LINES)
        reader.line_end(P.P_BARE_CR)
        start = 2
        if data[2:3] == b"\r":
            raise RefusedError(P.P_EMPTY_LINES)
    reader = Reader(data, start, request_line + 2, P.P_REQUEST_LINE_TOO_LONG)
    result.method = reader.run(TOKEN)
    if not result.method and reader.peek() == LF:
        raise RefusedError(P.P_BARE_LF)
    if not result.method or reader.next() != SP:
        raise RefusedError(P.P_METHOD_MALFORMED)
    result.target = reader.run(TARGET)
    if reader.peek() == ord("#"):
        raise RefusedError(P.P_TARGET_FRAGMENT)
    if reader.peek() != SP:
        reader.line_end(P.P_TARGET_CHARACTER)
        raise RefusedError(P.P_VERSION_MISSING)
    if not result.target:
        raise RefusedError(P.P_TARGET_MISSING)
    read_target(result.method, result.target, result)
    reader.next()
    result.minor = read_version(reader, P.P_VERSION_MALFORMED)
    reader.line_end(P.P_VERSION_MALFORMED)
    read_fields(data, reader.at, header_block, header_count, result, IN_REQUESTS)
    hosts = result.values(b"host")
    if not hosts and result.minor == 1:
        raise RefusedError(P.P_HOST_MISSING)
    if hosts and result.host is not None and result.host.lower() != hosts[0].lower():
        raise RefusedError(P.P_HOST_MISMATCH)
    if result.host is None and hosts:
        result.host = hosts[0]
    settle(result)
    return result


def read_response(data: bytes, request_method: int, limits: tuple[int, int, int]) -> Result:
    """Read a response head or raise RefusedError or MoreNeededError."""
    request_line, header_block, header_count = limits
    result = Result()
    reader = Reader(data, 0, request_line + 2, P.P_STATUS_LINE_TOO_LONG)
    result.minor = read_version(reader, P.P_STATUS_LINE_MALFORMED)
    if reader.next() != SP:
        raise RefusedError(P.P_STATUS_LINE_MALFORMED)
    code = bytearray()
    while len(code) < 3:
        code.append(reader.next())
        if code[-1] not in DIGITS:
            raise RefusedError(P.P_STATUS_CODE_INVALID)
    result.status = int(code)
    if not 100 <= result.status <= 599 or reader.peek() in DIGITS:
        raise RefusedError(P.P_STATUS_CODE_INVALID)
    if reader.peek() == SP:
        reader.next()
        result.reason = reader.run(VALUE)
    reader.line_end(P.P_STATUS_LINE_MALFORMED if result.reason is None else P.P_REASON_CHARACTER)
    read_fields(data, reader.at, header_block, header_count, result, IN_RESPONSES)
    settle(result)
    never = result.status < 200 or result.status == 204
    result.bodiless = (
        never
        or result.status == 304
        or request_method == Method.M_HEAD
        or (request_method == Method.M_CONNECT and result.status < 300)
    )
    if result.bodiless:
        if never and result.status != 101 and (result.chunked or result.content_length > 0):
            result.keep_alive = False
        result.chunked = False
    elif not result.chunked and result.content_length < 0:
        result.close_delimited = True
        result.keep_alive = False
    return result


def is_named_by_connection(name: bytes, result: Result) -> bool:
    """Tell whether Connection makes this field hop-by-hop: never one with a meaning of its own."""
    known = name.lower() in {known for _, known, _ in KNOWN_NAMES}
    return name.lower() in result.options and not known and ADDED_BY_GATEWAYS.fullmatch(name) is None
