"""Open the sockets that the gateway listens on.

The rule it guards: every address is bound before a worker starts, by the process that outlives the workers,
so that a worker that dies loses no connection attempt.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable
from errno import EADDRINUSE, EEXIST
from typing import Any

from core.address import ListenAddress
from core.errors import AgoraError

BACKLOG = 4096  # connections that the kernel completes before they are accepted; it caps this itself


class ListenFailed(AgoraError):
    """Say that an address cannot be listened on."""

    slug = "listen-failed"
    title = "Cannot listen"


def open_listeners(addresses: Iterable[ListenAddress], workers: int = 1) -> list[list[socket.socket]]:
    """Bind and listen on every address; return the sockets of each worker.

    Each worker has TCP sockets of its own, so that the kernel shares connections out evenly; they share unix
    sockets. Raises ListenFailed, with none left open, if one cannot be had.
    """
    opened: list[list[socket.socket]] = [[] for _ in range(workers)]
    try:
        for address in addresses:
            made = _open_unix(address.path, workers) if address.path else _open_tcp(address, workers)
            for own, more in zip(opened, made, strict=True):
                own.extend(more)
    except OSError as error:
        for listener in (listener for own in opened for listener in own):
            listener.close()
        hint = "is another program listening there?" if error.errno == EADDRINUSE else "check the address"
        raise ListenFailed(f"cannot listen on {address}: {error.strerror or error}; {hint}") from error
    return opened


def _open_tcp(address: ListenAddress, workers: int) -> list[list[socket.socket]]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places: list[tuple[int, Any]] = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
    # NOTE: a socket that does not share its port finds out whether anybody else has it.
    first = [_bind(family, where, shared=False) for family, where in places]
    if workers == 1:
        return [_listening(first)]
    places = [(listener.family, listener.getsockname()) for listener in first]
    for listener in first:
        listener.close()
    return [
        _listening([_bind(family, where, shared=True) for family, where in places]) for _ in range(workers)
    ]


def _bind(family: int, where: Any, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind(where)
    except OSError:
        listener.close()
        raise
    return listener


def _listening(listeners: list[socket.socket]) -> list[socket.socket]:
    for listener in listeners:
        listener.listen(BACKLOG)
    return listeners


def _open_unix(path: str, workers: int) -> list[list[socket.socket]]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
    except OSError:
        _remove_dead_socket(path)
        listener.bind(path)
    listener.listen(BACKLOG)
    return [[listener], *([listener.dup()] for _ in range(workers - 1))]


def _remove_dead_socket(path: str) -> None:
    """Remove a socket file that nobody listens on any more; anything else stays, and binding fails."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise FileExistsError(EEXIST, "a file that is no socket is there", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(EADDRINUSE, os.strerror(EADDRINUSE), path)


def address_text(listener: socket.socket) -> str:
    """Return where a listener is bound: ``127.0.0.1:8000``, ``[::1]:8000`` or ``unix:/path``."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"
