from typing import Any

class Slot:
    seen: int  # how often it was asked for lately, 3 at most
    main: bool  # it stands in the main queue
    def __init__(self, key: Any, size: int, names: tuple[bytes, ...] = ()) -> None: ...
    @property
    def key(self) -> Any: ...
    @property
    def size(self) -> int: ...  # bytes that it counts for
    @property
    def names(self) -> tuple[bytes, ...]: ...  # what it can be found by besides its key
