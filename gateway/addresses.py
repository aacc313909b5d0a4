"""Follow the addresses of one upstream server: a name is looked up anew as time goes by.

The rule it guards: new connections go to what the name stands for now, also after a failure; while lookups
fail, the last answer stays in use. Called by core/_fast/upstream.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket

from core.address import TargetUrl

log = logging.getLogger("agora.upstream")
Address = tuple[str, int] | str


class FixedAddress:
    """Stand for a server that is named by its IP address or unix socket."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def pick(self) -> Address:
        """Return the address."""
        return self._address

    def current(self, address: Address) -> bool:
        """Tell that the address is still right."""
        return True

    def failed(self) -> None:
        """Take note of a failed connect: there is nothing else to try."""

    def close(self) -> None:
        """Stop: nothing runs."""


class NamedAddress:
    """Stand for a server that is named by a host name, looked up every ``refresh`` seconds (0: once)."""

    def __init__(self, host: str, port: int, refresh: float) -> None:
        self._host = host
        self._port = port
        self._refresh = refresh
        self._found: list[Address] = []
        self._turn = 0
        self._lookup: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def pick(self) -> Address:
        """Return the next address in turn; raise OSError if the name has never been found."""
        if not self._found:
            await self._look_up_once()
        self._turn = (self._turn + 1) % len(self._found)
        return self._found[self._turn]

    def current(self, address: Address) -> bool:
        """Tell whether the name still stands for this address."""
        return address in self._found

    def failed(self) -> None:
        """Look the name up again soon: it may have moved."""
        if self._found and (self._lookup is None or self._lookup.done()):
            self._lookup = asyncio.get_running_loop().create_task(self._refresh_now())

    def close(self) -> None:
        """Stop looking the name up."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up_once(self) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses: list[Address] = list(dict.fromkeys((str(entry[4][0]), self._port) for entry in found))
        if addresses:
            self._found = addresses
        if self._refresh and not self._closed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._refresh, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.get_running_loop().create_task(self._refresh_now())

    async def _refresh_now(self) -> None:
        try:
            await self._look_up_once()
        except OSError as error:
            log.warning("cannot look up %s, keeping its last addresses: %s", self._host, error)
            if self._refresh and not self._closed and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._refresh, self._due)


def addresses_of(url: TargetUrl, refresh: float) -> FixedAddress | NamedAddress:
    """Return what finds the address of a server's URL; ``refresh`` in seconds."""
    if url.path:
        return FixedAddress(url.path)
    try:
        ipaddress.ip_address(url.host)
    except ValueError:
        return NamedAddress(url.host, url.port, refresh)
    return FixedAddress((url.host, url.port))
