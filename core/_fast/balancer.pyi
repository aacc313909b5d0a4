from collections.abc import Sequence
from typing import Any, Final

POLICIES: Final[dict[str, int]]

class Balancer:
    def __init__(
        self,
        policy: str,
        names: Sequence[str],
        *,
        weights: Sequence[int] = (),
        priorities: Sequence[int] = (),
        panic: float = 0.5,
        slow_start: int = 0,
        eject_after: int = 0,
        eject_time: int = 30_000_000_000,
        seed: int = 0,
    ) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def open_count(self) -> int: ...  # servers that may be chosen
    @property
    def panicking(self) -> bool: ...
    def choose(self, now: int, key: bytes = b"", avoid: int = 0) -> int | None: ...
    def begin(self, index: int) -> None: ...
    def end(self, index: int, now: int, *, failed: bool = False, latency: int = 0) -> None: ...
    def set_healthy(self, index: int, healthy: bool, now: int) -> None: ...
    def set_draining(self, index: int, draining: bool, now: int) -> None: ...
    def state(self, index: int, now: int) -> dict[str, Any]: ...
