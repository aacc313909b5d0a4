"""The concurrency-limit plugin: so many requests at once from each client."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from core._fast.client_keys import ClientKeys
from core.client_key import ClientKey
from core.errors import Problem
from core.exchange import Exchange, Response
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.table import Name

BUSY = Problem(429, "too-many-at-once", "Too many requests at once", "client", True)
KEY = "concurrency-limit"
Most = Annotated[int, Meta(ge=1, le=1_000_000)]


class UnderWay(dict[bytes, int]):
    """Be the number of exchanges under way by client; one that has none is not in it."""

    __slots__ = ("__weakref__",)


class ConcurrencyLimit(Plugin):
    """Admit so many requests at once from each client.

    A client that has so many under way gets 429. An exchange counts until its response has been sent or has
    failed; a WebSocket until it is closed. Each worker counts for itself: with four workers a client may have
    four times as many under way. Counts belong to the route, or to all rules of one ``shared`` name; a reload
    keeps them.
    """

    class Config(PluginConfig, frozen=True):
        """Options of concurrency-limit."""

        limit: Annotated[Most, Meta(description="requests under way at once from each client, in a worker")]
        by: Annotated[
            ClientKey, Meta(description="what tells clients apart; header:NAME only behind authentication")
        ] = ClientKey("ip")
        missing: Annotated[
            Literal["ip", "together", "unlimited"],
            Meta(description="how requests without the consumer or header are counted"),
        ] = "ip"
        consumers: Annotated[
            dict[str, Most], Meta(description="limits of consumers, by name, in place of limit")
        ] = {}  # noqa: RUF012
        shared: Annotated[
            Name | None, Meta(description="name of counts that several routes' rules share")
        ] = None
        dry_run: Annotated[
            bool, Meta(description="let through what is over the limit, and only count it")
        ] = False
        ipv6_prefix: Annotated[
            int, Meta(ge=16, le=128, description="bits of an IPv6 address that are one client")
        ] = 64

    def __init__(self, config: Config, site: Site) -> None:
        rule = config.shared or site.route or "everywhere"
        scope = f"shared {rule}" if config.shared else f"route {rule} {config.by.lower()}"
        self._keys = ClientKeys(str(config.by), config.missing, config.ipv6_prefix)
        self._under_way: UnderWay = site.shared.setdefault((KEY, scope), UnderWay())
        self._limit, self._consumers, self._dry_run = config.limit, config.consumers, config.dry_run
        self._over = site.metrics.counter(
            "agora_concurrency_limit_over_total",
            "Requests over a limit of requests at once.",
            {"rule": rule, "then": "admit" if config.dry_run else "refuse"},
        )
        self._refusal = Response.problem_of(BUSY)
        self._refusal.headers.set(b"retry-after", b"1")

    def request(self, exchange: Exchange) -> Response | None:
        """Count one more under way, or refuse it."""
        key = self._keys.of(exchange)
        if key is None:
            return None
        count = self._under_way.get(key, 0)
        if count >= self._limit_of(exchange):
            self._over.add()
            if not self._dry_run:
                return self._refusal
        self._under_way[key] = count + 1
        exchange.state[self] = key
        return None

    def log(self, exchange: Exchange) -> None:
        """Count one less."""
        key = exchange.state.get(self)
        if key is None:
            return
        count = self._under_way[key] - 1
        if count:
            self._under_way[key] = count
        else:
            del self._under_way[key]

    def _limit_of(self, exchange: Exchange) -> int:
        """Return the consumer's own limit, or everybody's."""
        consumer = exchange.consumer
        if consumer is None or not self._consumers:
            return self._limit
        return self._consumers.get(getattr(consumer, "name", consumer), self._limit)
