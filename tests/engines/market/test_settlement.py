"""What settling pays, by example; stopping anywhere; taking back."""

import pytest

from engines.market import commands as c
from engines.market import restore, snapshot
from engines.market.errors import MarketStatusWrong, OrdersOpen, WindowOver
from engines.market.market import Market
from tests.engines.market.platform import SECOND, Platform


def mint(platform: Platform, price: int, size: int, yes: str = "ann", no: str = "bob") -> None:
    platform.order(yes, "buy", "yes", price, size)
    platform.order(no, "buy", "no", 100 - price, size)


def end(platform: Platform, yes: int, no: int) -> None:
    platform.do(c.CloseMarket, market="m")
    platform.do(c.ResolveMarket, market="m", yes=yes, no=no)


def cash(platform: Platform) -> list[int]:
    return [platform.account(user).available for user in ("ann", "bob", "cat", "~house")]


@pytest.mark.parametrize(
    ("yes", "no", "expected"),
    [
        (1, 0, [100_000 + 400, 99_600, 100_000, 0]),
        (0, 1, [100_000 - 600, 100_600, 100_000, 0]),
        (1, 1, [100_000 - 100, 100_100, 100_000, 0]),
        (1, 2, [99_400 + 333, 99_600 + 666, 100_000, 1]),
    ],
)
def test_shares_pay_by_the_answer_and_rounding_goes_to_the_house(
    platform: Platform, yes: int, no: int, expected: list[int]
) -> None:
    mint(platform, 60, 10)
    end(platform, yes, no)
    platform.settle()
    assert cash(platform) == expected


def test_fees_go_to_the_house(dear_platform: Platform) -> None:
    mint(dear_platform, 60, 10)
    end(dear_platform, 1, 0)
    dear_platform.settle()
    assert cash(dear_platform) == [100_400, 99_592, 100_000, 8]


def test_a_void_market_pays_back_what_was_paid_with_the_fees(dear_platform: Platform) -> None:
    mint(dear_platform, 60, 10)
    dear_platform.do(c.VoidMarket, market="m", reason="the question was unclear")
    dear_platform.settle()
    assert cash(dear_platform) == [100_000, 100_000, 100_000, 0]


def test_a_void_market_pays_in_proportion_when_somebody_left_with_a_gain(platform: Platform) -> None:
    mint(platform, 60, 10)
    platform.order("ann", "sell", "yes", 90, 10)
    platform.order("cat", "buy", "yes", 90, 10)
    platform.do(c.VoidMarket, market="m")
    platform.settle()
    # cat paid 900 and bob 400, there is 1000: ann keeps her gain of 300.
    assert cash(platform) == [100_300, 99_600 + 307, 99_100 + 692, 1]


def test_settles_the_same_however_small_the_batches_are_and_wherever_it_stops(platform: Platform) -> None:
    mint(platform, 60, 10)
    mint(platform, 30, 5, yes="cat", no="ann")
    end(platform, 1, 3)
    platform.do(c.StartSettlement, market="m")
    steps = 0
    while platform.market().status == "settling":
        platform.states["market-m"] = restore(Market, snapshot(platform.market()))  # a new process goes on
        receipt = platform.do(c.SettleBatch, market="m", limit=1).receipt
        steps += 1
        assert receipt.rest == 3 - steps
    assert steps == 3
    assert receipt.status == "settled"
    assert sum(cash(platform)) == 300_000
    assert platform.account("cat").available == 100_000 - 150 + 125


def test_a_batch_asked_for_twice_pays_once(platform: Platform) -> None:
    mint(platform, 60, 10)
    end(platform, 1, 0)
    platform.do(c.StartSettlement, market="m")
    first = platform.do(c.SettleBatch, id="batch", market="m", limit=1)
    again = platform.do(c.SettleBatch, id="batch", market="m", limit=1)
    assert (again.receipt, again.writes) == (first.receipt, ())
    assert platform.account("ann").available == 100_400


def test_taking_back_reclaims_what_was_paid_and_the_market_can_be_resolved_anew(
    dear_platform: Platform,
) -> None:
    platform = Platform()
    for user in ("ann", "bob", "cat"):
        platform.add_user(user, 100_000)
    platform.open_market(fee=200, window=SECOND)
    mint(platform, 60, 10)
    end(platform, 1, 0)
    platform.settle()
    platform.take_back(limit=1)
    assert cash(platform) == [99_400, 99_592, 100_000, 0]
    assert platform.market().status == "closed"
    platform.do(c.ResolveMarket, market="m", yes=0, no=1)
    platform.settle()
    assert cash(platform) == [99_400, 100_592, 100_000, 8]


def test_a_payout_that_was_spent_becomes_a_debt_that_later_money_repays(platform: Platform) -> None:
    mint(platform, 60, 10)
    end(platform, 1, 0)
    platform.settle()
    platform.do(c.RequestWithdrawal, payment="out", user="ann", amount=100_000)
    platform.do(c.ConfirmWithdrawal, payment="out")
    platform.take_back()
    ann = platform.account("ann")
    assert (ann.available, ann.debt) == (0, 600)
    platform.pay_in("ann", 1000)
    assert (ann.available, ann.debt) == (400, 0)


def test_a_half_done_settlement_can_be_taken_back(platform: Platform) -> None:
    mint(platform, 60, 10)
    end(platform, 1, 0)
    platform.do(c.StartSettlement, market="m")
    platform.do(c.SettleBatch, market="m", limit=1)
    platform.take_back()
    assert cash(platform) == [99_400, 99_600, 100_000, 0]


def test_refuses_to_take_back_when_the_window_is_over(platform: Platform) -> None:
    end(platform, 1, 0)
    platform.now += 100 * SECOND
    with pytest.raises(WindowOver, match=r"market m could be taken back until \d+; it is \d+ now"):
        platform.do(c.UnresolveMarket, market="m")


def test_refuses_to_settle_while_orders_are_open(platform: Platform) -> None:
    platform.order("ann", "buy", "yes", 40, 1)
    end(platform, 1, 0)
    with pytest.raises(OrdersOpen, match="1 orders are open in market m: sweep them first"):
        platform.do(c.StartSettlement, market="m")


def test_refuses_each_step_out_of_turn(platform: Platform) -> None:
    refusals: list[tuple[type[c.Command], str]] = [
        (c.SettleBatch, "market m is open: start the settlement first"),
        (c.StartSettlement, "market m is open: resolve or void it first"),
        (c.ReverseBatch, "market m is open: take its resolution back first"),
        (c.UnresolveMarket, "market m is open: there is no resolution to take back"),
        (c.SweepOrders, "market m is open: close, resolve or void it first"),
        (c.DeleteMarket, "market m is open: only a market that never opened or is settled can be deleted"),
        (c.OpenMarket, "market m is open: only a created or closed market can be opened"),
    ]
    for kind, told in refusals:
        with pytest.raises(MarketStatusWrong, match=told):
            platform.do(kind, market="m")
    with pytest.raises(MarketStatusWrong, match="market m is open: close it first"):
        platform.do(c.ResolveMarket, market="m", yes=1, no=0)


def test_deletes_a_settled_market_only_after_its_window(platform: Platform) -> None:
    end(platform, 1, 0)
    platform.settle()
    with pytest.raises(WindowOver, match="market m may be taken back until"):
        platform.do(c.DeleteMarket, market="m")
    platform.now += 100 * SECOND
    assert platform.do(c.DeleteMarket, market="m").receipt.status == "deleted"
