from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from core._fast.cache_slot import Slot
from core._fast.cells import Counter
from core._fast.exchange import Exchange
from core._fast.headers import Headers
from core._fast.message import Response

class ReadyAnswer(Slot):
    def __init__(
        self,
        key: Any,
        size: int,
        names: tuple[bytes, ...],
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        *,
        born: float,
        fresh_until: float,
        for_cookies: bool = True,
    ) -> None: ...
    @property
    def born(self) -> float: ...  # seconds since 1970 at which its age was 0
    @property
    def fresh_until(self) -> float: ...

class VarySplit(Slot):
    def __init__(self, key: Any, size: int, fields: tuple[bytes, ...]) -> None: ...
    @property
    def fields(self) -> tuple[bytes, ...]: ...  # names of the request headers that choose

class _Timed(Protocol):
    clock: Callable[[], float]  # seconds since 1970

class CacheGate:
    def __init__(
        self, items: dict[Any, Any], timed: _Timed, hits: Counter, wording: bytes | None
    ) -> None: ...
    def request(self, exchange: Exchange) -> Response | Coroutine[Any, Any, Response | None] | None: ...
    def response(self, exchange: Exchange) -> None: ...
    def chunk(self, exchange: Exchange, side: str, piece: bytes, last: bool) -> None: ...
    def log(self, exchange: Exchange) -> None: ...

def may_be_kept(exchange: Exchange) -> bool: ...
def cache_key(exchange: Exchange) -> bytes: ...
def vary_key(key: bytes, fields: tuple[bytes, ...], headers: Headers) -> bytes: ...
def public_url(exchange: Exchange) -> bytes: ...
def end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]: ...
def replace_answer(exchange: Exchange, response: Response) -> None: ...
