from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

from typing_extensions import Buffer

from core._fast.headers import Headers

class ParseProblem(IntEnum):
    P_NONE = 0
    P_EMPTY_LINES = 1
    P_BARE_CR = 2
    P_BARE_LF = 3
    P_METHOD_MALFORMED = 4
    P_TARGET_MISSING = 5
    P_TARGET_CHARACTER = 6
    P_TARGET_FRAGMENT = 7
    P_TARGET_FORM = 8
    P_TARGET_SCHEME = 9
    P_TARGET_AUTHORITY = 10
    P_TARGET_ASTERISK = 11
    P_VERSION_MISSING = 12
    P_VERSION_MALFORMED = 13
    P_VERSION_UNSUPPORTED = 14
    P_REQUEST_LINE_TOO_LONG = 15
    P_STATUS_LINE_MALFORMED = 16
    P_STATUS_CODE_INVALID = 17
    P_REASON_CHARACTER = 18
    P_STATUS_LINE_TOO_LONG = 19
    P_HEADERS_TOO_LARGE = 20
    P_HEADERS_TOO_MANY = 21
    P_HEADERS_LEADING_SPACE = 22
    P_HEADER_FOLDED = 23
    P_HEADER_NAME_EMPTY = 24
    P_HEADER_NAME_MALFORMED = 25
    P_HEADER_NAME_SPACE = 26
    P_HEADER_NO_COLON = 27
    P_HEADER_VALUE_CHARACTER = 28
    P_CONNECTION_OPTIONS = 29
    P_HOST_MISSING = 30
    P_HOST_REPEATED = 31
    P_HOST_MALFORMED = 32
    P_HOST_MISMATCH = 33
    P_EXPECTATION_UNKNOWN = 34
    P_CONTENT_LENGTH_MALFORMED = 35
    P_CONTENT_LENGTH_OVERFLOW = 36
    P_CONTENT_LENGTH_CONFLICT = 37
    P_TRANSFER_ENCODING_MALFORMED = 38
    P_TRANSFER_ENCODING_UNKNOWN = 39
    P_TRANSFER_ENCODING_REPEATED = 40
    P_TRANSFER_ENCODING_VERSION = 41
    P_FRAMING_AMBIGUOUS = 42
    P_CHUNK_SIZE_MALFORMED = 43
    P_CHUNK_SIZE_OVERFLOW = 44
    P_CHUNK_EXTENSION_CHARACTER = 45
    P_CHUNK_EXTENSIONS_TOO_LARGE = 46
    P_CHUNK_END_MALFORMED = 47
    P_TRAILERS_TOO_LARGE = 48
    P_PATH_FORM = 49
    P_PATH_CHARACTER = 50
    P_PATH_BACKSLASH = 51
    P_PATH_ESCAPE_MALFORMED = 52
    P_PATH_ESCAPE_CONTROL = 53
    P_PATH_NOT_UTF8 = 54
    P_PATH_DOTS_HIDDEN = 55
    P_COUNT = 56

class Method(IntEnum):
    M_OTHER = 0
    M_GET = 1
    M_HEAD = 2
    M_POST = 3
    M_PUT = 4
    M_PATCH = 5
    M_DELETE = 6
    M_OPTIONS = 7
    M_CONNECT = 8
    M_TRACE = 9

PROBLEMS: Final[dict[int, tuple[int, str, str]]]

def read_request(
    data: Buffer, *, request_line: int = 8192, header_block: int = 32768, header_count: int = 128
) -> tuple[int, dict[str, Any], Headers]: ...
def read_response(
    data: Buffer,
    request_method: int = 1,
    *,
    request_line: int = 8192,
    header_block: int = 32768,
    header_count: int = 128,
) -> tuple[int, dict[str, Any], Headers]: ...
def find_ends(
    data: Buffer,
    sizes: Iterable[int],
    *,
    request_line: int = 8192,
    header_block: int = 32768,
    header_count: int = 128,
) -> list[int]: ...
def parse_repeatedly(data: bytes, rounds: int, response: bool = False) -> int: ...
