from core._fast.exchange import Exchange
from core._fast.record import RecordBuffer

class Recorder:
    def __init__(
        self, buffer: RecordBuffer, share: float = 1.0, failures: bool = True, *, queries: bool = True
    ) -> None: ...
    def log(self, exchange: Exchange) -> None: ...
