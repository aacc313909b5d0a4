"""Each kind of order and each way two orders meet, by example; each refusal with what it says."""

from typing import Any

import pytest

from engines.market import Decision, Receipt
from engines.market import commands as c
from engines.market.errors import (
    CommandReused,
    FundsInsufficient,
    MarketStatusWrong,
    MarketUnknown,
    OrderExists,
    OrderForeign,
    OrderUnfillable,
    OrderUnknown,
    OrderWouldTrade,
    SharesInsufficient,
    UserInactive,
    UserUnknown,
)
from tests.engines.market.platform import Platform


def kinds(decision: Decision) -> list[str]:
    return [type(event).__name__ for event in decision.writes[0].events]


def position(platform: Platform, user: str) -> tuple[int, list[int]]:
    """Return a user's available cash and free shares."""
    return platform.account(user).available, platform.market().ledger.holding(user).free


def test_a_limit_order_that_meets_nobody_rests_and_holds_its_price(platform: Platform) -> None:
    decision = platform.order("ann", "buy", "yes", 40, 10)
    assert decision.receipt == Receipt("c12", "resting", filled=0, rest=10, user="ann")
    assert platform.market().book.depth(0) == [(40, 10, 1)]
    assert platform.account("ann").available == 100_000 - 400


def test_a_buy_of_no_stands_on_the_ask_side_of_the_yes_book(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 30, 10)
    assert platform.market().book.depth(1) == [(70, 10, 1)]
    assert platform.account("ann").available == 100_000 - 300


def test_a_buy_of_yes_and_a_buy_of_no_mint_sets(platform: Platform) -> None:
    platform.order("ann", "buy", "yes", 60, 10)
    decision = platform.order("bob", "buy", "no", 45, 10)
    assert decision.writes[0].events[1].match == "mint"  # type: ignore[attr-defined]
    # The maker's price counts: ann pays 60, so bob pays 40, not 45.
    assert position(platform, "ann") == (100_000 - 600, [10, 0])
    assert position(platform, "bob") == (100_000 - 400, [0, 10])
    assert platform.market().ledger.cash["escrow"] == 1000


def test_a_buy_and_a_sell_trade_shares(platform: Platform) -> None:
    platform.do(c.BuySets, market="m", user="ann", size=10)
    platform.order("ann", "sell", "no", 30, 10)
    decision = platform.order("bob", "buy", "no", 35, 4)
    assert decision.writes[0].events[1].match == "normal"  # type: ignore[attr-defined]
    assert position(platform, "ann") == (99_000 + 120, [10, 0])
    assert position(platform, "bob") == (100_000 - 120, [0, 4])
    assert platform.market().ledger.holding("ann").held == [0, 6]


def test_a_sell_of_yes_and_a_sell_of_no_merge_sets(platform: Platform) -> None:
    for user in ("ann", "bob"):
        platform.do(c.BuySets, market="m", user=user, size=10)
    platform.order("ann", "sell", "yes", 60, 10)
    decision = platform.order("bob", "sell", "no", 35, 4)
    assert decision.writes[0].events[1].match == "merge"  # type: ignore[attr-defined]
    assert position(platform, "ann")[0] == 99_000 + 240
    assert position(platform, "bob") == (99_000 + 160, [10, 6])
    assert platform.market().ledger.sets == 16


def test_an_order_is_filled_in_parts_best_price_first_and_its_rest_stays(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 45, 3)
    platform.order("bob", "buy", "no", 48, 5)
    decision = platform.order("cat", "buy", "yes", 55, 10)
    assert decision.receipt == Receipt(
        "c14", "partly filled", filled=8, rest=2, amount=5 * 52 + 3 * 55, user="cat"
    )
    assert kinds(decision) == ["OrderPlaced", "TradeExecuted", "TradeExecuted"]
    assert platform.market().book.depth(0) == [(55, 2, 1)]
    assert platform.account("cat").available == 100_000 - 5 * 52 - 3 * 55 - 2 * 55


def test_an_ioc_order_drops_what_it_does_not_get(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 45, 3)
    decision = platform.order("bob", "buy", "yes", 60, 10, "ioc")
    assert kinds(decision) == ["OrderPlaced", "TradeExecuted", "OrderCancelled"]
    assert decision.receipt == Receipt("c13", "cancelled", filled=3, amount=165, user="bob")
    assert len(platform.market().book) == 0
    assert platform.account("bob").available == 100_000 - 165


def test_an_ioc_sell_gets_its_shares_back(platform: Platform) -> None:
    platform.do(c.BuySets, market="m", user="ann", size=10)
    platform.order("ann", "sell", "yes", 60, 10, "ioc")
    assert platform.market().ledger.holding("ann").free == [10, 10]


def test_a_fok_order_is_filled_whole_or_refused(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 45, 3)
    with pytest.raises(
        OrderUnfillable, match=r"3 of 4 can be filled at 55 or better: order no more than that"
    ):
        platform.order("bob", "buy", "yes", 55, 4, "fok")
    assert platform.order("bob", "buy", "yes", 55, 3, "fok").receipt.status == "filled"


def test_a_post_only_order_rests_or_is_refused(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 45, 3)
    with pytest.raises(OrderWouldTrade, match=r"55 would trade at once with 55: .* buy needs at most 54"):
        platform.order("bob", "buy", "yes", 55, 4, "post-only")
    assert platform.order("bob", "buy", "yes", 54, 4, "post-only").receipt.status == "resting"
    with pytest.raises(OrderWouldTrade, match=r"46 would trade at once with 46: .* buy needs at most 45"):
        platform.order("cat", "buy", "no", 46, 1, "post-only")


def test_an_order_that_meets_the_user_s_own_takes_that_out(platform: Platform) -> None:
    platform.order("ann", "buy", "no", 45, 3)
    decision = platform.order("ann", "buy", "yes", 60, 5)
    assert kinds(decision) == ["OrderCancelled", "OrderPlaced"]
    assert platform.market().book.depth(1) == []
    assert platform.account("ann").available == 100_000 - 300


def test_a_taker_alone_pays_the_fee_and_it_is_symmetric(dear_platform: Platform) -> None:
    platform = dear_platform
    platform.do(c.BuySets, market="m", user="ann", size=100)
    platform.order("ann", "sell", "yes", 30, 50)
    bought = platform.order("bob", "buy", "yes", 30, 50).receipt
    platform.order("cat", "buy", "no", 70, 50)
    sold = platform.order("ann", "sell", "no", 70, 50).receipt
    assert bought.fee == sold.fee == 30  # 2 % of 30 cents for 50 shares
    assert platform.market().ledger.cash["fees"] == 60
    assert platform.account("bob").available == 100_000 - 50 * 30 - 30


def test_a_fee_is_rounded_up_once_for_the_whole_order(dear_platform: Platform) -> None:
    for user in ("ann", "bob"):
        dear_platform.order(user, "buy", "no", 99, 1)
    assert dear_platform.order("cat", "buy", "yes", 1, 2).receipt.fee == 1


def test_cancelling_gives_back_what_an_order_held(platform: Platform) -> None:
    platform.do(c.BuySets, market="m", user="ann", size=10)
    buy = platform.order("ann", "buy", "yes", 40, 10).receipt.subject
    sell = platform.order("ann", "sell", "no", 70, 10).receipt.subject
    assert platform.do(c.CancelOrder, market="m", user="ann", order=buy).receipt.amount == 400
    platform.do(c.CancelOrder, market="m", user="ann", order=sell)
    assert position(platform, "ann") == (99_000, [10, 10])


def test_the_same_order_again_is_answered_alike_and_placed_once(platform: Platform) -> None:
    order: dict[str, Any] = {
        "market": "m",
        "user": "ann",
        "side": "buy",
        "share": "yes",
        "price": 40,
        "size": 10,
    }
    first = platform.do(c.PlaceOrder, id="mine", **order)
    again = platform.do(c.PlaceOrder, id="mine", **order)
    assert again.receipt == first.receipt
    assert again.writes == ()
    assert len(platform.market().book) == 1


def test_refuses_another_user_s_command_id(platform: Platform) -> None:
    order: dict[str, Any] = {"market": "m", "side": "buy", "share": "yes", "price": 40, "size": 10}
    platform.do(c.PlaceOrder, id="mine", user="ann", **order)
    with pytest.raises(
        CommandReused, match="the id mine belongs to a command of another user: choose another"
    ):
        platform.do(c.PlaceOrder, id="mine", user="bob", **order)


def test_an_order_under_the_id_of_an_open_one_is_refused_even_when_it_is_long_ago(platform: Platform) -> None:
    platform.order("ann", "buy", "yes", 40, 10)
    market = platform.market()
    market.receipts = type(market.receipts)()
    with pytest.raises(OrderExists, match="order c12 is open in market m already: choose another id"):
        platform.do(
            c.PlaceOrder, id="c12", market="m", user="ann", side="buy", share="yes", price=40, size=10
        )


def test_sweeping_cancels_the_oldest_first_in_batches(platform: Platform) -> None:
    for user in ("ann", "bob", "ann", "cat"):
        platform.order(user, "buy", "yes", 40, 10)
    platform.do(c.CloseMarket, market="m")
    decision = platform.do(c.SweepOrders, market="m", limit=3)
    assert (decision.receipt.filled, decision.receipt.rest) == (3, 1)
    assert [write.stream for write in decision.writes] == ["market-m", "account-ann", "account-bob"]
    assert platform.account("ann").available == 100_000
    assert platform.do(c.SweepOrders, market="m", limit=3).receipt.rest == 0
    assert platform.do(c.SweepOrders, market="m", limit=3).writes == ()


def test_placing_writes_to_the_market_and_the_account_at_the_versions_read(platform: Platform) -> None:
    platform.do(c.BuySets, market="m", user="ann", size=10)
    platform.order("ann", "sell", "yes", 40, 10)
    decision = platform.order("bob", "buy", "yes", 40, 10)
    assert [(write.stream, write.checked) for write in decision.writes] == [
        ("market-m", True),
        ("account-bob", True),
        ("account-ann", False),
    ]


def test_refuses_what_the_account_does_not_cover(dear_platform: Platform) -> None:
    with pytest.raises(FundsInsufficient) as refused:
        dear_platform.order("ann", "buy", "yes", 50, 2000)
    assert str(refused.value) == (
        "this order costs at most 1,020.00, 1,000.00 is available: deposit 20.00 more or ask for less"
    )
    with pytest.raises(FundsInsufficient, match=r"1001 sets cost 1,001.00"):
        dear_platform.do(c.BuySets, market="m", user="ann", size=1001)


def test_refuses_to_sell_shares_that_are_not_free(platform: Platform) -> None:
    platform.do(c.BuySets, market="m", user="ann", size=10)
    platform.order("ann", "sell", "yes", 60, 8)
    with pytest.raises(SharesInsufficient, match="3 yes shares were asked for, 2 are free: sell no more, or"):
        platform.order("ann", "sell", "yes", 60, 3)
    with pytest.raises(SharesInsufficient):
        platform.do(c.RedeemSets, market="m", user="ann", size=3)
    with pytest.raises(SharesInsufficient, match="0 are free"):
        platform.order("bob", "sell", "yes", 60, 3)


def test_refuses_orders_of_unknown_and_of_closed_users(platform: Platform) -> None:
    with pytest.raises(UserUnknown, match="there is no user dan: register first"):
        platform.order("dan", "buy", "yes", 40, 1)
    platform.do(c.CloseUser, user="ann")
    with pytest.raises(UserInactive, match="user ann is closed: only withdrawals are possible"):
        platform.order("ann", "buy", "yes", 40, 1)


def test_refuses_orders_when_the_market_does_not_trade(platform: Platform) -> None:
    platform.do(c.CloseMarket, market="m")
    with pytest.raises(MarketStatusWrong, match="market m is closed: orders need an open market"):
        platform.order("ann", "buy", "yes", 40, 1)
    with pytest.raises(MarketUnknown, match="there is no market other: create it first"):
        platform.do(c.PlaceOrder, market="other", user="ann", side="buy", share="yes", price=40, size=1)


def test_refuses_orders_after_the_time_for_trading() -> None:
    platform = Platform()
    platform.add_user("ann", 1000)
    platform.open_market(closes_at=platform.now + 5)
    platform.order("ann", "buy", "yes", 1, 1)
    platform.now += 5
    with pytest.raises(MarketStatusWrong, match="market m traded until"):
        platform.order("ann", "buy", "yes", 1, 1)


def test_refuses_to_cancel_what_is_not_open_or_another_s(platform: Platform) -> None:
    order = platform.order("ann", "buy", "yes", 40, 10).receipt.subject
    with pytest.raises(
        OrderForeign, match=f"order {order} is not an order of bob: only its user may cancel it"
    ):
        platform.do(c.CancelOrder, market="m", user="bob", order=order)
    with pytest.raises(OrderUnknown, match="no order nothing is open in market m: it is filled or cancelled"):
        platform.do(c.CancelOrder, market="m", user="ann", order="nothing")
