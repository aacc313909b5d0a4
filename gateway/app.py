"""Be an ASGI application: the gateway under any ASGI server, beside the native door.

The rule it guards: nothing is read when this is imported; a configuration is read when the server starts the
application, or at the first request where a server does not. Each event loop has its own data plane, with
the same plans as the native door. ``uvicorn gateway.app:app`` with AGORA_CONFIG set, or `create_app(config)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from core._fast.asgi_door import serve_http
from core._fast.asgi_websocket import serve_websocket
from core.config import Config
from gateway.config import load, named_file
from gateway.control import system_routes
from gateway.data_plane import DataPlane
from gateway.identity import lock_data_dir
from gateway.watch import WatchedFile

log = logging.getLogger("agora")

Message = MutableMapping[str, Any]


class AsgiGateway:
    """Serve HTTP and WebSocket scopes on the data plane of the running loop."""

    def __init__(self, config: Config | str | Path | None = None) -> None:
        self._config = config
        self._planes: dict[asyncio.AbstractEventLoop, asyncio.Task[DataPlane]] = {}
        self._unlock: Callable[[], object] | None = None  # also called when this is forgotten

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one scope."""
        plane = await self.plane()
        serve = serve_http if scope["type"] == "http" else serve_websocket
        await serve(plane.door, scope, receive, send)

    async def plane(self) -> DataPlane:
        """Return the running loop's data plane; the first call on a loop starts it."""
        loop = asyncio.get_running_loop()
        starting = self._planes.get(loop)
        if starting is None:
            starting = self._planes[loop] = loop.create_task(self._start())
        try:
            return await asyncio.shield(starting)
        except Exception:
            self._planes.pop(loop, None)  # the next request tries again
            raise

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start with the server, follow the configuration file, stop with the server."""
        watched = None if isinstance(self._config, Config) else WatchedFile(self._file())
        plane = await self.plane()
        following = asyncio.create_task(self._follow(plane, watched))
        try:
            yield
        finally:
            plane.ready = False
            following.cancel()
            await asyncio.wait({following})
            del self._planes[asyncio.get_running_loop()]
            await plane.close()
            if not self._planes and self._unlock is not None:
                self._unlock()
                self._unlock = None

    # -- private -------------------------------------------------------------------------------------

    async def _start(self) -> DataPlane:
        await self._abandon()
        config = self._config
        if not isinstance(config, Config):
            config = await asyncio.to_thread(load, self._file())
        if self._unlock is None:
            self._unlock = weakref.finalize(self, lock_data_dir(config.server.data_dir, shared=True).close)
        folder = None if isinstance(self._config, Config) else self._file().absolute().parent
        plane = DataPlane(config, folder=folder)
        await plane.start(system_routes)
        return plane

    def _file(self) -> Path:
        return Path(self._config) if isinstance(self._config, str | Path) else named_file()

    async def _follow(self, plane: DataPlane, watched: WatchedFile | None) -> None:
        """Reload when the configuration file changes."""
        if watched is None:
            return

        async def reload() -> None:
            watched.note()
            try:
                await plane.reload(await asyncio.to_thread(load, self._file()))
            except Exception as error:
                log.error("reload refused, the old configuration stays: %s", error)
            else:
                log.info("reloaded %s", self._file())

        await watched.follow(reload, asyncio.Event())

    async def _abandon(self) -> None:
        """Close what was served on loops that are closed by now: nobody told us that they would be."""
        for loop in [loop for loop in self._planes if loop.is_closed()]:
            started = self._planes.pop(loop)
            if started.done() and not started.cancelled() and started.exception() is None:
                try:
                    await started.result().close()
                except Exception:
                    log.debug("a data plane was left behind by its loop", exc_info=True)


def create_app(config: Config | str | Path | None = None) -> Starlette:
    """Return the gateway as a Starlette application.

    ``config`` is a configuration or the path of a file; None: the file that AGORA_CONFIG names, looked up
    when the application starts. Routes added to it stand before the gateway's own. Let the server leave
    forwarding headers alone (uvicorn: ``--no-proxy-headers``): ``server.trusted_proxies`` decides about them.
    """
    gateway = AsgiGateway(config)
    app = Starlette(lifespan=gateway.lifespan)
    app.state.gateway = gateway
    app.router.redirect_slashes = False
    app.router.default = gateway
    return app


app = create_app()
