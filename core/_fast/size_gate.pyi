from core._fast.exchange import Exchange
from core._fast.message import Response

class SizeGate:
    def __init__(
        self,
        *,
        request_body: int = 0,
        response_body: int = 0,
        uri: int = 0,
        query: int = 0,
        headers: int = 0,
        header: int = 0,
        header_count: int = 0,
    ) -> None: ...
    def request(self, exchange: Exchange) -> Response | None: ...
    def response(self, exchange: Exchange) -> None: ...
