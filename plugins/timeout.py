"""The timeout plugin: how long a route's target may take."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.units import Duration


class Timeout(Plugin):
    """Set how long exchanges may take, in place of what upstream and server say. Too slow is 504."""

    class Config(PluginConfig, frozen=True):
        """Options of timeout; 0: as the upstream or the server says."""

        connect: Annotated[Duration, Meta(description="to connect to the target, TLS included")] = Duration(0)
        first_byte: Annotated[
            Duration, Meta(description="from the request's end to the answer's first byte")
        ] = Duration(0)
        idle: Annotated[Duration, Meta(description="silence within an answer")] = Duration(0)
        total: Annotated[Duration, Meta(description="the whole exchange, from its head to its last byte")] = (
            Duration(0)
        )

    def __init__(self, config: Config, site: Site) -> None:
        self.connect = float(config.connect)
        self.first_byte = float(config.first_byte)
        self.idle = float(config.idle)
        self.total = float(config.total)
        if not any((self.connect, self.first_byte, self.idle, self.total)):
            self.unused = frozenset({"request"})

    def request(self, exchange: Exchange) -> None:
        """Set what is configured."""
        if self.connect:
            exchange.connect_timeout = self.connect
        if self.first_byte:
            exchange.first_byte_timeout = self.first_byte
        if self.idle:
            exchange.idle_timeout = self.idle
        if self.total:
            exchange.total_timeout = self.total
