"""Hold the market scoring rule to its mathematics, in numbers of 60 digits."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.market import lmsr

depths = st.integers(1, 5_000)
sold = st.lists(st.integers(-3_000, 3_000), min_size=2, max_size=2)


def exact(depth: int, yes: int, no: int) -> Decimal:
    """Return C in cents."""
    b = Decimal(depth)
    return 100 * b * ((Decimal(yes) / b).exp() + (Decimal(no) / b).exp()).ln()


@settings(deadline=None)
@given(depths, sold)
def test_the_bounds_hold_the_exact_cost(depth: int, sold: list[int]) -> None:
    lower, upper = lmsr.cost_function(depth, *sold)
    with localcontext() as context:
        context.prec = 2000 // 30 + 60
        told = exact(depth, *sold) * (1 << lmsr.BITS)
        assert lower <= told <= upper
    assert upper - lower < 1 << 40


@settings(deadline=None)
@given(depths, sold, st.integers(0, 1), st.integers(1, 500))
def test_buying_and_selling_back_never_pays(depth: int, sold: list[int], kind: int, size: int) -> None:
    cost = lmsr.price_to_buy(depth, sold, kind, size)
    after = sold.copy()
    after[kind] += size
    gain = lmsr.price_to_sell(depth, after, kind, size)
    assert 0 <= gain <= cost <= 100 * size
    assert cost - gain <= 2


@settings(deadline=None)
@given(depths, sold, st.integers(0, 1), st.integers(1, 100), st.integers(1, 100))
def test_two_small_trades_cost_no_less_than_one(
    depth: int, sold: list[int], kind: int, first: int, second: int
) -> None:
    after = sold.copy()
    after[kind] += first
    parts = lmsr.price_to_buy(depth, sold, kind, first) + lmsr.price_to_buy(depth, after, kind, second)
    assert parts >= lmsr.price_to_buy(depth, sold, kind, first + second)


@settings(deadline=None)
@given(depths, st.lists(st.tuples(st.integers(0, 1), st.integers(-200, 200)), max_size=12))
def test_never_loses_more_than_was_paid_in_advance(depth: int, trades: list[tuple[int, int]]) -> None:
    sold, cash = [0, 0], lmsr.funding(depth)
    for kind, size in trades:
        if size > 0:
            cash += lmsr.price_to_buy(depth, sold, kind, size)
        elif size < 0:
            cash -= lmsr.price_to_sell(depth, sold, kind, -size)
        sold[kind] += size
        assert cash - 100 * max(sold) >= 0


@pytest.mark.parametrize(
    ("depth", "sold", "price"),
    [(100, [0, 0], 50), (100, [110, 0], 76), (100, [0, 110], 24), (1, [900, 0], 99), (1, [0, 900], 1)],
)
def test_tells_the_price_of_yes(depth: int, sold: list[int], price: int) -> None:
    assert lmsr.price_of_yes(depth, sold) == price


def test_knows_the_natural_logarithm_of_two() -> None:
    with localcontext() as context:
        context.prec = 60
        assert abs(Decimal(lmsr.LN_2) / (1 << lmsr.BITS) - Decimal(2).ln()) < Decimal(2) ** -88


def test_an_exponent_beyond_all_places_is_nothing() -> None:
    assert lmsr.price_to_buy(1, [0, 0], 0, 1_000_000) == 100_000_000 - 69
