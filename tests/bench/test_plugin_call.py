"""The costs of plugins: every case is measured, in nanoseconds."""

from __future__ import annotations

from bench.plugin_call import cases, measure


def test_measures_every_case() -> None:
    costs = measure()
    assert set(costs) == set(cases()[0])
    assert all(-1_000 < cost < 1_000_000 for cost in costs.values())


def test_one_figure_is_judged_the_rest_are_shown() -> None:
    judged = [label for label in cases()[0] if not label.startswith("(")]
    assert judged == ["a Python method that does nothing"]
