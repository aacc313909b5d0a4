from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core._fast.exchange import Target

_Message = MutableMapping[str, Any]
_Application = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]

class App(Target):
    message_limit: int
    compress: bool
    def __init__(
        self,
        name: str,
        application: _Application,
        state: dict[str, Any],
        *,
        message_limit: int = ...,
        compress: bool = False,
    ) -> None: ...
    @property
    def calls(self) -> int: ...
    async def close(self, seconds: float) -> None: ...
