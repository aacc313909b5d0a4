"""Money that is lost or made is found, wherever that happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.demo.conservation import Holding, Owner, conservation

# Ann bought 10 YES for 60 cents each and a fee of 6, Bob 10 NO for 40; YES was right, 3 cents are rounded.
ANN = Owner("ann", 5_391, 5_000, {"m": Holding(10, 0, -606, 997)})
BOB = Owner("bob", 4_600, 5_000, {"m": Holding(0, 10, -400, 0)})


def test_adds_up_what_users_markets_and_the_platform_have() -> None:
    settled = conservation([ANN, BOB], {"m"}, 9)
    assert settled.holds
    assert (settled.deposits, settled.cash, settled.escrow, settled.platform) == (10_000, 9_991, 0, 9)
    ann = replace(ANN, cash=4_394, holdings={"m": Holding(10, 0, -606, 0)})
    still_open = conservation([ann, BOB], set(), 0)
    assert still_open.holds
    assert (still_open.cash, still_open.escrow, still_open.platform) == (8_994, 1_000, 6)
    assert conservation([], set(), 0).holds


@pytest.mark.parametrize(
    ("owners", "gained", "wrong"),
    [
        ([replace(ANN, cash=5_390), BOB], 9, "ann paid in 5000 and gained 391, but has 5390"),
        ([ANN, replace(BOB, cash=4_601)], 9, "bob paid in"),
        ([replace(ANN, holdings={"m": Holding(9, 0, -606, 997)}), BOB], 9, "9 YES shares and 10 NO"),
        (
            [replace(ANN, cash=5_401, holdings={"m": Holding(10, 0, -606, 1_007)}), BOB],
            9,
            "has -1 cents left",
        ),
        ([ANN, BOB], 8, "left 9 cents to the platform, whose account got 8"),
        ([ANN], 9, "10 YES shares and 0 NO"),
    ],
)
def test_finds_what_does_not_add_up(owners: list[Owner], gained: int, wrong: str) -> None:
    found = conservation(owners, {"m"}, gained)
    assert not found.holds
    assert wrong in " ".join(found.wrong)
