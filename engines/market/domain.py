"""The market as one decider over several streams: the face that the rest of the house sees.

    names = streams_of(command)                    which streams the decision needs, the first is its own
    states = {name: fold of the stream `name`}     initial(name), then evolve(state, event) for each event
    decision = decide(command, states, now)        a receipt and the writes, or a MarketError and nothing
    append every write of the decision at once

`evolve` changes the state it is given and returns it: keep one state for each stream, or snapshots. Adding
a command or an event is one line in a table here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engines.market import (
    account,
    commands,
    events,
    liquidity,
    market,
    orders,
    payment,
    sets,
    settlement,
    trading,
)
from engines.market.account import Account
from engines.market.commands import Command
from engines.market.decision import Decision
from engines.market.errors import CommandInvalid, CommandReused
from engines.market.events import Fact
from engines.market.market import Market
from engines.market.payment import Payment
from engines.market.snapshot import State

Decider = Callable[..., Decision]
Evolver = Callable[[Any, Any], None]

# Command -> its decider, and what names the streams it reads: field of the command -> prefix of the stream.
M, A, P = ("market", "market-"), ("user", "account-"), ("payment", "payment-")
DECIDERS: dict[type[Command], tuple[Decider, tuple[tuple[str, str], ...]]] = {
    commands.RegisterUser: (account.register_user, (A,)),
    commands.UpdateUser: (account.update_user, (A,)),
    commands.CloseUser: (account.close_user, (A,)),
    commands.DeleteUser: (account.delete_user, (A,)),
    commands.RequestDeposit: (payment.request_deposit, (P, A)),
    commands.ConfirmDeposit: (payment.confirm_deposit, (P,)),
    commands.RefundDeposit: (payment.refund_deposit, (P, A)),
    commands.RequestWithdrawal: (payment.request_withdrawal, (P, A)),
    commands.ConfirmWithdrawal: (payment.confirm_withdrawal, (P,)),
    commands.FailPayment: (payment.fail_payment, (P,)),
    commands.CreateMarket: (market.create_market, (M,)),
    commands.UpdateMarket: (market.update_market, (M,)),
    commands.OpenMarket: (market.open_market, (M,)),
    commands.CloseMarket: (market.close_market, (M,)),
    commands.ResolveMarket: (market.resolve_market, (M,)),
    commands.VoidMarket: (market.void_market, (M,)),
    commands.UnresolveMarket: (settlement.unresolve_market, (M,)),
    commands.DeleteMarket: (market.delete_market, (M,)),
    commands.PlaceOrder: (orders.place_order, (M, A)),
    commands.CancelOrder: (orders.cancel_order, (M,)),
    commands.SweepOrders: (orders.sweep_orders, (M,)),
    commands.BuySets: (sets.buy_sets, (M, A)),
    commands.RedeemSets: (sets.redeem_sets, (M,)),
    commands.FundLiquidity: (liquidity.fund_liquidity, (M, A)),
    commands.TakeLiquidity: (liquidity.take_liquidity, (M, A)),
    commands.StartSettlement: (settlement.start_settlement, (M,)),
    commands.SettleBatch: (settlement.settle_batch, (M,)),
    commands.ReverseBatch: (settlement.reverse_batch, (M,)),
}
EVOLVERS: dict[type[Fact], Evolver] = {
    events.UserRegistered: account.evolve_registered,
    events.UserUpdated: account.evolve_user_updated,
    events.UserClosed: account.evolve_user_closed,
    events.UserDeleted: account.evolve_user_deleted,
    events.FundsDeposited: account.evolve_credited,
    events.FundsReleased: account.evolve_credited,
    events.FundsHeld: account.evolve_debited,
    events.FundsRefunded: account.evolve_debited,
    events.FundsReserved: account.evolve_reserved,
    events.FundsWithdrawn: account.evolve_withdrawn,
    events.FundsReturned: account.evolve_returned,
    events.FundsReclaimed: account.evolve_reclaimed,
    events.DepositRequested: payment.evolve_deposit_requested,
    events.PaymentDeposited: payment.evolve_deposited,
    events.PaymentRefunded: payment.evolve_refunded,
    events.WithdrawalRequested: payment.evolve_withdrawal_requested,
    events.PaymentWithdrawn: payment.evolve_paid_out,
    events.PaymentFailed: payment.evolve_failed,
    events.MarketCreated: market.evolve_created,
    events.MarketUpdated: market.evolve_updated,
    events.MarketOpened: market.evolve_opened,
    events.MarketClosed: market.evolve_closed,
    events.MarketResolved: market.evolve_resolved,
    events.MarketVoided: market.evolve_voided,
    events.MarketUnresolved: settlement.evolve_unresolved,
    events.MarketDeleted: market.evolve_deleted,
    events.OrderPlaced: trading.evolve_placed,
    events.TradeExecuted: trading.evolve_executed,
    events.OrderCancelled: trading.evolve_cancelled,
    events.SetsBought: sets.evolve_sets_bought,
    events.SetsRedeemed: sets.evolve_sets_redeemed,
    events.LiquidityFunded: liquidity.evolve_funded,
    events.LiquidityTaken: liquidity.evolve_taken,
    events.SettlementStarted: settlement.evolve_started,
    events.BatchSettled: settlement.evolve_settled,
    events.SettlementFinished: settlement.evolve_finished,
    events.BatchReversed: settlement.evolve_reversed,
}
STATES: dict[str, type[Account] | type[Market] | type[Payment]] = {
    "account": Account,
    "market": Market,
    "payment": Payment,
}


def streams_of(command: Command) -> tuple[str, ...]:
    """Return the names of the streams that a decision about the command reads; its own comes first."""
    return tuple([prefix + getattr(command, field) for field, prefix in DECIDERS[type(command)][1]])


def state_type(stream: str) -> type[Account] | type[Market] | type[Payment]:
    """Return the kind of state that a stream folds to; raise CommandInvalid for a stream of none."""
    kind, _, name = stream.partition("-")
    if kind not in STATES or not name:
        raise CommandInvalid(
            f"{stream} is no stream of the market: account-ID, market-ID or payment-ID is one"
        )
    return STATES[kind]


def initial(stream: str) -> State:
    """Return the state of a stream without events."""
    return state_type(stream)(stream.partition("-")[2])


def decide(command: Command, states: Mapping[str, State], now: int) -> Decision:
    """Return what comes of a command at `now` ns since the epoch; raise a MarketError if it is refused.

    states: the state of each of streams_of(command); they are read, not changed
    A command that its own stream remembers gets its receipt again and no writes.
    """
    decider, _ = DECIDERS[type(command)]
    needed = [states[name] for name in streams_of(command)]
    done = needed[0].receipts.get(command.id)
    if done is not None:
        if done.user and getattr(command, "user", None) != done.user:
            raise CommandReused(
                f"the id {command.id} belongs to a command of another user: choose another one"
            )
        return Decision(done)
    return decider(command, *needed, now)


def evolve(state: State, event: Fact) -> State:
    """Apply an event to the state of its stream, in place, and return the state."""
    EVOLVERS[type(event)](state, event)
    return state


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(events.Event)


def encode_event(event: Fact) -> bytes:
    """Return an event as MessagePack; its tag says which one it is."""
    return _encoder.encode(event)


def decode_event(data: bytes) -> Fact:
    """Return the event in MessagePack bytes; raise msgspec.ValidationError if there is none."""
    event: Fact = _decoder.decode(data)
    return event
