"""Tie a worker to its supervisor: a pair of sockets, one end each.

The rule it guards: a worker stops when its supervisor is gone, however it went; the supervisor knows when a
worker serves; no reload is lost on a worker that is still starting. Called by gateway/supervisor and
gateway/worker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

SERVING, RELOAD = b"s", b"r"


class Leash:
    """Be the supervisor's end: hear when the worker serves, tell it to reload."""

    def __init__(self) -> None:
        self._socket, self.collar = socket.socketpair()  # the other end, for the worker to inherit
        self._socket.setblocking(False)

    async def serving(self) -> bool:
        """Wait until the worker serves; False: it ended before."""
        with suppress(ConnectionError):
            return await asyncio.get_running_loop().sock_recv(self._socket, 1) == SERVING
        return False

    def reload(self) -> None:
        """Tell the worker to reload, now or when it serves."""
        # NOTE: if there is no room, it has reloads enough to do; if it has died, the next one reads the file.
        with suppress(BlockingIOError, ConnectionError):
            self._socket.send(RELOAD)

    def close(self) -> None:
        """Let go."""
        self._socket.close()


class Collar:
    """Be the worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    def serving(self) -> None:
        """Say that the worker serves."""
        with suppress(ConnectionError):
            self._socket.send(SERVING)

    async def reloads(self) -> AsyncIterator[None]:
        """Yield when reloads are asked for; end when the supervisor is gone."""
        with suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(self._socket, 4096):
                yield
