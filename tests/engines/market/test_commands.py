"""Commands come strictly validated; each has a decider, each event its place."""

import json
from typing import Any

import pytest

from engines.market import (
    COMMANDS,
    EVENTS,
    decide,
    initial,
    make_command,
    read_command,
    state_type,
    streams_of,
)
from engines.market import commands as c
from engines.market.domain import DECIDERS, EVOLVERS
from engines.market.errors import CommandInvalid
from tests.engines.market.platform import Platform

ORDER: dict[str, Any] = {
    "type": "PlaceOrder",
    "id": "o1",
    "market": "m",
    "user": "ann",
    "side": "buy",
    "share": "yes",
    "price": 40,
    "size": 10,
}


def test_reads_a_command_from_json() -> None:
    command = read_command(json.dumps(ORDER).encode())
    assert command == make_command(c.PlaceOrder, **{k: v for k, v in ORDER.items() if k != "type"})
    assert streams_of(command) == ("market-m", "account-ann")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"price": 0}, "Expected `int` >= 1 - at `$.price`"),
        ({"price": 100}, "Expected `int` <= 99 - at `$.price`"),
        ({"price": 40.5}, "Expected `int`, got `float` - at `$.price`"),
        ({"price": "40"}, "Expected `int`, got `str` - at `$.price`"),
        ({"size": 0}, "Expected `int` >= 1 - at `$.size`"),
        ({"size": 10**9 + 1}, "Expected `int` <= 1000000000 - at `$.size`"),
        ({"side": "hold"}, "Invalid enum value 'hold' - at `$.side`"),
        ({"kind": "stop"}, "Invalid enum value 'stop' - at `$.kind`"),
        ({"user": "~house"}, "at `$.user`"),
        ({"market": "a b"}, "at `$.market`"),
        ({"market": "a\n"}, "at `$.market`"),
        ({"id": "o\n"}, "at `$.id`"),
        ({"id": ""}, "at `$.id`"),
        ({"colour": 1}, "Object contains unknown field `colour`"),
        ({"type": "Steal"}, "Invalid value 'Steal' - at `$.type`"),
    ],
)
def test_refuses_a_command_that_is_not_exactly_one(change: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandInvalid) as refused:
        read_command(json.dumps(ORDER | change).encode())
    assert told in str(refused.value)
    if "type" not in change:
        fields = {k: v for k, v in (ORDER | change).items() if k != "type"}
        with pytest.raises(CommandInvalid):
            make_command(c.PlaceOrder, **fields)


def test_refuses_a_command_that_lacks_a_field_and_bytes_that_are_no_json() -> None:
    with pytest.raises(CommandInvalid, match="Object missing required field `size`"):
        read_command(json.dumps({k: v for k, v in ORDER.items() if k != "size"}).encode())
    with pytest.raises(CommandInvalid, match="JSON is malformed"):
        read_command(b"{x}")


def test_every_command_has_a_decider_and_every_event_an_evolver() -> None:
    assert set(DECIDERS) == set(COMMANDS.values())
    assert set(EVOLVERS) == set(EVENTS.values())


def test_knows_which_state_a_stream_folds_to() -> None:
    assert [state_type(f"{kind}-x").__name__ for kind in ("account", "market", "payment")] == [
        "Account",
        "Market",
        "Payment",
    ]
    for stream in ("order-x", "market", "market-"):
        with pytest.raises(
            CommandInvalid, match="is no stream of the market: account-ID, market-ID or payment-ID"
        ):
            initial(stream)


def test_refuses_terms_that_make_no_sense() -> None:
    platform = Platform()
    with pytest.raises(CommandInvalid, match="closes_at 5 is in the past: it must be after"):
        platform.do(c.CreateMarket, market="m", question="?", closes_at=5)
    platform.open_market()
    platform.do(c.CloseMarket, market="m")
    with pytest.raises(CommandInvalid, match="yes and no are both 0: at least one must be more"):
        platform.do(c.ResolveMarket, market="m", yes=0, no=0)


def test_a_decision_depends_on_its_arguments_alone() -> None:
    command = make_command(c.CreateMarket, id="c", market="m", question="?")
    first, second = (decide(command, {"market-m": initial("market-m")}, 7) for _ in range(2))
    assert first == second
    assert first.writes[0].events[0].at == 7


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "A\n"}, {"email": "a@b\n"}, {"email": "ab"}, {"user": "-a"}]
)
def test_refuses_a_user_whose_data_would_break_a_line(change: dict[str, str]) -> None:
    with pytest.raises(CommandInvalid):
        make_command(c.RegisterUser, **({"id": "c", "user": "a", "name": "A", "email": "a@b"} | change))
