"""What is counted of a demonstration."""

from __future__ import annotations

from gateway.demo.tally import Tally, quantile


def test_tells_rates_since_the_last_look_and_of_the_whole() -> None:
    now = [100.0]
    tally = Tally(lambda: now[0])
    for _ in range(10):
        tally.answered(0.001)
    now[0] = 102.0
    first = tally.look([])
    for _ in range(30):
        tally.answered(0.003)
    tally.refused["funds-insufficient"] += 1
    now[0] = 103.0
    second = tally.look([])
    whole = tally.look([], whole=True)
    assert (first.rate, first.p50, first.seconds) == (5.0, 1.0, 2.0)
    assert (second.rate, second.p50, second.orders) == (30.0, 3.0, 40)
    assert (whole.rate, whole.p50, whole.p99) == (13.3, 3.0, 3.0)
    assert whole.refused == {"funds-insufficient": 1}


def test_finds_quantiles_of_any_number() -> None:
    assert quantile([], 0.99) == 0
    assert quantile([0.001], 0.99) == 1.0
    assert quantile([0.001 * number for number in range(100)], 0.99) == 99.0
