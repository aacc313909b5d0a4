"""What a new order gets: the trades with those in the book, the fee, the money each side moves.

The maker's price counts, so any improvement is the taker's. Two orders that meet trade shares (normal), pay
for a new set (mint) or give one up (merge). Only the taker pays a fee: the rate of min(p, 1 - p) for each
share, so that buying one share costs the same fee as selling the other; it is rounded up over the whole
order, not for each trade. Called by orders.
"""

import msgspec

from engines.market.book import Book, Order, yes_price
from engines.market.events import Match
from engines.market.money import fee_basis, fee_of


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One meeting."""

    maker: Order
    match: Match
    price: int  # of YES
    size: int
    fee: int


class Matched(msgspec.Struct, frozen=True):
    """All that a new order meets."""

    trades: list[Trade]
    own: list[Order]  # the taker's own orders, which go
    filled: int
    amount: int  # cents that the taker pays or gets, without fee
    fee: int


def match_of(side: str, share: str, maker: Order) -> Match:
    """Return how a taker's side and share meet a maker's."""
    if share == maker.share:
        return "normal"
    return "mint" if side == "buy" else "merge"


def match_order(book: Book, rate: int, owner: int, side: str, share: str, price: int, size: int) -> Matched:
    """Return what an order of that owner would get; nothing is changed.

    price: of `share`, cents; rate: of the fee, basis points
    """
    book_side = 0 if (side == "buy") == (share == "yes") else 1
    trades: list[Trade] = []
    own: list[Order] = []
    filled = amount = basis = fee = 0
    for maker, at, count in book.match(owner, book_side, yes_price(share, price), size):
        if count == 0:
            own.append(maker)
            continue
        filled += count
        amount += yes_price(share, at) * count
        basis += fee_basis(at) * count
        due = fee_of(rate, basis)
        trades.append(Trade(maker, match_of(side, share, maker), at, count, due - fee))
        fee = due
    return Matched(trades, own, filled, amount, fee)
