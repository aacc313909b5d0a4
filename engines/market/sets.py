"""Sets of one YES and one NO share: bought for a unit and redeemed for one, whatever the prices are.

So the prices of both shares together cannot stay away from one unit for long. Called through domain.
"""

from engines.market.account import Account, require_active, require_funds
from engines.market.commands import BuySets, RedeemSets
from engines.market.decision import Decision, Receipt, Write, account_stream, market_stream
from engines.market.events import FundsHeld, SetsBought, SetsRedeemed
from engines.market.ledger import add_shares
from engines.market.market import Market, require_status, require_trading
from engines.market.money import NO, UNIT, YES
from engines.market.orders import released, require_shares


def buy_sets(command: BuySets, market: Market, account: Account, now: int) -> Decision:
    """Pay a unit for each pair of a YES and a NO share."""
    require_trading(market, command, now)
    require_active(account)
    amount = UNIT * command.size
    require_funds(account, amount, f"{command.size} sets cost")
    event = SetsBought(at=now, command=command.id, market=market.id, user=command.user, size=command.size)
    held = FundsHeld(
        at=now, command=command.id, user=command.user, market=market.id, reference=command.id, amount=amount
    )
    writes = (
        Write(market_stream(market.id), (event,), checked=True),
        Write(account_stream(command.user), (held,), checked=True),
    )
    return Decision(_sets_receipt(event), writes)


def redeem_sets(command: RedeemSets, market: Market, now: int) -> Decision:
    """Give up pairs of a YES and a NO share for a unit each."""
    require_status(market, command)
    for share in ("yes", "no"):
        require_shares(market, command.user, share, command.size)
    event = SetsRedeemed(at=now, command=command.id, market=market.id, user=command.user, size=command.size)
    fact = released(market.id, command.user, command.id, UNIT * command.size, "sets", command.id, now)
    writes = (
        Write(market_stream(market.id), (event,), checked=True),
        Write(account_stream(command.user), (fact,), checked=False),
    )
    return Decision(_sets_receipt(event), writes)


def evolve_sets_bought(market: Market, event: SetsBought) -> None:
    """Add the shares; their units go into escrow."""
    market.ledger.mint("outside", event.size)
    _change(market, event.user, event.size)
    market.receipts.add(event.command, _sets_receipt(event))


def evolve_sets_redeemed(market: Market, event: SetsRedeemed) -> None:
    """Take the shares; their units leave escrow."""
    market.ledger.merge("outside", event.size)
    _change(market, event.user, -event.size)
    market.receipts.add(event.command, _sets_receipt(event))


def _change(market: Market, user: str, size: int) -> None:
    holding = market.ledger.holding(user)
    add_shares(holding.free, YES, size)
    add_shares(holding.free, NO, size)
    holding.net += UNIT * size


def _sets_receipt(event: SetsBought | SetsRedeemed) -> Receipt:
    return Receipt(
        event.market, type(event).__name__, filled=event.size, amount=UNIT * event.size, user=event.user
    )
