from collections.abc import Iterable, Iterator
from enum import IntEnum, IntFlag
from typing import Final, TypeVar, final, overload

_T = TypeVar("_T")

class HeaderId(IntEnum):
    H_UNKNOWN = 0
    H_HOST = 1
    H_CONNECTION = 2
    H_CONTENT_LENGTH = 3
    H_TRANSFER_ENCODING = 4
    H_EXPECT = 5
    H_UPGRADE = 6
    H_TE = 7
    H_TRAILER = 8
    H_KEEP_ALIVE = 9
    H_PROXY_CONNECTION = 10
    H_PROXY_AUTHENTICATE = 11
    H_PROXY_AUTHORIZATION = 12
    H_HTTP2_SETTINGS = 13
    H_VIA = 14
    H_FORWARDED = 15
    H_X_FORWARDED_FOR = 16
    H_X_FORWARDED_PROTO = 17
    H_X_FORWARDED_HOST = 18
    H_X_FORWARDED_PORT = 19
    H_X_FORWARDED_PREFIX = 20
    H_X_REAL_IP = 21
    H_X_USERINFO = 22
    H_MAX_FORWARDS = 23
    H_CDN_LOOP = 24
    H_DATE = 25
    H_SERVER = 26
    H_AUTHORIZATION = 27
    H_WWW_AUTHENTICATE = 28
    H_COOKIE = 29
    H_SET_COOKIE = 30
    H_ACCEPT = 31
    H_ACCEPT_ENCODING = 32
    H_ACCEPT_LANGUAGE = 33
    H_ACCEPT_RANGES = 34
    H_USER_AGENT = 35
    H_REFERER = 36
    H_ORIGIN = 37
    H_X_REQUEST_ID = 38
    H_TRACEPARENT = 39
    H_TRACESTATE = 40
    H_CONTENT_TYPE = 41
    H_CONTENT_ENCODING = 42
    H_CONTENT_LANGUAGE = 43
    H_CONTENT_RANGE = 44
    H_CONTENT_DISPOSITION = 45
    H_CACHE_CONTROL = 46
    H_PRAGMA = 47
    H_AGE = 48
    H_EXPIRES = 49
    H_ETAG = 50
    H_LAST_MODIFIED = 51
    H_VARY = 52
    H_RANGE = 53
    H_IF_MATCH = 54
    H_IF_NONE_MATCH = 55
    H_IF_MODIFIED_SINCE = 56
    H_IF_UNMODIFIED_SINCE = 57
    H_IF_RANGE = 58
    H_LOCATION = 59
    H_RETRY_AFTER = 60
    H_ALLOW = 61
    H_LINK = 62
    H_RATELIMIT = 63
    H_RATELIMIT_POLICY = 64
    H_IDEMPOTENCY_KEY = 65
    H_X_API_KEY = 66
    H_SEC_WEBSOCKET_KEY = 67
    H_SEC_WEBSOCKET_VERSION = 68
    H_SEC_WEBSOCKET_PROTOCOL = 69
    H_SEC_WEBSOCKET_EXTENSIONS = 70
    H_SEC_WEBSOCKET_ACCEPT = 71
    H_COUNT = 72

class FieldFlag(IntFlag):
    FIELD_HOP_BY_HOP = 1
    FIELD_UNDERSCORE = 2
    FIELD_FORWARDING = 4
    FIELD_IDENTITY = 8
    FIELD_FRAMING = 16
    FIELD_NO_TRAILER = 32

KNOWN_NAMES: Final[tuple[tuple[HeaderId, bytes, int], ...]]

@final
class Headers:
    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None: ...
    @overload
    def get(self, name: bytes) -> bytes | None: ...
    @overload
    def get(self, name: bytes, default: _T) -> bytes | _T: ...
    def get_all(self, name: bytes) -> list[bytes]: ...
    def set(self, name: bytes, value: bytes) -> None: ...
    def add(self, name: bytes, value: bytes) -> None: ...
    def remove(self, name: bytes) -> int: ...
    def items(self) -> list[tuple[bytes, bytes]]: ...
    def flags(self, name: bytes) -> int: ...
    def __contains__(self, name: bytes, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[bytes, bytes]]: ...

def find_id(name: bytes) -> int: ...
