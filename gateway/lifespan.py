"""Start and stop ASGI applications by the lifespan protocol.

The rule it guards: an application that says it cannot start stops the gateway (or the reload) from going on;
one that does not speak the protocol is fine without it. Start and stop happen in one task, as applications
that hold task groups open between them need. Called by gateway/data_plane; the state goes into the
application's scopes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core.errors import AgoraError

log = logging.getLogger("agora.app")

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
# What an application may answer, and how loudly an exception after it is logged.
ANSWERS = {
    "lifespan.startup.complete": logging.ERROR,
    "lifespan.startup.failed": logging.DEBUG,
    "lifespan.shutdown.complete": logging.ERROR,
    "lifespan.shutdown.failed": logging.DEBUG,
}
SHUTDOWN_SECONDS = 30.0  # then the application's task is cancelled


class AppStartFailed(AgoraError):
    """Refuse to serve with an application that says it cannot start."""

    slug = "app-start-failed"
    title = "An application failed to start"


class Lifespan:
    """Take one application through its life; ``state`` is what it leaves for its requests."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._loudness = logging.DEBUG

    async def startup(self) -> None:
        """Start the application; raise AppStartFailed with what it says, if it cannot."""
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        try:
            answer = await self._ask("startup")
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if answer is None:
            log.debug("an application does not speak the lifespan protocol")
        elif answer["type"] == "lifespan.startup.failed":
            await asyncio.wait({self._task})
            raise AppStartFailed(answer.get("message") or "the application gave no reason")

    async def shutdown(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Stop the application; what goes wrong is logged, and so is taking longer than ``seconds``."""
        if self._task is None or self._task.done():
            return
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask("shutdown")
                if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                    log.error("an application failed to stop: %s", answer.get("message") or "no reason given")
                await asyncio.wait({self._task})
        except TimeoutError:
            log.error("an application took longer than %g seconds to stop", seconds)
            self._task.cancel()
            await asyncio.wait({self._task})
        self._task = None

    async def _ask(self, what: str) -> Message | None:
        """Send an event and return its answer; None: the application's task ended without one."""
        assert self._task is not None
        self._events.put_nowait({"type": f"lifespan.{what}"})
        answering = asyncio.create_task(self._answers.get())
        try:
            await asyncio.wait({answering, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            return None if self._answers.empty() else self._answers.get_nowait()
        finally:
            answering.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._events.get, self._send)
        except Exception:
            # NOTE: an exception at the start says that the application does not speak the protocol; what it
            # failed of it says with startup.failed.
            log.log(self._loudness, "an application left the lifespan protocol", exc_info=True)

    async def _send(self, message: Message) -> None:
        if message["type"] not in ANSWERS:
            raise RuntimeError(f"not an answer of the lifespan protocol: {message['type']!r}")
        self._loudness = ANSWERS[message["type"]]
        self._answers.put_nowait(message)
