from collections.abc import MutableMapping
from typing import Any

from core._fast.app_run import AppRun

class WebSocketRun(AppRun):
    async def receive(self) -> dict[str, Any]: ...
    async def send(self, message: MutableMapping[str, Any]) -> None: ...
