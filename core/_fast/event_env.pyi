class EventEnv:
    path: str
    read_only: bool
    identity: bytes  # 16 bytes, drawn when the log was made

    def __init__(
        self, path: str, *, map_size: int, make: bool, read_only: bool, now_ns: int, end_ns: int
    ) -> None: ...
    def close(self) -> None: ...
