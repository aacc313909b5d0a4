from collections.abc import Callable, Iterable, Sequence

from core._fast.exchange import Downstream, Exchange, Target
from core._fast.message import Response
from core._fast.plan import Snapshot
from core._fast.wheel import Wheel

class Recorder(Downstream):
    interim: list[tuple[int, list[tuple[bytes, bytes]]]]
    status: int
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    trailers: list[tuple[bytes, bytes]] | None
    complete: bool
    broken: bool
    ended: bool
    paused: bool
    on_end: Callable[[], object] | None
    @property
    def body(self) -> bytes: ...

class Forwarded:
    method: str
    path: str
    query: str
    host: str
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    complete: bool
    cancelled: bool
    @property
    def body(self) -> bytes: ...

class StandIn(Target):
    answer: Response
    pieces: list[bytes]
    received: list[Forwarded]
    def __init__(
        self, answer: Response, pieces: Sequence[bytes] | None = None, name: str = "stand-in"
    ) -> None: ...

def make_exchange(
    head: bytes,
    snapshot: Snapshot,
    *,
    client: bytes = b"192.0.2.1",
    peer: bytes | None = None,
    secure: bool = False,
    trusted: bool = False,
    certificate: object = None,
    wheel: Wheel = ...,
) -> Exchange: ...
def recorder_of(exchange: Exchange) -> Recorder: ...
def begin(exchange: Exchange, snapshot: Snapshot, pieces: Iterable[bytes] = ()) -> None: ...
def give_response(exchange: Exchange, response: Response) -> None: ...
def leave(exchange: Exchange) -> None: ...
def pass_time(exchange: Exchange, seconds: float) -> None: ...
def run_repeatedly(snapshot: Snapshot, head: bytes, rounds: int, client: bytes = b"192.0.2.1") -> float: ...
