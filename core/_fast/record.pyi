from collections.abc import Callable, Sequence
from typing import final

HEADER_SIZE: int  # bytes kept free at a block's start for its header
BLOCK_SIZE: int  # bytes of a full block at most
TEXTS: tuple[str, ...]  # names of a record's texts, in order
TEXT_LIMITS: dict[str, int]  # bytes kept of each
FLAGS: tuple[str, ...]  # names of the flags' bits, lowest first

@final
class Block:
    count: int
    oldest_ns: int
    newest_ns: int
    dropped: int

    def __buffer__(self, flags: int, /) -> memoryview: ...

class RecordBuffer:
    appended: int
    dropped: int

    def __init__(self, limit_bytes: int, wake: Callable[[bool], object] | None = None) -> None: ...
    @property
    def used_bytes(self) -> int: ...
    def resize(self, limit_bytes: int) -> None: ...
    def append_fields(
        self,
        *,
        status: int = 0,
        time_ns: int = 0,
        duration_ns: int = 0,
        upstream_ns: int = -1,
        bytes_in: int = 0,
        bytes_out: int = 0,
        attempts: int = 0,
        flags: int = 0,
        **texts: bytes,
    ) -> None: ...
    def take(self) -> list[Block]: ...
    def recycle(self, blocks: Sequence[Block]) -> None: ...
    def close(self) -> None: ...
