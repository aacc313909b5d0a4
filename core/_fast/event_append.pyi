from collections.abc import Iterable
from typing import final

from core._fast.envelope import Draft

ANY: int  # expected versions; or the version itself
NO_STREAM: int
EXISTS: int

@final
class Appended:
    first_position: int
    last_position: int
    versions: tuple[int, ...]
    repeated: bool

@final
class Query:
    items: tuple[tuple[str, ...], ...]

    def __init__(self, items: Iterable[Iterable[str]]) -> None: ...

@final
class Append:
    def __init__(
        self,
        writes: Iterable[tuple[str, int, Iterable[Draft]]] = (),
        *,
        checks: Iterable[tuple[str, int]] = (),
        unless: Query | None = None,
        after: int = 0,
        state: Iterable[tuple[bytes, bytes | None]] = (),
        keys: Iterable[tuple[bytes, bytes | None]] = (),
    ) -> None: ...
