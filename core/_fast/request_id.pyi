from typing import Literal

from core._fast.exchange import Exchange
from core._fast.ids import IdSource

class RequestIds:
    def __init__(
        self,
        name: bytes,
        *,
        format: Literal["uuid7", "hex"] = "uuid7",
        believe: Literal["nobody", "trusted", "anyone"] = "trusted",
        longest: int = 128,
        ids: IdSource | None = None,
    ) -> None: ...
    def request(self, exchange: Exchange) -> None: ...
    def response(self, exchange: Exchange) -> None: ...
