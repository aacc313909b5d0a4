"""Traders decide by their seed, and as people would."""

from __future__ import annotations

from collections import Counter

from gateway.demo.trader import LARGEST, Cancel, MarketSeen, Order, Trader

MARKETS = [MarketSeen("m1", "?", 0.8, price=50), MarketSeen("m2", "?", 0.2, price=50)]


def steps(trader: Trader, count: int, *, rest: int = 0, filled: int = 0) -> list[Order | Cancel]:
    """Let a trader act so often; each order is answered alike."""
    taken = []
    for _ in range(count):
        step = trader.next(MARKETS)
        if isinstance(step, Order):
            trader.placed(step, filled if step.side == "buy" else 0, rest)
        else:
            trader.cancelled(step.order)
        taken.append(step)
    return taken


def test_does_the_same_with_the_same_seed() -> None:
    assert steps(Trader("u", "1"), 50, rest=3) == steps(Trader("u", "1"), 50, rest=3)
    assert steps(Trader("u", "1"), 50) != steps(Trader("u", "2"), 50)


def test_gives_every_step_a_name_of_its_own() -> None:
    names = [step.id for step in steps(Trader("u", "1"), 500, rest=1, filled=1)]
    assert len(set(names)) == 500


def test_places_orders_of_every_kind_within_bounds() -> None:
    orders = [step for step in steps(Trader("u", "1"), 500) if isinstance(step, Order)]
    assert {order.kind for order in orders} == {"limit", "ioc", "fok", "post-only"}
    assert all(1 <= order.price <= 99 and 1 <= order.size <= LARGEST for order in orders)


def test_bets_on_what_it_believes() -> None:
    bought = Counter(
        (order.market, order.share)
        for number in range(100)
        for order in steps(Trader(f"u{number}", str(number)), 10)
        if isinstance(order, Order)
    )
    assert bought["m1", "yes"] > 2 * bought["m1", "no"]
    assert bought["m2", "no"] > 2 * bought["m2", "yes"]


def test_cancels_only_what_waits_and_sells_only_what_it_has() -> None:
    assert all(isinstance(step, Order) and step.side == "buy" for step in steps(Trader("u", "1"), 200))
    waiting: set[str] = set()
    for step in steps(Trader("u", "1"), 300, rest=1):
        if isinstance(step, Order):
            waiting.add(step.id)
        else:
            waiting.remove(step.order)
    sold = [step for step in steps(Trader("u", "1"), 200, filled=5) if isinstance(step, Order)]
    assert "sell" in {step.side for step in sold}
