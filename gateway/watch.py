"""Notice that the configuration file has changed, by looking at it.

The rule it guards: no change is missed, from the moment that the file was first read; files are followed that
are written into, that are replaced, and that are links which come to lead elsewhere. Called by the worker, or
by the supervisor of several.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

LOOK = 0.25  # seconds between two looks; what has changed is read when it is the same in two of them

# NOTE: notices of changes from the system are not used: they tell of folders, not of what a chain of links
# leads to, there is none for what changed before they were asked for, and some file systems send none.


class WatchedFile:
    """Know whether a file has changed since it was last read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.note()

    def note(self) -> None:
        """Take note that the file is read now."""
        self._known = self._stamp()

    async def follow(self, changed: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Call ``changed``, which takes note, after each change, until ``stop`` is set."""
        last = self._known
        while not stop.is_set():
            await asyncio.sleep(LOOK)
            stamp = await asyncio.to_thread(self._stamp)
            if stamp and stamp == last != self._known:
                await changed()
            last = stamp

    def _stamp(self) -> tuple[int, ...]:
        """Return what is different when the file has changed; nothing while there is none."""
        try:
            status = os.stat(self._file)
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
