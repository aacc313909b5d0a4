from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core._fast.asgi_door import AsgiSide
from core._fast.door import Door

_Message = MutableMapping[str, Any]

class AsgiWebSocket(AsgiSide): ...

async def serve_websocket(
    door: Door,
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None: ...
