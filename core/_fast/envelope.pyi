from collections.abc import Iterable
from typing import Any, final
from uuid import UUID

from typing_extensions import Buffer

BYTES: int  # codecs of an event's data
MSGPACK: int
JSON: int
ENCRYPTED: int  # added to one of them
NAME_LIMIT: int  # bytes of UTF-8 of a stream's name, a type, a tag or an actor
TAG_LIMIT: int  # tags of one event
DATA_LIMIT: int  # bytes of an event's data

class Envelope:
    @property
    def id(self) -> UUID: ...
    @property
    def id_bytes(self) -> bytes: ...
    @property
    def type(self) -> str: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def correlation_id(self) -> UUID | None: ...
    @property
    def causation_id(self) -> UUID | None: ...
    @property
    def actor(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def codec(self) -> int: ...
    @property
    def sealed(self) -> bool: ...
    @property
    def data(self) -> bytes: ...
    def value(self) -> Any: ...

@final
class Event(Envelope):
    @property
    def position(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def record(self) -> bytes: ...
    @property
    def previous_hash(self) -> bytes: ...
    @property
    def previous_position(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    def opened(self, data: bytes) -> Event: ...

@final
class Draft(Envelope):
    def __init__(
        self,
        type: str,
        data: bytes,
        *,
        codec: int = ...,
        id: bytes | UUID | None = None,
        schema_version: int = 1,
        tags: Iterable[str] = (),
        actor: str = "",
        correlation_id: bytes | UUID | None = None,
        causation_id: bytes | UUID | None = None,
        time_ns: int | None = None,
    ) -> None: ...
    @property
    def time_ns(self) -> int | None: ...
    def finish(
        self,
        stream: str,
        position: int,
        version: int,
        time_ns: int,
        previous_hash: bytes | None = None,
        previous_position: int = 0,
    ) -> Event: ...

def read_event(record: Buffer, verify: bool = True, *, position: int = 0) -> Event: ...
def finish_repeatedly(draft: Draft, stream: str, times: int) -> Event: ...
