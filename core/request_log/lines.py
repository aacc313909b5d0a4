"""Write records as JSON lines to standard output or to a file, besides the log itself.

Rules: never wait longer than a moment for a reader that has stopped reading; what does not fit is dropped
and counted by whole lines. A file that was moved away (log rotation) is opened anew. The request log's writer
thread calls it.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from core.request_log.record import Record, json_line

STANDARD_OUTPUT = "stdout"
PENDING_LIMIT = 4 << 20  # bytes of lines that wait for a slow reader
PATIENCE = 0.1  # seconds for one write() call at most
PIPE_PIECE = select.PIPE_BUF  # a pipe that is ready takes so much at once, undivided


class LineWriter:
    """Be one open destination of JSON lines."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.dropped = 0  # lines
        self._pending = bytearray()
        self._descriptor = -1

    def write(self, records: Iterable[Record]) -> None:
        """Write the records and what waited before them; raise OSError, with the lines still waiting."""
        for record in records:
            if len(self._pending) >= PENDING_LIMIT:
                self.dropped += 1
            else:
                self._pending += json_line(record) + b"\n"
        self._push(time.monotonic() + PATIENCE)

    def close(self) -> None:
        """Give up what still waits and close the destination."""
        self.dropped += self._pending.count(b"\n")
        self._pending.clear()
        self._shut()

    def _push(self, deadline: float) -> None:
        descriptor = self._opened()
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        while self._pending:
            piece = self._pending if regular else self._piece()
            if not regular and not _takes_more(descriptor, deadline):
                return
            del self._pending[: os.write(descriptor, piece)]

    def _piece(self) -> bytes:
        """Return whole lines that a pipe takes undivided, or a part of one line that is too long for that."""
        end = self._pending.rfind(b"\n", 0, PIPE_PIECE) + 1
        return bytes(self._pending[: end or PIPE_PIECE])

    def _opened(self) -> int:
        if self.destination == STANDARD_OUTPUT:
            return sys.__stdout__.fileno() if sys.__stdout__ else 1
        if self._descriptor >= 0 and self._was_moved():
            self._shut()
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self.destination, flags, 0o600)
        return self._descriptor

    def _was_moved(self) -> bool:
        try:
            there = Path(self.destination).stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _takes_more(descriptor: int, deadline: float) -> bool:
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(max(0.0, deadline - time.monotonic()) * 1000))
