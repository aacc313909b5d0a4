"""What trading changes for each user: shares and cash.

The legs of a trade follow from its taker's side and share, by a table.

Called by the views that keep users' positions.
"""

from collections.abc import Callable
from typing import Any

from engines.market.events import Fact, LiquidityTaken, SetsBought, SetsRedeemed, TradeExecuted
from engines.market.money import UNIT

Change = tuple[str, int, int, int]  # user, YES shares, NO shares, cents; less than 0: gives
Leg = tuple[int, int, int, int]  # for each share: YES, NO; times the YES price, units: of cash


def _leg(side: str, share: str) -> Leg:
    sign = 1 if side == "buy" else -1
    return (sign, 0, -sign, 0) if share == "yes" else (0, sign, sign, -sign)


OTHER = {"buy": "sell", "sell": "buy", "yes": "no", "no": "yes"}
# Match and the taker's side and share -> the taker's leg and the maker's.
LEGS: dict[tuple[str, str, str], tuple[int, ...]] = {
    (match, side, share): _leg(side, share)
    + (_leg(OTHER[side], share) if match == "normal" else _leg(side, OTHER[share]))
    for match in ("normal", "mint", "merge")
    for side in ("buy", "sell")
    for share in ("yes", "no")
}


def changes_of_trade(event: TradeExecuted) -> tuple[Change, Change]:
    """Return the taker's change and the maker's."""
    yes, no, priced, units, its_yes, its_no, its_priced, its_units = LEGS[
        event.match, event.side, event.share
    ]
    size = event.size
    price, unit = event.price * size, UNIT * size
    return (
        (event.taker, yes * size, no * size, priced * price + units * unit - event.fee),
        (event.maker, its_yes * size, its_no * size, its_priced * price + its_units * unit),
    )


def changes_of_sets(event: SetsBought | SetsRedeemed) -> tuple[Change]:
    """Return the change of who made sets of shares, or gave them up."""
    size = event.size if type(event) is SetsBought else -event.size
    return ((event.user, size, size, -UNIT * size),)


def changes_of_liquidity(event: LiquidityTaken) -> tuple[Change]:
    """Return the change of who traded with the liquidity maker."""
    yes, no, _, _ = _leg(event.side, event.share)
    cash = -(yes + no) * event.amount - event.fee
    return ((event.user, yes * event.size, no * event.size, cash),)


TRADING: dict[type[Fact], Callable[[Any], tuple[Change, ...]]] = {
    TradeExecuted: changes_of_trade,
    SetsBought: changes_of_sets,
    SetsRedeemed: changes_of_sets,
    LiquidityTaken: changes_of_liquidity,
}
