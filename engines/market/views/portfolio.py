"""What each user has: cash in the account, shares and money in each market, what markets have paid."""

import msgspec

from engines.market.events import (
    BatchReversed,
    BatchSettled,
    Fact,
    FundsDeposited,
    FundsHeld,
    FundsReclaimed,
    FundsRefunded,
    FundsReleased,
    FundsReserved,
    FundsReturned,
    FundsWithdrawn,
    OrderCancelled,
    OrderPlaced,
    TradeExecuted,
)
from engines.market.views.changes import TRADING
from engines.market.views.view import View


class Position(msgspec.Struct):
    """One user in one market."""

    yes: int = 0  # shares
    no: int = 0
    net: int = 0  # cents got less cents paid by trading
    payout: int = 0  # cents paid by the settlement
    orders: dict[str, int] = {}  # open orders -> shares left


class Portfolio(msgspec.Struct):
    """One user."""

    available: int = 0  # cents; below 0: a debt
    reserved: int = 0
    positions: dict[str, Position] = {}  # by market

    def position(self, market: str) -> Position:
        """Return the position in a market, a new one if there was none."""
        found = self.positions.get(market)
        if found is None:
            found = self.positions[market] = Position()
        return found


class Portfolios(View):
    """Be the portfolios of all users."""

    users: dict[str, Portfolio] = msgspec.field(default_factory=dict)

    def of(self, user: str) -> Portfolio:
        """Return a user's portfolio, a new one if there was none."""
        found = self.users.get(user)
        if found is None:
            found = self.users[user] = Portfolio()
        return found


def _came(view: Portfolios, event: FundsDeposited | FundsReleased) -> None:
    view.of(event.user).available += event.amount


def _went(view: Portfolios, event: FundsHeld | FundsRefunded | FundsReclaimed) -> None:
    view.of(event.user).available -= event.amount


def _reserved(view: Portfolios, event: FundsReserved) -> None:
    portfolio = view.of(event.user)
    portfolio.available -= event.amount
    portfolio.reserved += event.amount


def _withdrawn(view: Portfolios, event: FundsWithdrawn) -> None:
    view.of(event.user).reserved -= event.amount


def _returned(view: Portfolios, event: FundsReturned) -> None:
    portfolio = view.of(event.user)
    portfolio.available += event.amount
    portfolio.reserved -= event.amount


def _placed(view: Portfolios, event: OrderPlaced) -> None:
    if event.rest:
        view.of(event.user).position(event.market).orders[event.order] = event.rest


def _traded(view: Portfolios, event: Fact) -> None:
    market = event.market  # type: ignore[attr-defined]  # every event of trading has one
    for user, yes, no, cash in TRADING[type(event)](event):
        position = view.of(user).position(market)
        position.yes += yes
        position.no += no
        position.net += cash


def _executed(view: Portfolios, event: TradeExecuted) -> None:
    _traded(view, event)
    orders = view.of(event.maker).position(event.market).orders
    left = orders[event.maker_order] - event.size
    if left:
        orders[event.maker_order] = left
    else:
        del orders[event.maker_order]


def _cancelled(view: Portfolios, event: OrderCancelled) -> None:
    view.of(event.user).position(event.market).orders.pop(event.order, None)


def _settled(view: Portfolios, event: BatchSettled) -> None:
    for payout in event.payouts:
        view.of(payout.user).position(event.market).payout += payout.amount


def _reversed(view: Portfolios, event: BatchReversed) -> None:
    for payout in event.payouts:
        view.of(payout.user).position(event.market).payout -= payout.amount


Portfolios.folds = {
    FundsDeposited: _came,
    FundsReleased: _came,
    FundsHeld: _went,
    FundsRefunded: _went,
    FundsReclaimed: _went,
    FundsReserved: _reserved,
    FundsWithdrawn: _withdrawn,
    FundsReturned: _returned,
    OrderPlaced: _placed,
    OrderCancelled: _cancelled,
    BatchSettled: _settled,
    BatchReversed: _reversed,
    **dict.fromkeys(TRADING, _traded),
    TradeExecuted: _executed,
}
