"""What is counted of a demonstration."""

from __future__ import annotations

from gateway.demo.tally import Tally, quantile


def test_tells_rates_since_the_last_look_and_of_the_whole() -> None:
    now = [100.0]
    tally = Tally(lambda: now[0])
    now[0] = 110.0
    tally.look([])
    now[0] = 110.5
    tally.answered(0.5)
    now[0] = 112.0
    first = tally.look([])
    for _ in range(30):
        now[0] += 0.125
        tally.answered(0.003)
    tally.refused["funds-insufficient"] += 1
    second = tally.look([])
    now[0] = 200.0
    whole = tally.look([], whole=True)
    assert (first.rate, first.p50, first.seconds) == (0.5, 500.0, 12.0)
    assert (second.rate, second.p50, second.orders) == (8.0, 3.0, 31)
    assert (whole.rate, whole.p50, whole.p99, whole.seconds) == (5.4, 3.0, 500.0, 100.0)
    assert whole.refused == {"funds-insufficient": 1}


def test_finds_quantiles_of_any_number() -> None:
    assert quantile([], 0.99) == 0
    assert quantile([0.001], 0.99) == 1.0
    assert quantile([0.001 * number for number in range(100)], 0.99) == 99.0
