from collections.abc import MutableMapping
from typing import Any

from core._fast.exchange import Handler

class AppRun(Handler): ...

class HttpRun(AppRun):
    async def receive(self) -> dict[str, Any]: ...
    async def send(self, message: MutableMapping[str, Any]) -> None: ...
