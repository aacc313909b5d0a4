"""Keep several workers running.

The rule it guards: a worker that dies is replaced, ever more slowly if it keeps dying; the sockets live here,
so that no connection attempt is lost meanwhile; a broken configuration never reaches the workers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

from core.config import Config
from core.decode import ConfigInvalid
from gateway.config import load
from gateway.watch import watch_file

log = logging.getLogger("agora")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a dead worker is replaced
STEADY = 10.0  # seconds after which a worker counts as having started well
GRACE = 5.0  # seconds beyond the drain deadline before a worker is killed


class Supervisor:
    """Run workers of one configuration file, one for each set of listening sockets."""

    def __init__(self, file: Path, config: Config, listeners: list[list[socket.socket]]) -> None:
        self.file = file
        self.config = config
        self.listeners = listeners
        self.stopping = asyncio.Event()
        self.workers: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then drain the workers and wait for them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        reloads: set[asyncio.Task[None]] = set()

        def hang_up() -> None:
            task = loop.create_task(self.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, hang_up)
        keepers = [loop.create_task(self._keep(number)) for number in range(len(self.listeners))]
        watcher = loop.create_task(watch_file(self.file, self.reload, self.stopping))
        await self.stopping.wait()
        for worker in self.workers.values():
            if worker.returncode is None:
                worker.terminate()
        for listener in (listener for own in self.listeners for listener in own):
            listener.close()
        drain = float(self.config.server.timeouts.drain) or 3600
        _, late = await asyncio.wait(keepers, timeout=drain + GRACE)
        if late:
            log.error("killing %d workers that did not drain in time", len(late))
            for worker in self.workers.values():
                if worker.returncode is None:
                    worker.kill()
            await asyncio.wait(keepers)
        watcher.cancel()

    async def reload(self) -> None:
        """Have the workers reload, if the file is good."""
        try:
            self.config = await asyncio.to_thread(load, self.file)
        except ConfigInvalid as error:
            for problem in error.problems:
                log.error("reload refused: %s", problem)
            return
        for worker in self.workers.values():
            if worker.returncode is None:
                worker.send_signal(signal.SIGHUP)

    async def _keep(self, number: int) -> None:
        """Run one worker, and another whenever it dies."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            began = loop.time()
            worker = await self._spawn(number)
            code = await worker.wait()
            if self.stopping.is_set():
                return
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("worker %d ended with code %d; starting another in %.1f s", number, code, pause)
            try:
                await asyncio.wait_for(self.stopping.wait(), pause)
            except TimeoutError:
                continue

    async def _spawn(self, number: int) -> asyncio.subprocess.Process:
        descriptors = [listener.fileno() for listener in self.listeners[number]]
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.worker",
            str(self.file),
            str(number),
            *map(str, descriptors),
            pass_fds=descriptors,
            cwd=Path.cwd(),
        )
        self.workers[number] = worker
        log.info("worker %d is process %d", number, worker.pid)
        return worker
