"""The liquidity maker, by example; test_rules has it among all other commands."""

import pytest

from engines.market import Receipt
from engines.market import commands as c
from engines.market.errors import FundsInsufficient, LimitPassed, LiquidityMissing, SharesInsufficient
from tests.engines.market.platform import Platform

SPONSORED = 6932  # cents: 100 shares deep, ln 2 units each, rounded up


@pytest.fixture
def funded(platform: Platform) -> Platform:
    platform.do(c.FundLiquidity, market="m", user="cat", depth=100)
    return platform


def take(platform: Platform, user: str, side: str, share: str, size: int, limit: int) -> Receipt:
    return platform.do(
        c.TakeLiquidity, market="m", user=user, side=side, share=share, size=size, limit=limit
    ).receipt


def test_a_sponsor_pays_all_that_can_be_lost_in_advance(funded: Platform) -> None:
    assert funded.account("cat").available == 100_000 - SPONSORED
    assert funded.market().ledger.cash["pool"] == SPONSORED


def test_sells_what_it_makes_and_buys_back_for_no_more(funded: Platform) -> None:
    bought = take(funded, "ann", "buy", "yes", 50, 5000)
    assert bought.amount == 2810
    assert funded.market().ledger.sets == 50
    sold = take(funded, "ann", "sell", "yes", 50, 0)
    assert sold.amount == 2809
    assert funded.market().ledger.sets == 0
    assert funded.market().ledger.cash["pool"] == SPONSORED + 1


def test_the_sponsor_gets_what_is_left(funded: Platform) -> None:
    take(funded, "ann", "buy", "yes", 50, 5000)
    funded.do(c.CloseMarket, market="m")
    funded.do(c.ResolveMarket, market="m", yes=1, no=0)
    funded.settle()
    assert funded.account("ann").available == 100_000 - 2810 + 5000
    assert funded.account("cat").available == 100_000 + 2810 - 5000


def test_a_void_market_gives_everybody_back_what_he_paid(funded: Platform) -> None:
    take(funded, "ann", "buy", "yes", 50, 5000)
    take(funded, "bob", "buy", "no", 20, 2000)
    funded.do(c.VoidMarket, market="m")
    funded.settle()
    assert [funded.account(user).available for user in ("ann", "bob", "cat")] == [100_000] * 3


def test_refuses_a_price_worse_than_the_limit(funded: Platform) -> None:
    with pytest.raises(LimitPassed, match="50 yes shares cost 2810 cents, the limit is 2809"):
        take(funded, "ann", "buy", "yes", 50, 2809)
    take(funded, "ann", "buy", "yes", 50, 2810)
    with pytest.raises(LimitPassed, match="50 yes shares pay 2809 cents, the limit is 2810"):
        take(funded, "ann", "sell", "yes", 50, 2810)


def test_refuses_what_is_not_covered_or_not_there(platform: Platform) -> None:
    with pytest.raises(LiquidityMissing, match="market m has no liquidity maker: place an order instead"):
        take(platform, "ann", "buy", "yes", 1, 100)
    with pytest.raises(FundsInsufficient, match=r"liquidity of depth 10000 costs 6,931\.48"):
        platform.do(c.FundLiquidity, market="m", user="cat", depth=10_000)
    platform.do(c.FundLiquidity, market="m", user="cat", depth=10)
    with pytest.raises(LiquidityMissing, match="has a liquidity maker already, paid by cat"):
        platform.do(c.FundLiquidity, market="m", user="ann", depth=10)
    with pytest.raises(FundsInsufficient, match="2000 yes shares and the fee cost"):
        take(platform, "ann", "buy", "yes", 2000, 10**9)
    with pytest.raises(SharesInsufficient):
        take(platform, "ann", "sell", "yes", 1, 0)
