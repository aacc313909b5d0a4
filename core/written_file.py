"""Tell at once when a file is written, by this process or by another one of the machine.

The rule it guards: nothing is polled; the kernel tells (inotify). A call says that something was written
since the last one, not what or how often: whoever is called looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

IN_MODIFY = 0x2
AT_ONCE = 65536  # bytes of notices read at once


class WrittenFile:
    """Call a function on the running loop after a file was written; raise OSError if it cannot be seen."""

    def __init__(self, path: Path, written: Callable[[], object]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._loop = asyncio.get_running_loop()
        self._written = written
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            self._fail(path)
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_MODIFY) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            ctypes.set_errno(number)
            self._fail(path)
        self._loop.add_reader(self._descriptor, self._notice)

    def close(self) -> None:
        """Watch no more."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _notice(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._descriptor, AT_ONCE)) == AT_ONCE:
                pass
        self._written()

    @staticmethod
    def _fail(path: Path) -> None:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
