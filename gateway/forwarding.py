"""Decide whose word about the client's address is believed.

The rule it guards: what ``X-Forwarded-For`` or ``Forwarded`` say counts only when the peer is a trusted
proxy, and then only up to the nearest address that is not one. Called by the doors, for each connection or
request.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from core._fast.headers import Headers

FOR = re.compile(rb'(?:^|[;,])\s*for="?([^";,]+)"?', re.IGNORECASE)


class TrustedProxies:
    """Know the networks of the proxies in front of the gateway."""

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: str) -> bool:
        """Tell whether the peer's word counts; peers on a unix socket are "unix"."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, peer: bytes, headers: Headers) -> bytes:
        """Return the client's address as a trusted peer's headers tell it."""
        client = peer
        for hop in self._hops(headers):
            parsed = _parse(hop.decode("latin-1"))
            if parsed is None:
                break
            client = str(parsed).encode()
            if not any(parsed in network for network in self._networks):
                break
        return client

    @staticmethod
    def _hops(headers: Headers) -> Iterator[bytes]:
        """Yield the addresses told, nearest first."""
        told = headers.get_all(b"x-forwarded-for")
        if told:
            hops = [hop.strip(b" \t") for hop in b",".join(told).split(b",")]
        else:
            hops = FOR.findall(b",".join(headers.get_all(b"forwarded")))
        return reversed(hops)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address, with or without a port; None: it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
