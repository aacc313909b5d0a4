"""What a decider answers: events for one or more streams, to be appended at once, and a receipt.

A write with `checked` is appended only if its stream is still at the version that was read; one without it
only adds money to an account, which no state can forbid, so that it may be appended at any version. All
writes of a decision go into the log in one atomic append or not at all. Called by every decider; read by
who appends.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from engines.market.events import Fact

HOUSE = "~house"  # the platform's own account: fees, and what rounding leaves
REMEMBERED = 1_000  # receipts in one state; the log knows the ids of older commands


def account_stream(user: str) -> str:
    """Return the name of a user's stream."""
    return f"account-{user}"


def market_stream(market: str) -> str:
    """Return the name of a market's stream."""
    return f"market-{market}"


def payment_stream(payment: str) -> str:
    """Return the name of a payment's stream."""
    return f"payment-{payment}"


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The answer to a command.

    subject: the id of what it was about
    status:  of the order, market, payment or user afterwards
    filled, rest: shares traded at once, shares in the book; or done and left of a batch
    amount, fee:  cents
    user:    whose command it was; empty: the platform's
    """

    subject: str
    status: str
    filled: int = 0
    rest: int = 0
    amount: int = 0
    fee: int = 0
    user: str = ""


class Write(msgspec.Struct, frozen=True):
    """Events for one stream."""

    stream: str
    events: tuple[Fact, ...]
    checked: bool


class Decision(msgspec.Struct, frozen=True):
    """The writes, and what is answered. No writes: the command was done before."""

    receipt: Receipt
    writes: tuple[Write, ...] = ()


def gathered(writes: Iterable[Write]) -> tuple[Write, ...]:
    """Return the writes with those to one stream put together."""
    found: dict[str, Write] = {}
    for write in writes:
        before = found.get(write.stream)
        if before is not None:
            write = Write(write.stream, before.events + write.events, before.checked or write.checked)
        found[write.stream] = write
    return tuple(found.values())


class Receipts:
    """Remember the answers to the latest commands by their ids."""

    __slots__ = ("by_command", "order")

    def __init__(self, items: list[tuple[str, Receipt]] | None = None) -> None:
        self.by_command: dict[str, Receipt] = dict(items or [])
        self.order: deque[str] = deque(self.by_command)

    def get(self, command: str) -> Receipt | None:
        """Return the answer that a command got; None: it is new, or long ago."""
        return self.by_command.get(command)

    def add(self, command: str, receipt: Receipt) -> None:
        """Remember an answer; forget the oldest beyond REMEMBERED."""
        if command not in self.by_command:
            self.order.append(command)
            if len(self.order) > REMEMBERED:
                del self.by_command[self.order.popleft()]
        self.by_command[command] = receipt

    def __iter__(self) -> Iterator[tuple[str, Receipt]]:
        """Yield what is remembered, oldest first."""
        return ((command, self.by_command[command]) for command in self.order)
