from typing import Literal

from core._fast.exchange import Exchange
from core._fast.ids import IdSource

class Traces:
    def __init__(
        self,
        *,
        believe: Literal["nobody", "trusted", "anyone"] = "anyone",
        share: float = 1.0,
        follow: bool = True,
        longest: int = 512,
        shown: bytes = b"",
        ids: IdSource | None = None,
    ) -> None: ...
    def request(self, exchange: Exchange) -> None: ...
    def response(self, exchange: Exchange) -> None: ...

def parse_traceparent(value: bytes) -> tuple[bytes, bytes, int] | None: ...
def count_tracestate(value: bytes) -> int | None: ...
def shorten_tracestate(state: bytes, most: int) -> bytes: ...
