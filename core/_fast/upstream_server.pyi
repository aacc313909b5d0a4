from collections.abc import Callable
from ssl import SSLContext

from core._fast.exchange import Handler
from core._fast.head_writer import Wording
from core._fast.reactor import Reactor
from core._fast.upstream_connection import Origin
from core._fast.wheel import Wheel
from core.errors import Problem

class Server(Origin):
    def __init__(
        self,
        reactor: Reactor,
        wheel: Wheel,
        wording: Wording,
        addresses: object,
        *,
        text: str,
        host: bytes | None,
        default_host: bytes,
        tls: SSLContext | None = None,
        server_name: str | None = None,
        count: Callable[[str], object],
        max_connections: int,
        max_idle: int,
        max_waiting: int,
        keep_alive: float,
        connect_timeout: float,
        first_byte_timeout: float,
        idle_timeout: float,
        queue_timeout: float,
        status_line: int = 8192,
        header_block: int = 65536,
        header_count: int = 256,
    ) -> None: ...
    def close(self) -> None: ...

class Errand(Handler):
    def settle(self) -> None: ...
    def fail(self, problem: Problem) -> None: ...
