"""The leader board: what users have won or lost in markets that are settled.

A market counts when its settlement has finished, and no more when that is taken back.
"""

import heapq

import msgspec

from engines.market.events import (
    BatchReversed,
    BatchSettled,
    Fact,
    MarketUnresolved,
    Payout,
    SettlementFinished,
)
from engines.market.views.changes import TRADING
from engines.market.views.view import View


class Result(msgspec.Struct):
    """What one market has brought each user, trading and payouts together."""

    cash: dict[str, int] = {}  # cents
    counted: bool = False


class Leader(msgspec.Struct):
    """One user."""

    user: str
    profit: int = 0  # cents
    markets: int = 0
    won: int = 0  # markets with a profit


class Leaders(View):
    """Be the results of all markets and the users they add up to."""

    results: dict[str, Result] = msgspec.field(default_factory=dict)
    users: dict[str, Leader] = msgspec.field(default_factory=dict)

    def top(self, count: int = 10) -> list[Leader]:
        """Return the users with the highest profit, highest first; at the same profit by id."""
        return heapq.nsmallest(count, self.users.values(), key=lambda it: (-it.profit, it.user))

    def result(self, market: str) -> Result:
        """Return what a market has brought so far."""
        found = self.results.get(market)
        if found is None:
            found = self.results[market] = Result()
        return found

    def count(self, market: str, times: int) -> None:
        """Count a settled market, or no more (-1)."""
        result = self.result(market)
        result.counted = times > 0
        for user, cash in result.cash.items():
            leader = self.users.setdefault(user, Leader(user))
            leader.profit += times * cash
            leader.markets += times
            leader.won += times * (cash > 0)
            if not leader.markets:
                del self.users[user]


def _traded(view: Leaders, event: Fact) -> None:
    total = view.result(event.market).cash  # type: ignore[attr-defined]  # every event of trading has one
    for user, _, _, cash in TRADING[type(event)](event):
        total[user] = total.get(user, 0) + cash


def _pay(view: Leaders, market: str, payouts: tuple[Payout, ...], times: int) -> None:
    cash = view.result(market).cash
    for payout in payouts:
        cash[payout.user] = cash.get(payout.user, 0) + times * payout.amount


def _settled(view: Leaders, event: BatchSettled) -> None:
    _pay(view, event.market, event.payouts, 1)


def _reversed(view: Leaders, event: BatchReversed) -> None:
    _pay(view, event.market, event.payouts, -1)


def _finished(view: Leaders, event: SettlementFinished) -> None:
    view.count(event.market, 1)


def _unresolved(view: Leaders, event: MarketUnresolved) -> None:
    if view.result(event.market).counted:
        view.count(event.market, -1)


Leaders.folds = {
    BatchSettled: _settled,
    BatchReversed: _reversed,
    SettlementFinished: _finished,
    MarketUnresolved: _unresolved,
    **dict.fromkeys(TRADING, _traded),
}
