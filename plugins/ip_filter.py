"""The ip-filter plugin: which clients' addresses may come in."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from core.address import Network
from core.exchange import Exchange, Response
from core.plugin import Plugin, PluginConfig
from core.site import Site

REMEMBERED = 4096  # addresses whose verdict is kept
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class IpFilter(Plugin):
    """Refuse clients by their address: 403 for those in ``deny`` and, if there is ``allow``, outside of it.

    The client is who a trusted proxy says it is, else who connects. An IPv4 address inside IPv6 counts as the
    IPv4 address. What has no address (a unix socket) comes in only where ``allow`` is empty.
    """

    class Config(PluginConfig, frozen=True):
        """Options of ip-filter."""

        allow: Annotated[
            tuple[Network, ...], Meta(description="networks that may come in; left out: all of them")
        ] = ()
        deny: Annotated[
            tuple[Network, ...], Meta(description="networks that may not, even inside allow")
        ] = ()

    def __init__(self, config: Config, site: Site) -> None:
        self.allow = RangeSet(network.range for network in config.allow) if config.allow else None
        self.deny = RangeSet(network.range for network in config.deny)
        self.refusal = Response.refusal(403, "address-refused", "The client's address is not allowed here")
        self.verdicts: dict[bytes, bool] = {}
        # NOTE: on every route it acts before a route is looked for; on one route it can only act after.
        self.unused = frozenset({"accept"} if site.route else {"request"})

    def accept(self, exchange: Exchange) -> Response | None:
        """Refuse before a route is looked for."""
        return self.request(exchange)

    def request(self, exchange: Exchange) -> Response | None:
        """Refuse on a route."""
        client = exchange.client_bytes
        verdict = self.verdicts.get(client)
        if verdict is None:
            # PERF: found in 0.1 us, made in 3 (bench/plugin_call.py). Clearing bounds the memory.
            if len(self.verdicts) >= REMEMBERED:
                self.verdicts.clear()
            verdict = self.verdicts[client] = self.admits(exchange.client)
        return None if verdict else self.refusal

    def admits(self, client: str) -> bool:
        """Tell whether an address may come in."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return self.allow is None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address not in self.deny and (self.allow is None or address in self.allow)


class RangeSet:
    """Hold networks so that an address is found in a time that hardly grows with their number."""

    def __init__(self, networks: Iterable[Range]) -> None:
        by_version: dict[int, list[Range]] = {4: [], 6: []}
        for network in map(_unmapped, networks):
            by_version[network.version].append(network)
        self._borders = {version: _borders(found) for version, found in by_version.items()}

    def __contains__(self, address: Address) -> bool:
        # NOTE: starts and ends take turns, so an odd number of them at or before it means: inside.
        return bisect_right(self._borders[address.version], int(address)) % 2 == 1


def _unmapped(network: Range) -> Range:
    """Return the IPv4 network that an IPv6 network inside ::ffff:0:0/96 stands for, or the network itself."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((int(mapped), network.prefixlen - 96))


def _borders(networks: list[Range]) -> list[int]:
    """Return where the union of networks of one version begins, ends, begins again, and so on."""
    borders: list[int] = []
    for network in sorted(networks, key=lambda network: int(network.network_address)):
        start, end = int(network.network_address), int(network.broadcast_address) + 1
        if borders and start <= borders[-1]:
            borders[-1] = max(borders[-1], end)
        else:
            borders += (start, end)
    return borders
