from typing import Literal

from core._fast.exchange import Exchange

class ClientKeys:
    def __init__(
        self, by: str = "ip", lacking: Literal["ip", "together", "unlimited"] = "ip", prefix: int = 64
    ) -> None: ...
    def of(self, exchange: Exchange) -> bytes | None: ...

def client_network(address: bytes, prefix: int = 64) -> bytes: ...
