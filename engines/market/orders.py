"""Orders: which are accepted, and all that comes of them at once.

An order is accepted only when the account covers it at its own price with the highest fee; the account then
pays what it really costs and what its rest holds. So a fill never waits for money, and what makers get goes
to their accounts in the same append. An order never trades with another of its user: the one in the book
goes. What the events do to the market is in trading. Called through domain.
"""

from engines.market.account import Account, require_active, require_funds
from engines.market.book import ASK, BID, Order, yes_price
from engines.market.commands import CancelOrder, PlaceOrder, SweepOrders
from engines.market.decision import Decision, Receipt, Write, account_stream, market_stream
from engines.market.errors import (
    OrderExists,
    OrderForeign,
    OrderUnfillable,
    OrderUnknown,
    OrderWouldTrade,
    SharesInsufficient,
)
from engines.market.events import (
    CancelReason,
    Fact,
    FundsHeld,
    FundsReleased,
    OrderCancelled,
    OrderPlaced,
    ReleaseReason,
    TradeExecuted,
)
from engines.market.market import Market, one_write, require_status, require_trading
from engines.market.matching import Matched, match_order
from engines.market.money import INDEX, highest_fee
from engines.market.trading import cancel_receipt, place_receipt


def place_order(command: PlaceOrder, market: Market, account: Account, now: int) -> Decision:
    """Match an order, keep its rest, hold what that costs."""
    require_trading(market, command, now)
    require_active(account)
    if market.book.get(command.id) is not None:
        raise OrderExists(f"order {command.id} is open in market {market.id} already: choose another id")
    if command.side == "buy":
        most = command.price * command.size + highest_fee(market.fee, command.price, command.size)
        require_funds(account, most, "this order costs at most")
    else:
        require_shares(market, command.user, command.share, command.size)
    owner = market.ledger.number_of(command.user)
    matched = match_order(
        market.book, market.fee, owner, command.side, command.share, command.price, command.size
    )
    if command.kind == "fok" and matched.filled < command.size:
        raise OrderUnfillable(
            f"{matched.filled} of {command.size} can be filled at {command.price} or better: "
            "order no more than that, or place a limit order"
        )
    if command.kind == "post-only" and (matched.trades or matched.own):
        raise OrderWouldTrade(_would_trade(market, command))
    return _placed(command, market, matched, now)


def require_shares(market: Market, user: str, share: str, size: int) -> None:
    """Raise SharesInsufficient unless so many shares are free."""
    free = market.ledger.free(user, INDEX[share])
    if free < size:
        raise SharesInsufficient(
            f"{size} {share} shares were asked for, {free} are free: sell no more, or cancel a sell order"
        )


def _would_trade(market: Market, command: PlaceOrder) -> str:
    bids = (command.side == "buy") == (command.share == "yes")
    best = yes_price(command.share, market.book.best(ASK if bids else BID))
    bound = f"at most {best - 1}" if command.side == "buy" else f"at least {best + 1}"
    return f"{command.price} would trade at once with {best}: a post-only {command.side} needs {bound}"


def _placed(command: PlaceOrder, market: Market, matched: Matched, now: int) -> Decision:
    """Return the events of an accepted order, for the market and for every account that moves."""
    rest = command.size - matched.filled if command.kind in ("limit", "post-only") else 0
    held = matched.amount + matched.fee + rest * command.price if command.side == "buy" else 0
    placed = OrderPlaced(
        at=now, command=command.id, market=market.id, order=command.id, number=market.orders + 1,
        user=command.user, side=command.side, share=command.share, price=command.price,
        size=command.size, kind=command.kind, filled=matched.filled, rest=rest, amount=matched.amount,
        fee=matched.fee, held=held,
    )  # fmt: skip
    # NOTE: own orders go first, so that the book is not crossed even between two of these events.
    events: list[Fact] = [_cancelled(market, order, "self-trade", command.id, now) for order in matched.own]
    events.append(placed)
    events += _trades(command, market, matched, now)
    left = command.size - matched.filled - rest
    if left:
        events.append(
            OrderCancelled(
                at=now, command=command.id, market=market.id, order=command.id, user=command.user,
                size=left, released=0, reason="ioc",
            )
        )  # fmt: skip
    writes = [Write(market_stream(market.id), tuple(events), checked=True)]
    taker = _taker_facts(command, market, matched, held, now)
    if taker:
        writes.append(Write(account_stream(command.user), taker, checked=held > 0))
    for user, amount in _gains(matched).items():
        fact = released(market.id, user, command.id, amount, "trade", command.id, now)
        writes.append(Write(account_stream(user), (fact,), checked=False))
    return Decision(place_receipt(placed), tuple(writes))


def _trades(command: PlaceOrder, market: Market, matched: Matched, now: int) -> list[TradeExecuted]:
    return [
        TradeExecuted(
            at=now, command=command.id, market=market.id, number=number, match=trade.match,
            price=trade.price, size=trade.size, fee=trade.fee, taker=command.user, taker_order=command.id,
            maker=trade.maker.user, maker_order=trade.maker.id, side=command.side, share=command.share,
        )
        for number, trade in enumerate(matched.trades, market.trades + 1)
    ]  # fmt: skip


def _gains(matched: Matched) -> dict[str, int]:
    """Return the cents that each maker who sells gets."""
    gains: dict[str, int] = {}
    for trade in matched.trades:
        maker = trade.maker
        if maker.side == "sell":
            gains[maker.user] = gains.get(maker.user, 0) + yes_price(maker.share, trade.price) * trade.size
    return gains


def _taker_facts(
    command: PlaceOrder, market: Market, matched: Matched, held: int, now: int
) -> tuple[Fact, ...]:
    """Return what moves in the account of who placed the order."""
    facts: list[Fact] = []
    if held:
        facts.append(
            FundsHeld(
                at=now,
                command=command.id,
                user=command.user,
                market=market.id,
                reference=command.id,
                amount=held,
            )
        )
    back = sum(order.held for order in matched.own)
    if back:
        facts.append(released(market.id, command.user, command.id, back, "cancel", command.id, now))
    gain = matched.amount - matched.fee if command.side == "sell" else 0
    if gain:
        facts.append(released(market.id, command.user, command.id, gain, "trade", command.id, now))
    return tuple(facts)


def released(
    market: str, user: str, reference: str, amount: int, reason: ReleaseReason, command: str, now: int
) -> FundsReleased:
    """Return the fact that cents go from a market to an account."""
    return FundsReleased(
        at=now, command=command, user=user, market=market, reference=reference, amount=amount, reason=reason
    )


def _cancelled(market: Market, order: Order, reason: CancelReason, command: str, now: int) -> OrderCancelled:
    return OrderCancelled(
        at=now, command=command, market=market.id, order=order.id, user=order.user, size=order.left,
        released=order.held, reason=reason,
    )  # fmt: skip


def cancel_order(command: CancelOrder, market: Market, now: int) -> Decision:
    """Take an own order out of the book and give back what it held."""
    require_status(market, command)
    order = market.book.get(command.order)
    if order is None:
        raise OrderUnknown(
            f"no order {command.order} is open in market {market.id}: it is filled or cancelled"
        )
    if order.user != command.user:
        raise OrderForeign(f"order {order.id} is not an order of {command.user}: only its user may cancel it")
    event = _cancelled(market, order, "user", command.id, now)
    decision = one_write(market, cancel_receipt(event), event)
    if not order.held:
        return decision
    fact = released(market.id, order.user, order.id, order.held, "cancel", command.id, now)
    write = Write(account_stream(order.user), (fact,), checked=False)
    return Decision(decision.receipt, (*decision.writes, write))


def sweep_orders(command: SweepOrders, market: Market, now: int) -> Decision:
    """Cancel the oldest orders, so many at once; the receipt says how many are left."""
    require_status(market, command)
    orders = [order for order, _ in zip(market.book, range(command.limit), strict=False)]
    left = len(market.book) - len(orders)
    receipt = Receipt(market.id, market.status, filled=len(orders), rest=left)
    if not orders:
        return Decision(receipt)
    gains: dict[str, int] = {}
    for order in orders:
        if order.held:
            gains[order.user] = gains.get(order.user, 0) + order.held
    events = tuple(_cancelled(market, order, "sweep", command.id, now) for order in orders)
    writes = [Write(market_stream(market.id), events, checked=True)]
    for user, amount in gains.items():
        fact = released(market.id, user, command.id, amount, "cancel", command.id, now)
        writes.append(Write(account_stream(user), (fact,), checked=False))
    return Decision(receipt, tuple(writes))
