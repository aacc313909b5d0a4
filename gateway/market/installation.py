"""Put the market on an engine: `install = ["gateway.market.installation:install"]` in [event_sourcing]."""

from __future__ import annotations

from engines.event_sourcing import EventSourcingEngine
from gateway.market.domain import MARKET
from gateway.market.projections import projections
from gateway.market.settlement import settlement_handler


def install(engine: EventSourcingEngine) -> None:
    """Register the market's domain, its tables and what drives its settlements."""
    engine.register(MARKET)
    for projection in projections():
        engine.register_projection(projection)
    engine.register_handler(settlement_handler(engine))
