"""The market as a domain of the command bus."""

from __future__ import annotations

from typing import Any

import msgspec

from engines import market
from engines.event_sourcing.domain import Domain
from engines.event_sourcing.schema import schema_of
from engines.market.book import Order


class MarketDomain:
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
        return market.restore(market.state_type(stream), image)


MARKET: Domain = MarketDomain()


def command(name: str, id: str, /, **fields: Any) -> market.Command:
    """Return a command of the market."""
    return market.make_command(market.COMMANDS[name], id=id, **fields)


def order(id: str, user: str, **fields: Any) -> market.Command:
    """Return an order of ten YES shares at 40 cents, unless told otherwise."""
    terms: dict[str, Any] = {"side": "buy", "share": "yes", "price": 40, "size": 10, "kind": "limit"}
    return command("PlaceOrder", id, market="m", user=user, **(terms | fields))
