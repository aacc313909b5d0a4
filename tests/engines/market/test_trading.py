"""Many orders of all kinds: every rule after every event, then settled, taken back and settled again."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.market import MarketError, decode_event
from engines.market import commands as c
from engines.market.events import OrderPlaced, TradeExecuted
from engines.market.money import fee_basis, fee_of
from tests.engines.market.platform import SECOND, Platform

orders = st.tuples(
    st.sampled_from(["ann", "bob", "cat", "dan"]),
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(["yes", "no"]),
    st.one_of(st.integers(47, 53), st.integers(1, 99)),
    st.integers(1, 20),
    st.sampled_from(["limit", "limit", "limit", "limit", "ioc", "fok", "post-only"]),
)


def traded(fee: int, wanted: list[tuple[str, str, str, int, int, str]]) -> Platform:
    """Return a platform on which those orders were placed; refused ones leave nothing."""
    platform = Platform()
    for user in ("ann", "bob", "cat", "dan"):
        platform.add_user(user, 30_000)
    platform.open_market(fee=fee, window=SECOND)
    for user in ("ann", "cat"):
        platform.do(c.BuySets, market="m", user=user, size=40)
    for order in wanted:
        before = len(platform.log)
        try:
            platform.order(*order)
        except MarketError:
            assert len(platform.log) == before
    return platform


def facts(platform: Platform) -> list[Any]:
    return [decode_event(event) for stream, event in platform.log if stream == "market-m"]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from([0, 1, 133, 1000]), st.lists(orders, min_size=15, max_size=60), st.integers(1, 5))
@example(0, [("ann", "sell", "yes", 40, 5, "limit"), ("cat", "sell", "no", 50, 9, "limit")], 1)
def test_every_rule_holds_while_orders_trade_and_are_settled(
    fee: int, wanted: list[tuple[str, str, str, int, int, str]], limit: int
) -> None:
    platform = traded(fee, wanted)
    platform.do(c.CloseMarket, market="m")
    platform.do(c.ResolveMarket, market="m", yes=2, no=1)
    platform.settle(limit)
    platform.take_back(limit)
    platform.do(c.VoidMarket, market="m")
    platform.settle(limit)
    assert sum(platform.account(user).available for user in ("ann", "bob", "cat", "dan", "~house")) == 120_000
    platform.check_replay(len(platform.log) // 2)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from([0, 1, 133, 1000]), st.lists(orders, min_size=15, max_size=60))
def test_trades_add_up_to_their_order_at_its_price_or_better_with_its_fee(
    fee: int, wanted: list[tuple[str, str, str, int, int, str]]
) -> None:
    told = facts(traded(fee, wanted))
    placed = {fact.order: fact for fact in told if isinstance(fact, OrderPlaced)}
    trades = [fact for fact in told if isinstance(fact, TradeExecuted)]
    for order in placed.values():
        own = [trade for trade in trades if trade.taker_order == order.order]
        assert sum(trade.size for trade in own) == order.filled
        assert sum(trade.fee for trade in own) == order.fee
        assert order.fee == fee_of(fee, sum(fee_basis(trade.price) * trade.size for trade in own))
        paid = [trade.price if order.share == "yes" else 100 - trade.price for trade in own]
        assert all(price <= order.price if order.side == "buy" else price >= order.price for price in paid)
        assert sum(price * trade.size for price, trade in zip(paid, own, strict=True)) == order.amount
    for trade in trades:
        maker = placed[trade.maker_order]
        assert trade.price == (maker.price if maker.share == "yes" else 100 - maker.price)
        assert maker.user != trade.taker
        assert maker.number < placed[trade.taker_order].number
    for order in placed.values():
        made = sum(trade.size for trade in trades if trade.maker_order == order.order)
        assert order.filled + made <= order.size
    assert [trade.number for trade in trades] == list(range(1, len(trades) + 1))
