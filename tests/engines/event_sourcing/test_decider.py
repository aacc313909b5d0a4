"""Deciders of one stream, and the schema of their states."""

from __future__ import annotations

import msgspec
import pytest

from engines.event_sourcing.errors import CommandInvalid
from engines.event_sourcing.schema import schema_of
from tests.engines.event_sourcing.bank import Account, Deposit, Deposited, make_bank


def test_is_a_domain_made_of_structs() -> None:
    bank = make_bank()
    command = bank.read_command(b'{"type": "Deposit", "id": "d1", "account": "ann", "cents": 5}')
    assert command == Deposit(id="d1", account="ann", cents=5)
    assert bank.streams_of(command) == ("bank-ann",)
    decision = bank.decide(command, {"bank-ann": Account()}, 0)
    assert [(w.stream, w.events, w.checked) for w in decision.writes] == [("bank-ann", (Deposited(5),), True)]
    assert bank.decode_event(bank.encode_event(Deposited(5))) == Deposited(5)
    assert bank.restore("bank-ann", bank.snapshot(Account(5, 1))) == Account(5, 1)
    with pytest.raises(CommandInvalid, match=r"\$\.cents"):
        bank.read_command(b'{"type": "Deposit", "id": "d1", "account": "ann", "cents": "5"}')


class Inner(msgspec.Struct):
    number: int


class InnerLater(msgspec.Struct):
    number: float


def state(**fields: object) -> type[msgspec.Struct]:
    return msgspec.defstruct("State", list(fields.items()))


def test_a_schema_changes_with_each_field_at_any_depth() -> None:
    first = schema_of(state(name=str, inner=Inner))
    assert first == schema_of(state(name=str, inner=Inner))
    others = [
        schema_of(state(name=str, inner=InnerLater)),
        schema_of(state(title=str, inner=Inner)),
        schema_of(state(inner=Inner, name=str)),
        schema_of(state(name=str, inner=list[Inner])),
        schema_of(state(name=str, inner=Inner | None)),
        schema_of(state(name=str, inner=Inner), form="2"),
    ]
    assert len({first, *others}) == 1 + len(others)
