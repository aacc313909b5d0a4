"""Run one worker: the native door on the sockets it is given, until it is told to stop.

The rule it guards: SIGTERM drains (no new connections, exchanges finish, up to a deadline), a second one cuts
what is left; SIGHUP reloads. With one worker, `agora serve` is the worker; with more, each is a process of
its own, started by the supervisor as ``python -m gateway.worker``, and stops when the supervisor is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Protocol, cast

import uvloop

from core.config import Config
from core.decode import ConfigInvalid
from core.errors import AgoraError
from gateway.config import load
from gateway.control import system_routes
from gateway.data_plane import DataPlane, worker_count
from gateway.leash import Collar
from gateway.listeners import BACKLOG
from gateway.logs import configure_logs
from gateway.tls import RenewableContext, renewable_context, server_context
from gateway.watch import WatchedFile

log = logging.getLogger("agora")
TURN = 0.0005  # seconds that a thread (a reload, the request log's) keeps requests waiting; Python's: 0.005


class Closable(Protocol):
    """Be what accepts connections, until it is closed."""

    def close(self) -> None:
        """Accept no more."""


class Worker:
    """Serve a configuration file on listening sockets; reload it when it changes, if it is watched."""

    def __init__(
        self,
        file: Path,
        config: Config,
        listeners: list[socket.socket],
        number: int = 0,
        watched: WatchedFile | None = None,
    ) -> None:
        self.file = file
        self.watched = watched
        self.config = config
        self.listeners = listeners
        self.number = number
        self.stopping = asyncio.Event()
        self._drained = asyncio.Event()  # or waiting for it is over
        self._tls: RenewableContext | None = None
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None] | None = None, collar: Collar | None = None) -> None:
        """Serve until SIGTERM or SIGINT, or until the supervisor at the other end of the collar is gone."""
        loop = asyncio.get_running_loop()
        async with self._reloading:
            loop.add_signal_handler(signal.SIGHUP, self.reload_soon)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
            self.plane = DataPlane(
                self.config,
                worker=self.number,
                workers=worker_count(self.config.server),
                folder=self.file.absolute().parent,
            )
            await self.plane.start(system_routes)
        servers = [await self._listen(listener) for listener in self.listeners]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if self.watched is not None:
            self._start(self.watched.follow(self.reload, self.stopping))
        if collar is not None:
            self._start(self._obey(collar))
        # PERF: what was made at start-up lives on; keep the collector from walking it (bench: fixed answer)
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        sys.setswitchinterval(TURN)
        if ready is not None:
            ready()
        await self.stopping.wait()
        await self._drain(servers)

    def stop(self) -> None:
        """Drain; called again: cut what is left."""
        if self.stopping.is_set():
            self._drained.set()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)  # the next one ends the process
        self.stopping.set()

    def reload_soon(self) -> None:
        """Reload in the background."""
        self._start(self.reload())

    async def reload(self) -> None:
        """Read the file and put it in force, or log why not and keep what is."""
        async with self._reloading:
            try:
                if self.watched is not None:
                    self.watched.note()
                config = await asyncio.to_thread(load, self.file)
                fixed = _settings_fixed_at_start(self.config, config)
                if fixed:
                    log.warning("restart the gateway for changes of %s to take effect", ", ".join(fixed))
                tls = server_context(config.server.tls) if config.server.tls is not None else None
                await self.plane.reload(config)
                if self._tls is not None and tls is not None:
                    self._tls.current = tls
            except ConfigInvalid as error:
                for problem in error.problems:
                    log.error("reload refused: %s", problem)
            except AgoraError as error:
                log.error("reload refused: %s", error)
            except Exception:
                log.exception("reload refused: it failed")
            else:
                self.config = config
                log.info("reloaded %s", self.file)

    # -- private -------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, collar: Collar) -> None:
        collar.serving()
        async for _ in collar.reloads():
            await self.reload()
        log.error("the supervisor is gone: worker %d stops", self.number)
        self.stopping.set()

    async def _listen(self, listener: socket.socket) -> Closable:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        tls = self.config.server.tls
        if tls is not None and listener.family != socket.AF_UNIX:
            self._tls = self._tls or renewable_context(tls)
            timeout = float(self.config.server.timeouts.head) or None
            return await loop.create_server(
                cast(Callable[[], asyncio.Protocol], self.plane.door.protocol),
                sock=listener,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=timeout,
                start_serving=True,
            )
        return self.plane.reactor.listen(listener, self.plane.door.protocol)

    async def _drain(self, servers: list[Closable]) -> None:
        """Let exchanges finish, up to the deadline; then cut what is left."""
        log.info("draining %d connections", self.plane.door.connections)
        self.plane.ready = False
        for server in servers:
            server.close()
        for listener in self.listeners:
            listener.close()
        door = self.plane.door
        door.drain(self._drained.set)
        try:
            async with asyncio.timeout(float(self.config.server.timeouts.drain) or None):
                await self._drained.wait()
        except TimeoutError:
            log.warning("the deadline for draining has passed")
        if door.connections:
            log.warning("cutting %d connections", door.connections)
            empty = asyncio.Event()
            door.abort()
            door.drain(empty.set)
            await empty.wait()
        for task in self._tasks:
            task.cancel()
        await self.plane.close()


def _settings_fixed_at_start(old: Config, new: Config) -> list[str]:
    """Name the settings that changed but are read once, at start."""
    keys = ("listen", "workers", "data_dir", "name")
    changed = [f"server.{key}" for key in keys if getattr(old.server, key) != getattr(new.server, key)]
    changed += [key for key in ("event_log", "event_sourcing") if getattr(old, key) != getattr(new, key)]
    if (old.server.tls is None) != (new.server.tls is None):
        changed.append("server.tls")
    return changed


def raise_file_limit() -> None:
    """Allow as many open files as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Be one of several workers: ``python -m gateway.worker FILE NUMBER COLLAR LISTENER...``."""
    parser = argparse.ArgumentParser(description="Run one worker of `agora serve`.")
    parser.add_argument("file", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("collar", type=int)
    parser.add_argument("listener", type=int, nargs="+")
    options = parser.parse_args()
    configure_logs()
    raise_file_limit()
    listeners = [socket.socket(fileno=descriptor) for descriptor in options.listener]
    try:
        config = load(options.file)

        async def work() -> None:
            worker = Worker(options.file, config, listeners, options.number)
            await worker.run(collar=Collar(options.collar))

        uvloop.run(work())
    except AgoraError as error:
        log.error("worker %d cannot start: %s", options.number, error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
