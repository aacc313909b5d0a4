from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core._fast.door import Door
from core._fast.exchange import Downstream

_Message = MutableMapping[str, Any]

class ResponseBroken(Exception): ...
class AsgiSide(Downstream): ...

async def serve_http(
    door: Door,
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None: ...
