"""The list of markets: what is asked, where each stands, its last price and how much was traded."""

import msgspec

from engines.market.events import (
    BatchReversed,
    BatchSettled,
    LiquidityTaken,
    MarketClosed,
    MarketCreated,
    MarketDeleted,
    MarketOpened,
    MarketResolved,
    MarketUnresolved,
    MarketUpdated,
    MarketVoided,
    SettlementFinished,
    SettlementStarted,
    TradeExecuted,
)
from engines.market.views.view import View


class MarketRow(msgspec.Struct):
    """One market."""

    market: str
    question: str
    status: str
    fee: int  # basis points
    created: int  # ns since the epoch
    closes_at: int
    price: int = 0  # of YES, cents; 0: nothing was traded
    volume: int = 0  # shares
    turnover: int = 0  # cents: YES price times shares
    trades: int = 0
    settled: int = 0  # holders paid and not taken back
    yes: int = 0  # weights of the answer; both 0: none, or void
    no: int = 0


class Markets(View):
    """Be all markets by id."""

    rows: dict[str, MarketRow] = msgspec.field(default_factory=dict)


def _created(view: Markets, event: MarketCreated) -> None:
    view.rows[event.market] = MarketRow(
        event.market, event.question, "created", event.fee, event.at, event.closes_at
    )


def _updated(view: Markets, event: MarketUpdated) -> None:
    view.rows[event.market].question = event.question


def _resolved(view: Markets, event: MarketResolved) -> None:
    row = view.rows[event.market]
    row.status, row.yes, row.no = "resolved", event.yes, event.no


def _opened(view: Markets, event: MarketOpened) -> None:
    view.rows[event.market].status = "open"


def _closed(view: Markets, event: MarketClosed) -> None:
    view.rows[event.market].status = "closed"


def _voided(view: Markets, event: MarketVoided) -> None:
    view.rows[event.market].status = "voided"


def _started(view: Markets, event: SettlementStarted) -> None:
    view.rows[event.market].status = "settling"


def _finished(view: Markets, event: SettlementFinished) -> None:
    view.rows[event.market].status = "settled"


def _deleted(view: Markets, event: MarketDeleted) -> None:
    del view.rows[event.market]


def _unresolved(view: Markets, event: MarketUnresolved) -> None:
    row = view.rows[event.market]
    row.status, row.yes, row.no = "reversing" if row.settled else "closed", 0, 0


def _settled(view: Markets, event: BatchSettled) -> None:
    view.rows[event.market].settled = event.end


def _reversed(view: Markets, event: BatchReversed) -> None:
    row = view.rows[event.market]
    row.settled = event.start
    if event.start == 0:
        row.status = "closed"


def _traded(view: Markets, event: TradeExecuted | LiquidityTaken) -> None:
    row = view.rows[event.market]
    row.price = event.price
    row.volume += event.size
    row.turnover += event.price * event.size
    row.trades += 1


Markets.folds = {
    MarketCreated: _created,
    MarketUpdated: _updated,
    MarketOpened: _opened,
    MarketClosed: _closed,
    MarketResolved: _resolved,
    MarketVoided: _voided,
    MarketUnresolved: _unresolved,
    MarketDeleted: _deleted,
    SettlementStarted: _started,
    BatchSettled: _settled,
    SettlementFinished: _finished,
    BatchReversed: _reversed,
    TradeExecuted: _traded,
    LiquidityTaken: _traded,
}
