from collections.abc import Sequence
from typing import Any

from core._fast.balancer import Balancer
from core._fast.exchange import Handler, Target
from core._fast.upstream_server import Server

class Upstream(Target):
    checks: Any  # what asks the servers how they are: it has close(); None: nothing does
    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        balancer: Balancer,
        *,
        hash_by: str = "ip",
        answers_fail: bool = False,
    ) -> None: ...
    @property
    def servers(self) -> tuple[Server, ...]: ...
    @property
    def balancer(self) -> Balancer: ...
    @property
    def active(self) -> int: ...  # exchanges under way
    @property
    def retrying(self) -> int: ...  # those of them that are not at their first try
    def set_healthy(self, index: int, healthy: bool) -> None: ...
    def set_draining(self, index: int, draining: bool) -> None: ...
    def states(self) -> list[dict[str, Any]]: ...
    def close(self) -> None: ...

class Pause(Handler):
    def over(self) -> None: ...
