"""The right to run what only one process at a time may: handlers, processes, saving checkpoints.

The rule it guards: it is an OS file lock in the log's directory, so that it frees itself when its holder
dies, however it dies; the next one has it within half a second. It is never lost while it is held. Started by
the engine; the runners wait for it.

NOTE: a lock of `flock` belongs to the open file: a child that is forked, and not made to run another program,
keeps it when its parent dies. One of `fcntl` would be lost as soon as anybody here read the file (`holder`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path

from engines.event_sourcing.clock import Clock, Timer

LOOK_SECONDS = 0.5  # between two tries: one call to the kernel each

logger = logging.getLogger("agora.event_sourcing")


class RunnerLock:
    """Hold a lock file, or wait to."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._descriptor = -1
        self._held = asyncio.Event()
        self._timer: Timer | None = None

    @property
    def held(self) -> bool:
        """Tell whether this process holds it."""
        return self._held.is_set()

    def start(self) -> None:
        """Take the lock, or try until it is free. Raises OSError if the file cannot be opened."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._look()

    def stop(self) -> None:
        """Give the lock up, or the waiting for it. The runners that need it must have stopped before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._held.clear()

    async def wait(self) -> None:
        """Return when the lock is held."""
        await self._held.wait()

    def holder(self) -> int:
        """Return the id of the process that took it last; 0: none ever did."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.path.read_bytes() or b"0")
        return 0

    def _look(self) -> None:
        self._timer = None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                logger.error("the lock of %s cannot be taken: %s", self.path, error)
            self._timer = self._clock.call_later(LOOK_SECONDS, self._look)
            return
        with contextlib.suppress(OSError):  # a full disk: who holds it is not told, that is all
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d" % os.getpid(), 0)
        self._held.set()
