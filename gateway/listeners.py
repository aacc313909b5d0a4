"""Open the sockets that the gateway listens on.

The rule it guards: every address is bound before a worker starts, by the process that outlives the workers,
so that a worker that dies loses no connection attempt.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable

from core.address import ListenAddress
from core.errors import AgoraError

BACKLOG = 4096  # connections that the kernel completes before they are accepted; it caps this itself


class ListenFailed(AgoraError):
    """Say that an address cannot be listened on."""

    slug = "listen-failed"
    title = "Cannot listen"


def open_listeners(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
    """Bind and listen on every address; raise ListenFailed, with none left open, if one cannot be had."""
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            opened += _open_unix(address.path) if address.path else _open_tcp(address)
    except OSError as error:
        for listener in opened:
            listener.close()
        hint = "is another program listening there?" if error.errno == 98 else "check the address"
        raise ListenFailed(f"cannot listen on {address}: {error.strerror or error}; {hint}") from error
    return opened


def _open_tcp(address: ListenAddress) -> list[socket.socket]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened = []
    for family, kind, protocol, _, where in dict.fromkeys(found):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        opened.append(listener)
    return opened


def _open_unix(path: str) -> list[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
    except OSError:
        _remove_dead_socket(path)
        listener.bind(path)
    listener.listen(BACKLOG)
    return [listener]


def _remove_dead_socket(path: str) -> None:
    """Remove a socket file that nobody listens on any more; anything else stays, and binding fails."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise FileExistsError(17, "a file that is no socket is there", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(98, "another program listens there", path)


def address_text(listener: socket.socket) -> str:
    """Return where a listener is bound: ``127.0.0.1:8000``, ``[::1]:8000`` or ``unix:/path``."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"
