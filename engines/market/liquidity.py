"""The liquidity maker: somebody who always trades, at the prices of the LMSR, with money paid in advance.

A sponsor pays all that the maker can lose. It keeps its cash in the ledger's pool, makes sets when it sells
what it does not have, and gives up sets whenever it has both shares; so escrow covers its shares like all
others. What is left goes to the sponsor when the market is settled. Called through domain.
"""

from engines.market import lmsr
from engines.market.account import Account, require_active, require_funds
from engines.market.commands import FundLiquidity, TakeLiquidity
from engines.market.decision import Decision, Receipt, Write, account_stream, market_stream
from engines.market.errors import LimitPassed, LiquidityMissing
from engines.market.events import Fact, FundsHeld, LiquidityFunded, LiquidityTaken
from engines.market.ledger import Ledger, add_shares
from engines.market.market import Maker, Market, require_status, require_trading
from engines.market.money import INDEX, NO, UNIT, YES, fee_of
from engines.market.orders import released, require_shares

# -- deciding ---------------------------------------------------------------------------------------------


def fund_liquidity(command: FundLiquidity, market: Market, account: Account, now: int) -> Decision:
    """Pay in advance for a maker; a market has one at most."""
    require_status(market, command)
    require_active(account)
    if market.maker is not None:
        raise LiquidityMissing(
            f"market {market.id} has a liquidity maker already, paid by {market.maker.sponsor}"
        )
    amount = lmsr.funding(command.depth)
    require_funds(account, amount, f"liquidity of depth {command.depth} costs")
    event = LiquidityFunded(
        at=now, command=command.id, market=market.id, user=command.user, depth=command.depth, amount=amount
    )
    return _decided(market, _fund_receipt(event), event, command.user, amount, now)


def take_liquidity(command: TakeLiquidity, market: Market, account: Account, now: int) -> Decision:
    """Trade with the maker, unless its price is worse than the limit."""
    require_trading(market, command, now)
    require_active(account)
    maker = market.maker
    if maker is None:
        raise LiquidityMissing(f"market {market.id} has no liquidity maker: place an order instead")
    kind, size = INDEX[command.share], command.size
    if command.side == "buy":
        amount = lmsr.price_to_buy(maker.depth, maker.sold, kind, size)
        if amount > command.limit:
            raise LimitPassed(
                f"{size} {command.share} shares cost {amount} cents, the limit is {command.limit}"
            )
    else:
        require_shares(market, command.user, command.share, size)
        amount = lmsr.price_to_sell(maker.depth, maker.sold, kind, size)
        if amount < command.limit:
            raise LimitPassed(
                f"{size} {command.share} shares pay {amount} cents, the limit is {command.limit}"
            )
    fee = fee_of(market.fee, min(amount, UNIT * size - amount))
    after = maker.sold.copy()
    after[kind] += size if command.side == "buy" else -size
    event = LiquidityTaken(
        at=now, command=command.id, market=market.id, user=command.user, side=command.side,
        share=command.share, size=size, amount=amount, fee=fee, price=lmsr.price_of_yes(maker.depth, after),
    )  # fmt: skip
    cost = amount + fee if command.side == "buy" else fee - amount
    if cost > 0:
        require_funds(account, cost, f"{size} {command.share} shares and the fee cost")
    return _decided(market, take_receipt(event), event, command.user, cost, now)


def _decided(market: Market, receipt: Receipt, event: Fact, user: str, cost: int, now: int) -> Decision:
    """Return a decision that takes `cost` cents from the user's account, or gives them if it is negative."""
    fact: Fact
    command = event.command
    if cost > 0:
        fact = FundsHeld(at=now, command=command, user=user, market=market.id, reference=command, amount=cost)
    else:
        fact = released(market.id, user, command, -cost, "trade", command, now)
    writes = [Write(market_stream(market.id), (event,), checked=True)]
    if cost:
        writes.append(Write(account_stream(user), (fact,), checked=cost > 0))
    return Decision(receipt, tuple(writes))


def take_receipt(event: LiquidityTaken) -> Receipt:
    """Return the answer to a trade with the maker."""
    return Receipt(
        event.command, "filled", filled=event.size, amount=event.amount, fee=event.fee, user=event.user
    )


def _fund_receipt(event: LiquidityFunded) -> Receipt:
    return Receipt(event.market, "funded", amount=event.amount, user=event.user)


# -- evolving ---------------------------------------------------------------------------------------------


def evolve_funded(market: Market, event: LiquidityFunded) -> None:
    """Begin with the sponsor's money."""
    market.ledger.move("outside", "pool", event.amount)
    market.maker = Maker(event.user, event.depth, event.amount, [0, 0], [0, 0])
    market.receipts.add(event.command, _fund_receipt(event))


def evolve_taken(market: Market, event: LiquidityTaken) -> None:
    """Move money and shares between a user and the maker."""
    maker, ledger, kind = market.maker, market.ledger, INDEX[event.share]
    assert maker is not None, event
    holding = ledger.holding(event.user)
    if event.side == "buy":
        ledger.move("outside", "pool", event.amount)
        ledger.move("outside", "fees", event.fee)
        _provide(maker, ledger, kind, event.size)
        add_shares(maker.free, kind, -event.size)
        add_shares(holding.free, kind, event.size)
        maker.sold[kind] += event.size
        holding.net += event.amount + event.fee
    else:
        add_shares(holding.free, kind, -event.size)
        add_shares(maker.free, kind, event.size)
        maker.sold[kind] -= event.size
        _give_up_sets(maker, ledger)
        ledger.move("pool", "outside", event.amount)
        ledger.move("outside", "fees", event.fee)
        holding.net -= event.amount - event.fee
    market.receipts.add(event.command, take_receipt(event))


def _provide(maker: Maker, ledger: Ledger, kind: int, size: int) -> None:
    """Make the sets that the maker lacks to sell so many shares."""
    lacking = size - maker.free[kind]
    if lacking > 0:
        ledger.mint("pool", lacking)
        maker.free[YES] += lacking
        maker.free[NO] += lacking


def _give_up_sets(maker: Maker, ledger: Ledger) -> None:
    sets = min(maker.free)
    ledger.merge("pool", sets)
    maker.free[YES] -= sets
    maker.free[NO] -= sets
