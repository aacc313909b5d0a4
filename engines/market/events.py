"""What has happened: one frozen struct for each fact, tagged with its name.

`at` is ns since the epoch, `command` the id of the command that caused it. Amounts are cents, prices cents
of one share, sizes shares. Made by the deciders alone; folded by `evolve` and by the views. A field's
meaning never changes; a new one has a default.
"""

from typing import Literal

import msgspec

from engines.market.money import Share, Side

OrderKind = Literal["limit", "ioc", "fok", "post-only"]
CancelReason = Literal["user", "ioc", "self-trade", "sweep"]
ReleaseReason = Literal["trade", "cancel", "sets", "settlement", "liquidity", "fees"]
Match = Literal["normal", "mint", "merge"]


class Fact(msgspec.Struct, frozen=True, tag=True, tag_field="type", kw_only=True, gc=False):
    """Be the root of every event."""

    at: int
    command: str


# -- account-{user} ---------------------------------------------------------------------------------------


class UserRegistered(Fact, frozen=True):
    """A user came; `name` and `email` are personal data."""

    user: str
    name: str
    email: str


class UserUpdated(Fact, frozen=True):
    """Name or address changed."""

    user: str
    name: str
    email: str


class UserClosed(Fact, frozen=True):
    """The user trades and deposits no more; what is owed still comes in and may be withdrawn."""

    user: str
    reason: str


class UserDeleted(Fact, frozen=True):
    """The user is gone."""

    user: str


class FundsDeposited(Fact, frozen=True):
    """Money came from outside."""

    user: str
    payment: str
    amount: int


class FundsRefunded(Fact, frozen=True):
    """A deposit went back to where it came from."""

    user: str
    payment: str
    amount: int


class FundsReserved(Fact, frozen=True):
    """Money was set aside for a withdrawal."""

    user: str
    payment: str
    amount: int


class FundsWithdrawn(Fact, frozen=True):
    """Money set aside has left."""

    user: str
    payment: str
    amount: int


class FundsReturned(Fact, frozen=True):
    """Money set aside came back: the withdrawal failed."""

    user: str
    payment: str
    amount: int


class FundsHeld(Fact, frozen=True):
    """Money moved from the account into a market, for an order, sets of shares or liquidity."""

    user: str
    market: str
    reference: str
    amount: int


class FundsReleased(Fact, frozen=True):
    """Money moved from a market to the account. It repays a debt first."""

    user: str
    market: str
    reference: str
    amount: int
    reason: ReleaseReason


class FundsReclaimed(Fact, frozen=True):
    """A payout moved back into its market; what is no longer there becomes a debt."""

    user: str
    market: str
    amount: int


# -- payment-{id} -----------------------------------------------------------------------------------------


class DepositRequested(Fact, frozen=True):
    """A user wants to pay in."""

    payment: str
    user: str
    amount: int


class PaymentDeposited(Fact, frozen=True):
    """The money has arrived."""

    payment: str
    user: str
    amount: int


class PaymentRefunded(Fact, frozen=True):
    """A deposit was given back."""

    payment: str
    user: str
    amount: int


class WithdrawalRequested(Fact, frozen=True):
    """A user wants to be paid out."""

    payment: str
    user: str
    amount: int


class PaymentWithdrawn(Fact, frozen=True):
    """The money has left."""

    payment: str
    user: str
    amount: int


class PaymentFailed(Fact, frozen=True):
    """It will not happen."""

    payment: str
    user: str
    amount: int
    reason: str


# -- market-{id}: its life --------------------------------------------------------------------------------


class MarketCreated(Fact, frozen=True):
    """A question that can be answered with yes or no."""

    market: str
    question: str
    fee: int  # basis points
    closes_at: int  # ns since the epoch, 0: when it is closed
    window: int  # ns in which a resolution may be taken back


class MarketUpdated(Fact, frozen=True):
    """The question was put in other words."""

    market: str
    question: str


class MarketOpened(Fact, frozen=True):
    """Trading began, or began again."""

    market: str


class MarketClosed(Fact, frozen=True):
    """Trading ended."""

    market: str


class MarketResolved(Fact, frozen=True):
    """A YES share pays yes / (yes + no) of a unit, a NO share the rest."""

    market: str
    yes: int
    no: int
    until: int  # ns since the epoch: until then it may be taken back


class MarketVoided(Fact, frozen=True):
    """Everybody gets back what he paid."""

    market: str
    reason: str
    until: int


class MarketUnresolved(Fact, frozen=True):
    """A resolution was taken back; what was paid comes back in batches."""

    market: str
    reason: str


class MarketDeleted(Fact, frozen=True):
    """The market is gone."""

    market: str


# -- market-{id}: trading ---------------------------------------------------------------------------------


class OrderPlaced(Fact, frozen=True):
    """An order was accepted, with all that became of it at once; its trades follow."""

    market: str
    order: str
    number: int  # counts the market's orders: earlier is smaller
    user: str
    side: Side
    share: Share
    price: int  # of `share`
    size: int
    kind: OrderKind
    filled: int  # shares traded at once
    rest: int  # shares that stay in the book
    amount: int  # cents paid for, or got for, what was filled, without fee
    fee: int
    held: int  # cents that came from the account: amount and fee of a buy, and its rest at its price


class TradeExecuted(Fact, frozen=True):
    """Two orders met at the price of the one that was there.

    normal: a buy and a sell of one kind of share. mint: a buy of YES and one of NO pay for a new set.
    merge: a sell of YES and one of NO give up a set. The maker's side and share follow from the taker's.
    """

    market: str
    number: int
    match: Match
    price: int  # of YES
    size: int
    fee: int  # paid by the taker
    taker: str
    taker_order: str
    maker: str
    maker_order: str
    side: Side  # the taker's
    share: Share  # the taker's


class OrderCancelled(Fact, frozen=True):
    """What was left of an order is gone; what it held is free."""

    market: str
    order: str
    user: str
    size: int  # what was left
    released: int  # cents
    reason: CancelReason


class SetsBought(Fact, frozen=True):
    """A unit was paid for each new pair of a YES and a NO share."""

    market: str
    user: str
    size: int


class SetsRedeemed(Fact, frozen=True):
    """Pairs of a YES and a NO share were given up for a unit each."""

    market: str
    user: str
    size: int


class LiquidityFunded(Fact, frozen=True):
    """A sponsor paid in advance all that a liquidity maker of this depth can lose."""

    market: str
    user: str
    depth: int  # shares: b of the LMSR
    amount: int


class LiquidityTaken(Fact, frozen=True):
    """A user traded with the liquidity maker."""

    market: str
    user: str
    side: Side
    share: Share
    size: int
    amount: int  # without fee
    fee: int
    price: int  # of YES afterwards


# -- market-{id}: settlement ------------------------------------------------------------------------------


class Payout(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one user gets."""

    user: str
    amount: int


class SettlementStarted(Fact, frozen=True):
    """Paying out began: `pool` cents in all; `weight` is the sum of all claims on a void market."""

    market: str
    pool: int
    weight: int


class BatchSettled(Fact, frozen=True):
    """The holders from `start` to before `end` were paid; who gets nothing is not listed."""

    market: str
    start: int
    end: int
    payouts: tuple[Payout, ...]


class SettlementFinished(Fact, frozen=True):
    """Everybody was paid; what is left goes to the sponsor of the liquidity and to the house."""

    market: str
    liquidity: int  # cents to the sponsor: the maker's cash and what its shares pay
    fees: int  # cents to the house
    rounding: int  # cents to the house: what rounding down left
    maker: int  # the part of `liquidity` that its shares paid


class BatchReversed(Fact, frozen=True):
    """The holders from `start` to before `end` gave back what they were paid."""

    market: str
    start: int
    end: int
    payouts: tuple[Payout, ...]


AccountEvent = (
    UserRegistered | UserUpdated | UserClosed | UserDeleted | FundsDeposited | FundsRefunded | FundsReserved
    | FundsWithdrawn | FundsReturned | FundsHeld | FundsReleased | FundsReclaimed
)  # fmt: skip
PaymentEvent = (
    DepositRequested | PaymentDeposited | PaymentRefunded | WithdrawalRequested | PaymentWithdrawn
    | PaymentFailed
)  # fmt: skip
MarketEvent = (
    MarketCreated | MarketUpdated | MarketOpened | MarketClosed | MarketResolved | MarketVoided
    | MarketUnresolved | MarketDeleted | OrderPlaced | TradeExecuted | OrderCancelled | SetsBought
    | SetsRedeemed | LiquidityFunded | LiquidityTaken | SettlementStarted | BatchSettled
    | SettlementFinished | BatchReversed
)  # fmt: skip
Event = AccountEvent | PaymentEvent | MarketEvent
EVENTS: dict[str, type[Fact]] = {kind.__name__: kind for kind in Event.__args__}
