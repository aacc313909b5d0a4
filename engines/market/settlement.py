"""Paying out a market, and taking it back: over many holders, in batches, each exactly once.

`cursor` counts the holders that were paid, in the order they came; a batch moves it forward, a reversed
batch back. So it may stop between any two batches and go on, and taking a resolution back is the same way
in the other direction: real payments the other way, and the market is as it was before it was resolved.

Each claim is rounded down. When all are paid, the maker's shares and its cash go to the sponsor of the
liquidity, fees and what rounding left to the house: escrow is empty. A void market pays each user what he
paid net, fees counted; if some went away with a gain, the rest share what is left in proportion. Called
through domain.
"""

from itertools import islice

from engines.market.commands import ReverseBatch, SettleBatch, StartSettlement, UnresolveMarket
from engines.market.decision import HOUSE, Decision, Receipt, Write, account_stream, gathered, market_stream
from engines.market.errors import OrdersOpen, WindowOver
from engines.market.events import (
    BatchReversed,
    BatchSettled,
    Fact,
    FundsReclaimed,
    MarketUnresolved,
    Payout,
    ReleaseReason,
    SettlementFinished,
    SettlementStarted,
)
from engines.market.ledger import Holding
from engines.market.market import Market, one_write, require_status
from engines.market.money import NO, UNIT, YES
from engines.market.orders import released

# -- deciding ---------------------------------------------------------------------------------------------


def start_settlement(command: StartSettlement, market: Market, now: int) -> Decision:
    """Count what there is to pay; no order may be open."""
    require_status(market, command)
    if len(market.book):
        raise OrdersOpen(f"{len(market.book)} orders are open in market {market.id}: sweep them first")
    ledger, weight = market.ledger, 0
    pool = ledger.cash["escrow"]
    if market.void:
        pool += ledger.cash["fees"]
        weight = sum(max(holding.net, 0) for holding in ledger.holdings.values()) + _maker_net(market)
    event = SettlementStarted(at=now, command=command.id, market=market.id, pool=pool, weight=weight)
    return one_write(market, _progress(market, "settling", 0, 0), event)


def settle_batch(command: SettleBatch, market: Market, now: int) -> Decision:
    """Pay the next holders; finish when there are none."""
    require_status(market, command)
    ledger, start = market.ledger, market.cursor
    batch = list(islice(ledger.holdings.items(), start, start + command.limit))
    paid = [Payout(user, _claim(market, holding)) for user, holding in batch]
    payouts = tuple(payout for payout in paid if payout.amount)
    events: list[Fact] = []
    end = start + len(batch)
    if batch:
        events.append(
            BatchSettled(at=now, command=command.id, market=market.id, start=start, end=end, payouts=payouts)
        )
    facts = [
        _to_user(market, payout.user, payout.amount, "settlement", command.id, now) for payout in payouts
    ]
    status = "settling"
    if end == len(ledger.holdings):
        left = ledger.cash["escrow"] - sum(payout.amount for payout in payouts)
        finished, extra = _finish(market, left, command.id, now)
        events.append(finished)
        facts += extra
        status = "settled"
    writes = gathered([Write(market_stream(market.id), tuple(events), checked=True), *facts])
    return Decision(_progress(market, status, end - start, end), writes)


def _finish(market: Market, left: int, command: str, now: int) -> tuple[SettlementFinished, list[Write]]:
    """Return the last event of a settlement with `left` cents in escrow, and what it pays."""
    cash, maker = market.ledger.cash, market.maker
    share = _maker_claim(market)
    event = SettlementFinished(
        at=now, command=command, market=market.id, liquidity=cash["pool"] + share, fees=cash["fees"],
        rounding=left - share, maker=share,
    )  # fmt: skip
    writes = []
    if maker is not None and event.liquidity:
        writes.append(_to_user(market, maker.sponsor, event.liquidity, "liquidity", command, now))
    if event.fees + event.rounding:
        writes.append(_to_user(market, HOUSE, event.fees + event.rounding, "fees", command, now))
    return event, writes


def _claim(market: Market, holding: Holding) -> int:
    if market.void:
        return _part(market, max(holding.net, 0))
    return holding.value(market.yes, market.no)


def _maker_net(market: Market) -> int:
    """Return the cents that the maker has put into sets net of what it got; 0 if it gained."""
    return 0 if market.maker is None else max(market.maker.funded - market.ledger.cash["pool"], 0)


def _maker_claim(market: Market) -> int:
    maker = market.maker
    if maker is None:
        return 0
    if market.void:
        return _part(market, _maker_net(market))
    return UNIT * (maker.free[YES] * market.yes + maker.free[NO] * market.no) // (market.yes + market.no)


def _part(market: Market, claim: int) -> int:
    """Return what a claim on a void market gets: all of it, or its part of what there is."""
    return claim * market.pool // market.weight if market.weight else 0


def unresolve_market(command: UnresolveMarket, market: Market, now: int) -> Decision:
    """Take a resolution back; what was paid at the end comes back at once, the rest in batches."""
    require_status(market, command)
    if now >= market.until:
        raise WindowOver(f"market {market.id} could be taken back until {market.until}; it is {now} now")
    event = MarketUnresolved(at=now, command=command.id, market=market.id, reason=command.reason)
    writes = [Write(market_stream(market.id), (event,), checked=True)]
    if market.finish:
        liquidity, fees, rounding, _ = market.finish
        sponsor = market.maker.sponsor if market.maker is not None else HOUSE
        for user, amount in ((sponsor, liquidity), (HOUSE, fees + rounding)):
            if amount:
                writes.append(_from_user(market, user, amount, command.id, now))
    status = "reversing" if market.cursor else "closed"
    return Decision(_progress(market, status, 0, market.cursor), gathered(writes))


def reverse_batch(command: ReverseBatch, market: Market, now: int) -> Decision:
    """Take back what the last holders were paid."""
    require_status(market, command)
    end = market.cursor
    start = max(end - command.limit, 0)
    batch = islice(market.ledger.holdings.items(), start, end)
    payouts = tuple(Payout(user, holding.paid) for user, holding in batch if holding.paid)
    event = BatchReversed(at=now, command=command.id, market=market.id, start=start, end=end, payouts=payouts)
    facts = [_from_user(market, payout.user, payout.amount, command.id, now) for payout in payouts]
    writes = (Write(market_stream(market.id), (event,), checked=True), *facts)
    return Decision(_progress(market, "reversing" if start else "closed", end - start, start), writes)


def _to_user(market: Market, user: str, amount: int, reason: ReleaseReason, command: str, now: int) -> Write:
    fact = released(market.id, user, market.id, amount, reason, command, now)
    return Write(account_stream(user), (fact,), checked=False)


def _from_user(market: Market, user: str, amount: int, command: str, now: int) -> Write:
    fact = FundsReclaimed(at=now, command=command, user=user, market=market.id, amount=amount)
    return Write(account_stream(user), (fact,), checked=False)


def _progress(market: Market, status: str, done: int, cursor: int) -> Receipt:
    """Return the answer to a step: how many holders it did; how many are still to be paid, or to pay back."""
    reversing = status in ("reversing", "closed")
    return Receipt(market.id, status, done, cursor if reversing else len(market.ledger.holdings) - cursor)


# -- evolving ---------------------------------------------------------------------------------------------


def evolve_started(market: Market, event: SettlementStarted) -> None:
    """Put what is to be paid into escrow."""
    if market.void:
        market.fees_returned = market.ledger.cash["fees"]
        market.ledger.move("fees", "escrow", market.fees_returned)
    market.status, market.pool, market.weight = "settling", event.pool, event.weight
    market.receipts.add(event.command, _progress(market, "settling", 0, 0))


def evolve_settled(market: Market, event: BatchSettled) -> None:
    """Pay holders."""
    for payout in event.payouts:
        market.ledger.move("escrow", "outside", payout.amount)
        market.ledger.holdings[payout.user].paid = payout.amount
    market.cursor = event.end
    market.receipts.add(event.command, _progress(market, "settling", event.end - event.start, event.end))


def evolve_finished(market: Market, event: SettlementFinished) -> None:
    """Empty what is left."""
    ledger = market.ledger
    ledger.move("escrow", "pool", event.maker)
    ledger.move("pool", "outside", event.liquidity)
    ledger.move("fees", "outside", event.fees)
    ledger.move("escrow", "outside", event.rounding)
    market.finish = [event.liquidity, event.fees, event.rounding, event.maker]
    market.status = "settled"
    before = market.receipts.get(event.command)
    done = before.filled if before else 0
    market.receipts.add(event.command, _progress(market, "settled", done, market.cursor))


def evolve_unresolved(market: Market, event: MarketUnresolved) -> None:
    """Take back what the end of the settlement paid."""
    ledger = market.ledger
    if market.finish:
        liquidity, fees, rounding, maker = market.finish
        ledger.move("outside", "escrow", rounding)
        ledger.move("outside", "fees", fees)
        ledger.move("outside", "pool", liquidity)
        ledger.move("pool", "escrow", maker)
        market.finish = []
    market.status = "reversing"
    _close_when_reversed(market)
    market.receipts.add(event.command, _progress(market, market.status, 0, market.cursor))


def evolve_reversed(market: Market, event: BatchReversed) -> None:
    """Take back what holders were paid."""
    for payout in event.payouts:
        market.ledger.move("outside", "escrow", payout.amount)
        market.ledger.holdings[payout.user].paid = 0
    market.cursor = event.start
    _close_when_reversed(market)
    market.receipts.add(event.command, _progress(market, market.status, event.end - event.start, event.start))


def _close_when_reversed(market: Market) -> None:
    """Be as before the resolution once everything is back."""
    if market.cursor:
        return
    market.ledger.move("escrow", "fees", market.fees_returned)
    market.status, market.void, market.yes, market.no = "closed", False, 0, 0
    market.until = market.pool = market.weight = market.fees_returned = 0
