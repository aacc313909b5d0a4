"""The opinion market: users trade shares that pay by the answer to a question. Pure: no I/O, no clock, no
randomness.

Three kinds of streams, each folded to one state by one decider:

    account-{user}     who the user is; cash that is not in a market: available, reserved, debt
    payment-{payment}  a deposit or a withdrawal, step by step
    market-{market}    a question's life, its orders and trades, the ledger of all money and shares in it

Each cent is in one stream at a time. FundsHeld moves it from an account into a market, FundsReleased back;
the market's stream says the same with OrderPlaced, TradeExecuted and so on, in the same append. So:

* Placing a buy order is one atomic append to two streams at the versions they were read at: the market's
  with the order and its trades, the buyer's account's with FundsHeld. Two orders can never spend the same
  cent.
* What a trade brings its makers goes to their accounts in that same append, at whatever version they are:
  adding money needs no decision. A write says which of both it is (`checked`). Shares never leave the
  market's stream.
* A settlement pays batches of accounts that way; taking it back reclaims from accounts that way, and what
  is gone by then becomes a debt which later money repays.

At every moment: available + reserved - debt of all accounts, and held + escrow + fees + pool of all
markets, are together what was paid in less what was paid out. The account `account-~house` gets fees and
what rounding leaves.

Tables to query are views (engines.market.views): pure folds of the same events.
"""

from engines.market.account import Account
from engines.market.commands import COMMANDS, Command, make_command, read_command
from engines.market.decision import HOUSE, Decision, Receipt, Write
from engines.market.domain import (
    decide,
    decode_event,
    encode_event,
    evolve,
    initial,
    state_type,
    streams_of,
)
from engines.market.errors import MarketError
from engines.market.events import EVENTS, Event, Fact
from engines.market.market import Market
from engines.market.payment import Payment
from engines.market.snapshot import State, restore, snapshot, state_hash

__all__ = [
    "COMMANDS",
    "EVENTS",
    "HOUSE",
    "Account",
    "Command",
    "Decision",
    "Event",
    "Fact",
    "Market",
    "MarketError",
    "Payment",
    "Receipt",
    "State",
    "Write",
    "decide",
    "decode_event",
    "encode_event",
    "evolve",
    "initial",
    "make_command",
    "read_command",
    "restore",
    "snapshot",
    "state_hash",
    "state_type",
    "streams_of",
]
