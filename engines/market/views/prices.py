"""The history of prices: first, highest, lowest and last of each minute in which a market traded."""

import msgspec

from engines.market.events import LiquidityTaken, MarketDeleted, TradeExecuted
from engines.market.views.view import View

MINUTE = 60_000_000_000  # ns


class Candle(msgspec.Struct, array_like=True, gc=False):
    """What was traded in a span of time. Prices are of YES, cents."""

    start: int  # ns since the epoch
    first: int
    high: int
    low: int
    last: int
    volume: int  # shares

    def add(self, other: "Candle") -> None:
        """Take in what came after."""
        self.high, self.low = max(self.high, other.high), min(self.low, other.low)
        self.last = other.last
        self.volume += other.volume


class Prices(View):
    """Be the minutes of all markets, oldest first."""

    minutes: dict[str, list[Candle]] = msgspec.field(default_factory=dict)

    def candles(self, market: str, minutes: int = 1, after: int = 0) -> list[Candle]:
        """Return the candles of a market in spans of so many minutes, from `after` ns since the epoch on."""
        span, found = minutes * MINUTE, list[Candle]()
        for minute in self.minutes.get(market, ()):
            start = minute.start - minute.start % span
            if start < after:
                continue
            if found and found[-1].start == start:
                found[-1].add(minute)
            else:
                found.append(Candle(start, minute.first, minute.high, minute.low, minute.last, minute.volume))
        return found


def _traded(view: Prices, event: TradeExecuted | LiquidityTaken) -> None:
    minutes = view.minutes.setdefault(event.market, [])
    start = event.at - event.at % MINUTE
    candle = Candle(start, event.price, event.price, event.price, event.price, event.size)
    if minutes and minutes[-1].start == start:
        minutes[-1].add(candle)
    else:
        minutes.append(candle)


def _deleted(view: Prices, event: MarketDeleted) -> None:
    view.minutes.pop(event.market, None)


Prices.folds = {TradeExecuted: _traded, LiquidityTaken: _traded, MarketDeleted: _deleted}
