"""One market: its state, and its life from creation to deletion.

    none -> created -> open <-> closed -> resolved -> settling -> settled -> deleted
                          \\--------\\---> voided ------^
    resolved, voided, settling, settled -> (reversing ->) closed, within the window

The state is one object which `evolve` changes in place and gives back; a decider only reads it. Which
status a command needs is the table STATUSES. Called through domain.
"""

import msgspec

from engines.market.book import Book
from engines.market.commands import (
    CloseMarket,
    Command,
    CreateMarket,
    DeleteMarket,
    OpenMarket,
    ResolveMarket,
    UpdateMarket,
    VoidMarket,
)
from engines.market.decision import Decision, Receipt, Receipts, Write, market_stream
from engines.market.errors import (
    CommandInvalid,
    MarketExists,
    MarketStatusWrong,
    MarketUnknown,
    WindowOver,
)
from engines.market.events import (
    Fact,
    MarketClosed,
    MarketCreated,
    MarketDeleted,
    MarketOpened,
    MarketResolved,
    MarketUpdated,
    MarketVoided,
)
from engines.market.ledger import Ledger


class Maker(msgspec.Struct):
    """The liquidity maker of a market; its cash is the ledger's pool."""

    sponsor: str
    depth: int  # b of the LMSR, shares
    funded: int  # cents
    sold: list[int]  # YES and NO shares sold less bought back
    free: list[int]  # YES and NO shares it has


class Market(msgspec.Struct):
    """The state of one market."""

    id: str
    status: str = "none"
    question: str = ""
    fee: int = 0  # basis points
    closes_at: int = 0  # ns since the epoch, 0: when it is closed
    window: int = 0  # ns
    until: int = 0  # ns since the epoch: until then a resolution may be taken back
    void: bool = False
    yes: int = 0  # weights of the answer
    no: int = 0
    cursor: int = 0  # holders settled
    pool: int = 0  # cents to settle
    weight: int = 0  # sum of all claims on a void market
    fees_returned: int = 0  # cents of fees that a void market pays back
    finish: list[int] = []  # liquidity, fees, rounding, maker: of a finished settlement
    orders: int = 0  # placed so far
    trades: int = 0  # executed so far
    maker: Maker | None = None
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    book: Book = msgspec.field(default_factory=Book)
    receipts: Receipts = msgspec.field(default_factory=Receipts)


# Which status each command needs, and what to say otherwise.
BEGUN = ("resolved", "voided", "settling", "settled")
STATUSES: dict[str, tuple[tuple[str, ...], str]] = {
    "UpdateMarket": (("created", "open", "closed"), "its question changes only before it is resolved"),
    "OpenMarket": (("created", "closed"), "only a created or closed market can be opened"),
    "CloseMarket": (("open",), "only an open market can be closed"),
    "ResolveMarket": (("closed",), "close it first"),
    "VoidMarket": (("created", "open", "closed"), "take its resolution back first"),
    "UnresolveMarket": (BEGUN, "there is no resolution to take back"),
    "DeleteMarket": (("created", "settled"), "only a market that never opened or is settled can be deleted"),
    "PlaceOrder": (("open",), "orders need an open market"),
    "CancelOrder": (("open", "closed", "resolved", "voided"), "no order is open any more"),
    "SweepOrders": (("closed", "resolved", "voided"), "close, resolve or void it first"),
    "BuySets": (("open",), "sets are sold only in an open market"),
    "RedeemSets": (("open", "closed"), "sets are redeemed only before the market is resolved"),
    "FundLiquidity": (("created", "open"), "liquidity is funded before the market closes"),
    "TakeLiquidity": (("open",), "the liquidity maker trades only in an open market"),
    "StartSettlement": (("resolved", "voided"), "resolve or void it first"),
    "SettleBatch": (("settling",), "start the settlement first"),
    "ReverseBatch": (("reversing",), "take its resolution back first"),
}


def require_status(market: Market, command: Command) -> None:
    """Raise MarketUnknown or MarketStatusWrong unless the market is in a status that the command allows."""
    statuses, otherwise = STATUSES[type(command).__name__]
    if market.status in statuses:
        return
    if market.status == "none":
        raise MarketUnknown(f"there is no market {market.id}: create it first")
    raise MarketStatusWrong(f"market {market.id} is {market.status}: {otherwise}")


def require_trading(market: Market, command: Command, now: int) -> None:
    """Raise MarketStatusWrong too when the time for trading is over."""
    require_status(market, command)
    if market.closes_at and now >= market.closes_at:
        raise MarketStatusWrong(
            f"market {market.id} traded until {market.closes_at} ns since the epoch; it is {now} now"
        )


def one_write(market: Market, receipt: Receipt, *events: Fact) -> Decision:
    """Return a decision that touches the market's stream alone."""
    return Decision(receipt, (Write(market_stream(market.id), events, checked=True),))


# -- deciding ---------------------------------------------------------------------------------------------


def create_market(command: CreateMarket, market: Market, now: int) -> Decision:
    """Make a market; its trading must not be over already."""
    if market.status != "none":
        raise MarketExists(f"there is a market {market.id} already: choose another id")
    if command.closes_at and command.closes_at <= now:
        raise CommandInvalid(f"closes_at {command.closes_at} is in the past: it must be after {now}")
    event = MarketCreated(
        at=now, command=command.id, market=market.id, question=command.question, fee=command.fee,
        closes_at=command.closes_at, window=command.window,
    )  # fmt: skip
    return one_write(market, Receipt(market.id, "created"), event)


def update_market(command: UpdateMarket, market: Market, now: int) -> Decision:
    """Put the question in other words."""
    require_status(market, command)
    event = MarketUpdated(at=now, command=command.id, market=market.id, question=command.question)
    return one_write(market, Receipt(market.id, market.status), event)


def open_market(command: OpenMarket, market: Market, now: int) -> Decision:
    """Begin trading."""
    require_trading(market, command, now)
    return one_write(
        market, Receipt(market.id, "open"), MarketOpened(at=now, command=command.id, market=market.id)
    )


def close_market(command: CloseMarket, market: Market, now: int) -> Decision:
    """End trading; open orders stay until they are cancelled or swept."""
    require_status(market, command)
    return one_write(
        market, Receipt(market.id, "closed"), MarketClosed(at=now, command=command.id, market=market.id)
    )


def resolve_market(command: ResolveMarket, market: Market, now: int) -> Decision:
    """Say the answer."""
    require_status(market, command)
    if command.yes + command.no == 0:
        raise CommandInvalid("yes and no are both 0: at least one must be more, 1 and 0 say yes")
    event = MarketResolved(
        at=now,
        command=command.id,
        market=market.id,
        yes=command.yes,
        no=command.no,
        until=now + market.window,
    )
    return one_write(market, Receipt(market.id, "resolved"), event)


def void_market(command: VoidMarket, market: Market, now: int) -> Decision:
    """Give everybody back what he paid."""
    require_status(market, command)
    event = MarketVoided(
        at=now, command=command.id, market=market.id, reason=command.reason, until=now + market.window
    )
    return one_write(market, Receipt(market.id, "voided"), event)


def delete_market(command: DeleteMarket, market: Market, now: int) -> Decision:
    """Remove a market in which no money is and to which none can come back."""
    require_status(market, command)
    if market.status == "settled" and now < market.until:
        raise WindowOver(f"market {market.id} may be taken back until {market.until}: delete it after that")
    if market.maker is not None and market.status == "created":
        raise MarketStatusWrong(f"market {market.id} has a funded liquidity maker: void and settle it first")
    return one_write(
        market, Receipt(market.id, "deleted"), MarketDeleted(at=now, command=command.id, market=market.id)
    )


# -- evolving ---------------------------------------------------------------------------------------------


def evolve_created(market: Market, event: MarketCreated) -> None:
    """Take over the terms."""
    market.status, market.question, market.fee = "created", event.question, event.fee
    market.closes_at, market.window = event.closes_at, event.window
    market.receipts.add(event.command, Receipt(market.id, "created"))


def evolve_updated(market: Market, event: MarketUpdated) -> None:
    """Take over the question."""
    market.question = event.question
    market.receipts.add(event.command, Receipt(market.id, market.status))


def evolve_opened(market: Market, event: MarketOpened) -> None:
    """Trade."""
    _become(market, event, "open")


def evolve_closed(market: Market, event: MarketClosed) -> None:
    """Trade no more."""
    _become(market, event, "closed")


def evolve_resolved(market: Market, event: MarketResolved) -> None:
    """Keep the answer."""
    market.void, market.yes, market.no, market.until = False, event.yes, event.no, event.until
    _become(market, event, "resolved")


def evolve_voided(market: Market, event: MarketVoided) -> None:
    """Keep that there is no answer."""
    market.void, market.yes, market.no, market.until = True, 0, 0, event.until
    _become(market, event, "voided")


def evolve_deleted(market: Market, event: MarketDeleted) -> None:
    """Be gone."""
    _become(market, event, "deleted")


def _become(market: Market, event: Fact, status: str) -> None:
    market.status = status
    market.receipts.add(event.command, Receipt(market.id, status))
