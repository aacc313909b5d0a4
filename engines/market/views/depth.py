"""The order books for people to look at: how many shares wait at which YES price."""

import msgspec

from engines.market.book import BID, SIDES, yes_price
from engines.market.events import MarketDeleted, OrderCancelled, OrderPlaced, TradeExecuted
from engines.market.views.view import View


class Waiting(msgspec.Struct, gc=False):
    """An order in the book."""

    side: int  # BID or ASK
    price: int  # of YES
    left: int  # shares


class Level(msgspec.Struct, gc=False):
    """One price of one side."""

    size: int = 0  # shares
    orders: int = 0


class MarketDepth(msgspec.Struct):
    """The book of one market."""

    orders: dict[str, Waiting] = {}
    levels: tuple[dict[int, Level], dict[int, Level]] = msgspec.field(default_factory=lambda: ({}, {}))

    def side(self, side: int, count: int = 99) -> list[tuple[int, int, int]]:
        """Return YES price, shares and number of orders of the best prices, best first."""
        prices = sorted(self.levels[side], reverse=side == BID)[:count]
        return [(price, self.levels[side][price].size, self.levels[side][price].orders) for price in prices]

    def change(self, waiting: Waiting, size: int, orders: int) -> None:
        """Add to the price of an order, or take from it."""
        levels = self.levels[waiting.side]
        level = levels.get(waiting.price)
        if level is None:
            level = levels[waiting.price] = Level()
        level.size += size
        level.orders += orders
        if not level.orders:
            del levels[waiting.price]


class Depth(View):
    """Be the books of all markets."""

    markets: dict[str, MarketDepth] = msgspec.field(default_factory=dict)


def _placed(view: Depth, event: OrderPlaced) -> None:
    # NOTE: what trades at once never waits, so that only the rest counts here.
    if event.rest:
        side = SIDES[event.side, event.share]
        waiting = Waiting(side, yes_price(event.share, event.price), event.rest)
        depth = view.markets.get(event.market)
        if depth is None:
            depth = view.markets[event.market] = MarketDepth()
        depth.orders[event.order] = waiting
        depth.change(waiting, event.rest, 1)


def _executed(view: Depth, event: TradeExecuted) -> None:
    depth = view.markets[event.market]
    waiting = depth.orders[event.maker_order]
    waiting.left -= event.size
    if waiting.left:
        depth.change(waiting, -event.size, 0)
    else:
        depth.change(waiting, -event.size, -1)
        del depth.orders[event.maker_order]


def _cancelled(view: Depth, event: OrderCancelled) -> None:
    depth = view.markets.get(event.market)
    waiting = depth.orders.pop(event.order, None) if depth is not None else None
    if depth is not None and waiting is not None:
        depth.change(waiting, -waiting.left, -1)


def _deleted(view: Depth, event: MarketDeleted) -> None:
    view.markets.pop(event.market, None)


Depth.folds = {
    OrderPlaced: _placed,
    TradeExecuted: _executed,
    OrderCancelled: _cancelled,
    MarketDeleted: _deleted,
}
