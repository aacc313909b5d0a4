"""The latest trades of each market and of each user, newest last."""

import msgspec

from engines.market.events import MarketDeleted, TradeExecuted
from engines.market.views.view import View

KEPT = 1_000  # trades of a market
KEPT_OF_USER = 100


class Trades(View):
    """Be the latest trades."""

    by_market: dict[str, list[TradeExecuted]] = msgspec.field(default_factory=dict)
    by_user: dict[str, list[TradeExecuted]] = msgspec.field(default_factory=dict)

    def of_market(self, market: str, count: int = KEPT) -> list[TradeExecuted]:
        """Return the latest trades of a market, newest first."""
        return self.by_market.get(market, [])[: -count - 1 : -1]

    def of_user(self, user: str, count: int = KEPT_OF_USER) -> list[TradeExecuted]:
        """Return a user's latest trades, as taker or maker, newest first."""
        return self.by_user.get(user, [])[: -count - 1 : -1]


def _keep(kept: dict[str, list[TradeExecuted]], key: str, event: TradeExecuted, count: int) -> None:
    trades = kept.setdefault(key, [])
    trades.append(event)
    if len(trades) >= count + count // 4:  # PERF: cut seldom, so that a trade costs the same on average
        del trades[:-count]


def _executed(view: Trades, event: TradeExecuted) -> None:
    _keep(view.by_market, event.market, event, KEPT)
    _keep(view.by_user, event.taker, event, KEPT_OF_USER)
    _keep(view.by_user, event.maker, event, KEPT_OF_USER)


def _deleted(view: Trades, event: MarketDeleted) -> None:
    view.by_market.pop(event.market, None)


Trades.folds = {TradeExecuted: _executed, MarketDeleted: _deleted}
