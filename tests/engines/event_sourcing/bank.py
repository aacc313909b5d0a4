"""A bank as a domain of one stream at a time, as small as a Decider can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec

from core.errors import AgoraError, Source
from engines.event_sourcing import Command, Decider

Cents = Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Deposit(Command, frozen=True):
    account: str
    cents: Cents


class Withdraw(Command, frozen=True):
    account: str
    cents: Cents


class Deposited(msgspec.Struct, frozen=True, tag=True):
    cents: int


class Withdrawn(msgspec.Struct, frozen=True, tag=True):
    cents: int


class Account(msgspec.Struct):
    balance: int = 0
    movements: int = 0


class BalanceTooLow(AgoraError):
    status: ClassVar[int] = 409
    slug: ClassVar[str] = "balance-too-low"
    title: ClassVar[str] = "Balance too low"
    source: ClassVar[Source] = "client"


def decide(command: Deposit | Withdraw, account: Account) -> Sequence[Deposited | Withdrawn]:
    if isinstance(command, Deposit):
        return [Deposited(command.cents)]
    if command.cents > account.balance:
        raise BalanceTooLow(f"{command.cents} cents were asked for, there are {account.balance}")
    return [Withdrawn(command.cents)]


def evolve(account: Account, event: Deposited | Withdrawn) -> Account:
    account.balance += event.cents if isinstance(event, Deposited) else -event.cents
    account.movements += 1
    return account


def make_bank() -> Decider:
    return Decider(
        name="bank",
        commands=(Deposit, Withdraw),
        events=(Deposited, Withdrawn),
        state=Account,
        stream=lambda command: f"bank-{command.account}",
        initial=lambda stream: Account(),
        decide=decide,
        evolve=evolve,
    )
