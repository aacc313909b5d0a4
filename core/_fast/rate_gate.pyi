from collections.abc import Callable, Iterable
from typing import Literal

from core._fast.cells import Counter
from core._fast.exchange import Exchange
from core._fast.limiter import Limiter
from core._fast.message import Response

class RateGate:
    clock: Callable[[], int] | None
    def __init__(
        self,
        limiter: Limiter,
        limits: str | Iterable[str],
        *,
        by: str = "ip",
        scope: bytes = b"",
        lacking: Literal["ip", "together", "unlimited"] = "ip",
        admit_when_full: bool = False,
        headers: Literal["ratelimit", "x-ratelimit", "both", "none"] = "ratelimit",
        prefix: int = 64,
        refused: Counter | None = None,
        full: Counter | None = None,
    ) -> None: ...
    def request(self, exchange: Exchange) -> Response | None: ...
    def response(self, exchange: Exchange) -> None: ...
