from collections.abc import Callable

from core._fast.client import ClientConnection
from core._fast.head_writer import Wording
from core._fast.headers import Headers
from core._fast.plan import Snapshot
from core._fast.wheel import Wheel

class Door:
    snapshot: Snapshot  # what serves requests that begin from now on
    def __init__(
        self,
        wheel: Wheel,
        factory: Callable[[Door], ClientConnection],
        *,
        refused: Callable[[str], object],
        gauge: Callable[[int], object],
    ) -> None: ...
    def configure(
        self,
        snapshot: Snapshot,
        wording: Wording,
        *,
        trusts: Callable[[str], bool],
        client_of: Callable[[bytes, Headers], bytes],
        request_line: int,
        header_block: int,
        header_count: int,
        max_extensions: int,
        head_timeout: float,
        body_timeout: float,
        keep_alive_timeout: float,
        write_timeout: float,
        max_connections: int,
        max_per_address: int,
        linger_timeout: float = 2,
        body_rate: int = 240,
    ) -> None: ...
    def protocol(self) -> ClientConnection: ...
    def drain(self, then: Callable[[], object]) -> None: ...
    def abort(self) -> None: ...
    @property
    def wheel(self) -> Wheel: ...
    @property
    def wording(self) -> Wording: ...
    @property
    def head_timeout(self) -> int: ...  # ns, as are the other timeouts here
    @property
    def body_timeout(self) -> int: ...
    @property
    def keep_alive_timeout(self) -> int: ...
    @property
    def write_timeout(self) -> int: ...
    @property
    def linger_timeout(self) -> int: ...
    @property
    def body_rate(self) -> int: ...  # bytes a second
    @property
    def max_connections(self) -> int: ...
    @property
    def max_per_address(self) -> int: ...
    @property
    def max_extensions(self) -> int: ...  # bytes
    @property
    def connections(self) -> int: ...
    @property
    def draining(self) -> bool: ...
