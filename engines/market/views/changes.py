"""What trading changes for each user: shares and cash.

The legs of a trade follow from its taker's side and share.

Called by the views that keep users' positions.
"""

from typing import NamedTuple

from engines.market.events import Fact, LiquidityTaken, SetsBought, SetsRedeemed, TradeExecuted
from engines.market.money import UNIT


class Change(NamedTuple):
    """What one user gets; negative: gives."""

    user: str
    yes: int  # shares
    no: int
    cash: int  # cents, fees paid


def changes_of_trade(event: TradeExecuted) -> tuple[Change, Change]:
    """Return the taker's change and the maker's."""
    maker_side, maker_share = event.side, event.share
    if event.match == "normal":
        maker_side = "sell" if event.side == "buy" else "buy"
    else:
        maker_share = "no" if event.share == "yes" else "yes"
    taker = _change(event.taker, event.side, event.share, event.price, event.size, event.fee)
    return taker, _change(event.maker, maker_side, maker_share, event.price, event.size, 0)


def _change(user: str, side: str, share: str, yes_price: int, size: int, fee: int) -> Change:
    sign = 1 if side == "buy" else -1
    price = yes_price if share == "yes" else UNIT - yes_price
    return _shares(user, share, sign * size, -sign * price * size - fee)


def _shares(user: str, share: str, size: int, cash: int) -> Change:
    return Change(user, size, 0, cash) if share == "yes" else Change(user, 0, size, cash)


def changes_of(event: Fact) -> tuple[Change, ...]:
    """Return what an event of trading changes for each user."""
    match event:
        case TradeExecuted():
            return changes_of_trade(event)
        case SetsBought():
            return (Change(event.user, event.size, event.size, -UNIT * event.size),)
        case SetsRedeemed():
            return (Change(event.user, -event.size, -event.size, UNIT * event.size),)
        case LiquidityTaken():
            sign = 1 if event.side == "buy" else -1
            return (_shares(event.user, event.share, sign * event.size, -sign * event.amount - event.fee),)
    return ()


TRADING = (TradeExecuted, SetsBought, SetsRedeemed, LiquidityTaken)
