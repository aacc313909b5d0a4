"""The views say what the states say, whatever happened; and each by example."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.market import HOUSE, Account, decode_event
from engines.market import commands as c
from engines.market.views import (
    VIEWS,
    Depth,
    Leaders,
    Markets,
    Portfolios,
    Prices,
    Trades,
    view_image,
    view_of_image,
    view_of_pieces,
    view_pieces,
)
from engines.market.views import view as view_module
from engines.market.views.prices import MINUTE, Candle
from engines.market.views.view import ViewType
from tests.engines.market.platform import SECOND, Platform
from tests.engines.market.test_trading import orders, traded


def folded(kind: type[ViewType], platform: Platform) -> ViewType:
    view = kind()
    for _, event in platform.log:
        view.apply(decode_event(event))
    return view


def check_views(platform: Platform) -> None:
    market = platform.market()
    row = folded(Markets, platform).rows["m"]
    assert (row.status, row.trades) == (market.status, market.trades)
    assert (row.yes, row.no) == ((0, 0) if row.status == "reversing" else (market.yes, market.no))
    depth = folded(Depth, platform).markets.get("m")
    for side in (0, 1):
        assert (depth.side(side) if depth else []) == market.book.depth(side)
    portfolios = folded(Portfolios, platform)
    for name, state in platform.states.items():
        if isinstance(state, Account) and state.user != HOUSE:
            portfolio = portfolios.of(state.user)
            assert portfolio.available == state.available - state.debt, name
            assert portfolio.reserved == state.reserved
    for user, holding in market.ledger.holdings.items():
        position = portfolios.of(user).position("m")
        assert [position.yes, position.no] == [holding.shares(0), holding.shares(1)]
        assert (position.net, position.payout) == (-holding.net, holding.paid)
        assert position.orders == {order.id: order.left for order in market.book if order.user == user}
    leaders = folded(Leaders, platform)
    if market.status == "settled":
        won = {user: holding.paid - holding.net for user, holding in market.ledger.holdings.items()}
        assert {leader.user: leader.profit for leader in leaders.top()} == {
            user: profit for user, profit in won.items() if user in leaders.users
        }
        assert all(profit == 0 for user, profit in won.items() if user not in leaders.users)
    else:
        assert leaders.top() == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 133]), st.lists(orders, min_size=5, max_size=40), st.integers(1, 5))
def test_views_agree_with_the_states_at_every_turn(
    fee: int, wanted: list[tuple[str, str, str, int, int, str]], limit: int
) -> None:
    platform = traded(fee, wanted)
    check_views(platform)
    platform.do(c.CloseMarket, market="m")
    platform.do(c.ResolveMarket, market="m", yes=2, no=1)
    check_views(platform)
    platform.settle(limit)
    check_views(platform)
    platform.do(c.UnresolveMarket, market="m")
    check_views(platform)
    while platform.market().status == "reversing":
        platform.do(c.ReverseBatch, market="m", limit=limit)
        check_views(platform)
    platform.do(c.VoidMarket, market="m")
    platform.settle(limit)
    check_views(platform)


@settings(max_examples=30, deadline=None)
@given(st.lists(orders, min_size=5, max_size=40), st.floats(0, 1))
def test_an_image_with_the_tail_equals_a_fold(
    wanted: list[tuple[str, str, str, int, int, str]], where: float
) -> None:
    platform = traded(50, wanted)
    cut = int(where * len(platform.log))
    for kind in VIEWS.values():
        view = kind()
        for _, event in platform.log[:cut]:
            view.apply(decode_event(event))
        view = view_of_image(kind, view_image(view))
        for _, event in platform.log[cut:]:
            view.apply(decode_event(event))
        assert view == folded(kind, platform)


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_an_image_in_pieces_is_the_whole(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(view_module, "PIECE", most)
    for number in range(20):
        platform.order("ann", "buy", "yes", 40 + number, 10)
        platform.order("bob", "buy", "no", 60, 4)
    for kind in VIEWS.values():
        view = folded(kind, platform)
        pieces = list(view_pieces(view))
        assert len(pieces) <= len(kind.__struct_fields__) or most < 1 << 20
        assert view_of_pieces(kind, pieces) == view
        assert view_of_pieces(kind, [view_image(view)]) == view
        assert view_of_pieces(kind, []) == kind()
    assert most > 1 or len(list(view_pieces(folded(Trades, platform)))) == 3  # a market and two users


def test_two_views_share_nothing(platform: Platform) -> None:
    platform.order("ann", "buy", "yes", 40, 10)
    platform.order("bob", "buy", "no", 60, 4)
    for kind in VIEWS.values():
        folded(kind, platform)
        assert kind() == kind()
        assert view_image(kind()) != view_image(folded(kind, platform)) or kind is Leaders


def test_keeps_prices_by_the_minute_and_joins_minutes(platform: Platform) -> None:
    platform.now = 600 * MINUTE
    for price, wait in ((40, 0), (45, 10 * SECOND), (38, 0), (50, MINUTE), (51, 0)):
        platform.now += wait
        platform.order("ann", "buy", "yes", price, 2)
        platform.order("bob", "buy", "no", 100 - price, 2)
    prices = folded(Prices, platform)
    assert prices.candles("m") == [
        Candle(600 * MINUTE, 40, 45, 38, 38, 6),
        Candle(601 * MINUTE, 50, 51, 50, 51, 4),
    ]
    assert prices.candles("m", minutes=5) == [Candle(600 * MINUTE, 40, 51, 38, 51, 10)]
    assert prices.candles("m", after=601 * MINUTE) == [Candle(601 * MINUTE, 50, 51, 50, 51, 4)]


def test_shows_the_latest_trades_newest_first(platform: Platform) -> None:
    for price in (40, 45):
        platform.order("ann", "buy", "yes", price, 2)
        platform.order("bob", "buy", "no", 100 - price, 2)
    trades = folded(Trades, platform)
    assert [trade.number for trade in trades.of_market("m")] == [2, 1]
    assert [trade.price for trade in trades.of_user("ann", 1)] == [45]
    assert trades.of_user("cat") == []


def test_names_the_events_it_needs() -> None:
    assert Trades.event_types() == ("TradeExecuted", "MarketDeleted")
