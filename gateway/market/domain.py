"""The market as a domain of the command bus: engines/market, as engines/event_sourcing asks for it."""

from __future__ import annotations

import msgspec

from engines import market
from engines.event_sourcing.domain import Domain
from engines.event_sourcing.schema import schema_of
from engines.market.book import Order


class MarketDomain:
    """Be the market."""

    name = "market"
    prefixes = ("account-", "market-", "payment-")
    schema = schema_of(market.Account, market.Market, market.Payment, Order, market.Receipt)
    read_command = staticmethod(market.read_command)
    streams_of = staticmethod(market.streams_of)
    initial = staticmethod(market.initial)
    decide = staticmethod(market.decide)
    evolve = staticmethod(market.evolve)
    encode_event = staticmethod(market.encode_event)
    decode_event = staticmethod(market.decode_event)
    encode_receipt = staticmethod(msgspec.msgpack.Encoder().encode)
    decode_receipt = staticmethod(msgspec.msgpack.Decoder(market.Receipt).decode)
    snapshot = staticmethod(market.snapshot)

    @staticmethod
    def restore(stream: str, image: bytes) -> market.State:
        """Return the state of an image."""
        return market.restore(market.state_type(stream), image)


MARKET: Domain = MarketDomain()
