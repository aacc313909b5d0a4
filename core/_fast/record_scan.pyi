from collections.abc import Mapping
from typing import Any

from typing_extensions import Buffer

class RecordFilter:
    def __init__(
        self,
        texts: Mapping[str, bytes] | None = None,
        *,
        path_prefix: bytes | None = None,
        status: tuple[int, int] = (0, 0xFFFFFFFF),
        min_duration_ns: int = 0,
        since_ns: int = 0,
        until_ns: int = 0,
    ) -> None: ...

def decode(
    data: Buffer,
    count: int,
    first: int,
    worker: int,
    wanted: RecordFilter | None = None,
    after: int = 0,
    before: int = 0,
) -> list[tuple[Any, ...]]: ...
