from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core._fast.door import Door
from core._fast.exchange import Downstream

_Message = MutableMapping[str, Any]

class ResponseBroken(Exception): ...

class AsgiSide(Downstream):
    def open(
        self, door: Door, scope: _Message, send: Callable[[_Message], Awaitable[None]], kind: str
    ) -> None: ...
    async def carry(
        self, head: bytes, first: _Message | None, receive: Callable[[], Awaitable[_Message]]
    ) -> None: ...

async def serve_http(
    door: Door,
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None: ...
