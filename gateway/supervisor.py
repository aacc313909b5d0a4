"""Keep several workers running.

The rule it guards: a worker that dies is replaced, ever more slowly if it keeps dying; the sockets live here,
so that no connection attempt is lost meanwhile; a broken configuration never reaches the workers. What keeps
a worker from its very first start ends the gateway.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.decode import ConfigInvalid
from gateway.config import load
from gateway.leash import Leash
from gateway.watch import WatchedFile

log = logging.getLogger("agora")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a dead worker is replaced
STEADY = 10.0  # seconds after which a worker counts as having started well
GRACE = 5.0  # seconds beyond the drain deadline, or a second signal, before a worker is killed


@dataclass(frozen=True)
class Held:
    """Be a worker's process, and what holds it."""

    process: asyncio.subprocess.Process
    leash: Leash


class Supervisor:
    """Run workers of one configuration file, one for each set of listening sockets."""

    def __init__(
        self, file: Path, config: Config, listeners: list[list[socket.socket]], watched: WatchedFile
    ) -> None:
        self.file = file
        self.watched = watched
        self.config = config
        self.listeners = listeners
        self.stopping = asyncio.Event()
        self.workers: dict[int, Held] = {}
        self._awaited = set(range(len(listeners)))  # workers that have never served yet
        self._tasks: set[asyncio.Task[None]] = set()
        self._code = 0

    async def run(self, ready: Callable[[], None]) -> int:
        """Run until SIGTERM or SIGINT, then drain the workers and wait for them; return the exit code.

        ``ready`` is called when all workers serve. The code is 1 if one of them cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._start(self.reload()))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        keepers = [self._start(self._keep(number, ready)) for number in range(len(self.listeners))]
        watcher = self._start(self.watched.follow(self.reload, self.stopping))
        await self.stopping.wait()
        for listener in (listener for own in self.listeners for listener in own):
            listener.close()
        if drain := float(self.config.server.timeouts.drain):
            loop.call_later(drain + GRACE, self._kill)
        await asyncio.wait(keepers)
        watcher.cancel()
        return self._code

    def stop(self) -> None:
        """Have the workers drain; called again: have them cut what is left."""
        if self.stopping.is_set():
            asyncio.get_running_loop().call_later(GRACE, self._kill)
        self.stopping.set()
        for worker in self._running():
            worker.process.terminate()

    async def reload(self) -> None:
        """Have the workers reload, if the file is good."""
        self.watched.note()
        try:
            self.config = await asyncio.to_thread(load, self.file)
        except ConfigInvalid as error:
            for problem in error.problems:
                log.error("reload refused: %s", problem)
            return
        for worker in self._running():
            worker.leash.reload()

    # -- private -------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _kill(self) -> None:
        """Kill the workers that are still there."""
        late = self._running()
        log.error("killing %d workers that did not end in time", len(late))
        for worker in late:
            worker.process.kill()

    def _running(self) -> list[Held]:
        return [worker for worker in self.workers.values() if worker.process.returncode is None]

    async def _keep(self, number: int, ready: Callable[[], None]) -> None:
        """Run one worker, and another whenever it dies."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            began = loop.time()
            try:
                ended = await self._run_one(number, ready)
            except OSError as error:
                ended = f"cannot be started: {error}"
            if self.stopping.is_set():
                break
            if number in self._awaited:
                log.error("worker %d did not start: it %s", number, ended)
                self._code = 1
                self.stop()
                break
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("worker %d %s; starting another in %.1f s", number, ended, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)

    async def _run_one(self, number: int, ready: Callable[[], None]) -> str:
        """Run one worker until it ends; return how it did."""
        worker = await self._spawn(number)
        if await worker.leash.serving() and number in self._awaited:
            self._awaited.discard(number)
            if not self._awaited:
                ready()
        code = await worker.process.wait()
        worker.leash.close()
        return f"ended with code {code}"

    async def _spawn(self, number: int) -> Held:
        leash = Leash()
        descriptors = [leash.collar.fileno(), *(listener.fileno() for listener in self.listeners[number])]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.worker",
            str(self.file),
            str(number),
            *map(str, descriptors),
            pass_fds=descriptors,
            cwd=Path.cwd(),
            start_new_session=True,  # NOTE: Ctrl-C is for the supervisor, which then has the workers drain
        )
        leash.collar.close()
        worker = self.workers[number] = Held(process, leash)
        log.info("worker %d is process %d", number, process.pid)
        if self.stopping.is_set():
            process.terminate()
        return worker
