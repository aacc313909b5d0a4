"""What orders and trades do to a market: its ledger and its book.

A new order holds its money or its shares first; each trade then moves them; when its last trade is done,
its rest goes into the book. So after every single event escrow covers all sets, what is held is what the
open orders hold, and the book is not crossed. Called by `evolve`.
"""

from engines.market.book import Order, yes_price
from engines.market.decision import Receipt
from engines.market.events import OrderCancelled, OrderPlaced, TradeExecuted
from engines.market.ledger import add_shares
from engines.market.market import Market


def place_receipt(event: OrderPlaced) -> Receipt:
    """Return the answer to an accepted order."""
    if event.filled == event.size:
        status = "filled"
    elif event.rest:
        status = "partly filled" if event.filled else "resting"
    else:
        status = "cancelled"
    return Receipt(event.order, status, event.filled, event.rest, event.amount, event.fee, event.user)


def cancel_receipt(event: OrderCancelled) -> Receipt:
    """Return the answer to who cancelled an order."""
    return Receipt(event.order, "cancelled", amount=event.released, user=event.user)


def evolve_placed(market: Market, event: OrderPlaced) -> None:
    """Hold what the order needs; let it rest at once if it met nobody."""
    holding = market.ledger.holding(event.user)
    order = Order(
        event.order, event.number, event.user, holding.number, event.side, event.share, event.price,
        event.size, event.rest, event.held,
    )  # fmt: skip
    if event.side == "buy":
        market.ledger.move("outside", "held", event.held)
    else:
        add_shares(holding.free, order.kind, -event.size)
        add_shares(holding.held, order.kind, event.size)
    market.orders = event.number
    market.book.enter(order)
    if event.rest == event.size:
        market.book.rest(order)
    market.receipts.add(event.command, place_receipt(event))


def evolve_executed(market: Market, event: TradeExecuted) -> None:
    """Move money and shares between the two orders, the escrow and the fees."""
    taker, maker = market.book.get(event.taker_order), market.book.get(event.maker_order)
    assert taker is not None, event
    assert maker is not None, event
    ledger, size = market.ledger, event.size
    if event.match == "merge":
        ledger.merge("clearing", size)
    # NOTE: who buys pays in before who sells is paid out: clearing is never negative.
    first, second = (taker, maker) if taker.side == "buy" else (maker, taker)
    for order in (first, second):
        _settle_leg(market, order, event, event.fee if order is taker else 0)
    if event.match == "mint":
        ledger.mint("clearing", size)
    market.trades = event.number
    market.book.reduce(maker, size)
    taker.left -= size
    if taker.left == taker.rest:
        if taker.rest:
            market.book.rest(taker)
        else:
            market.book.forget(taker)


def _settle_leg(market: Market, order: Order, event: TradeExecuted, fee: int) -> None:
    """Pay for the shares of a buy out of what it holds, or pay the user of a sell."""
    ledger = market.ledger
    holding = ledger.holdings[order.user]
    amount = yes_price(order.share, event.price) * event.size
    if order.side == "buy":
        ledger.move("held", "clearing", amount)
        ledger.move("held", "fees", fee)
        order.held -= amount + fee
        add_shares(holding.free, order.kind, event.size)
        holding.net += amount + fee
    else:
        ledger.move("clearing", "fees", fee)
        ledger.move("clearing", "outside", amount - fee)
        add_shares(holding.held, order.kind, -event.size)
        holding.net -= amount - fee


def evolve_cancelled(market: Market, event: OrderCancelled) -> None:
    """Give back what the order held."""
    order = market.book.get(event.order)
    assert order is not None, event
    if order.side == "buy":
        market.ledger.move("held", "outside", event.released)
    else:
        holding = market.ledger.holdings[order.user]
        add_shares(holding.held, order.kind, -order.left)
        add_shares(holding.free, order.kind, order.left)
    market.book.remove(order)
    if event.reason == "user":
        market.receipts.add(event.command, cancel_receipt(event))
    elif event.reason == "sweep":
        before = market.receipts.get(event.command)
        done = before.filled if before else 0
        receipt = Receipt(market.id, market.status, filled=done + 1, rest=len(market.book))
        market.receipts.add(event.command, receipt)
