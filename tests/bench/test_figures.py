import pytest

from bench.contenders import Scenario
from bench.figures import at_most, code_figures, memory_figures, rate_figures, traffic_figures
from bench.idle import IdleResult
from bench.measure import Sample
from bench.rounds import Results


def sample(cpu_us: float, rate: float = 50_000.0) -> Sample:
    return Sample(cpu_us, rate, 100, 200, 1, 1.0, 1)


def results(**costs: list[float]) -> Results:
    """Return results of the proxied scenario: contender to the costs of its rounds."""
    made = Results()
    for name, values in costs.items():
        for value in values:
            made.add(Scenario.PROXIED, name, sample(value))
    return made


def test_a_figure_without_a_measurement_is_neither_reached_nor_missed() -> None:
    figures = traffic_figures(Results()) + code_figures({}) + rate_figures({}) + memory_figures({}, {})
    assert {figure.reached for figure in figures} == {None}


def test_a_bound_belongs_to_what_is_allowed() -> None:
    assert at_most("x", 5, "us", 5.0).reached
    assert at_most("x", 5, "us", 5.01).reached is False


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The machine became half as fast in the last two rounds; agora cost 0.9 of nginx in all but one.
    measured = results(agora=[9, 9, 30, 18, 18], nginx=[10, 10, 20, 20, 20])
    assert traffic_figures(measured)[0].value == pytest.approx(0.9)


def test_a_plugins_figure_is_compared_with_nginx_that_has_none() -> None:
    measured = results(nginx=[20])
    measured.add(Scenario.PLUGINS, "agora", sample(21))
    measured.add(Scenario.PLUGINS, "nginx", sample(40))
    assert traffic_figures(measured)[1].value == pytest.approx(1.05)


def test_a_fixed_answer_must_reach_its_rate() -> None:
    measured = Results()
    measured.add(Scenario.FIXED, "agora", sample(9, rate=85_983))
    assert traffic_figures(measured)[3].reached is False


def test_the_dearest_case_of_a_bench_counts_but_not_one_in_parentheses() -> None:
    call, match, growth, limit, _ = code_figures({"plugin_call": {"sync": 100, "worse": 200, "(async)": 900}})
    assert call.value == pytest.approx(0.2)
    assert (match.value, growth.value, limit.value) == (None, None, None)


def test_an_engine_is_judged_by_its_orders_in_a_second() -> None:
    book = {"compiled book, an order": 5_001.0, "(whole decider, an order)": 12_000.0}
    assert code_figures({"matching": book})[4].reached is False


def test_the_log_is_judged_beside_those_that_had_turns_with_it() -> None:
    batches = {
        "batched append": 600_000,
        "bare LMDB, putmulti": 900_000,
        "(ratio)": 0.66,
        "read and decode": 2e6,
    }
    awaited = {"agora": 99e3, "(agora, p99, ms)": 5, "umadb": 30e3, "eventsourcing, SQLite": 3e3}
    figures = rate_figures({"event_store": batches, "event_log": awaited})
    assert [figure.reached for figure in figures] == [True, True, False, True, True, True, None, None, None]
    assert figures[1].must_reach == "at least 1,000,000 events/s"


def test_a_rebuild_is_judged_by_its_slowest_table() -> None:
    rebuilt = {"view of depth": 9e5, "all views at once": 199_999.0, "(events)": 5.0}
    assert rate_figures({"projection_rebuild": rebuilt})[6].value == 199_999.0


def test_orders_over_http_are_judged_by_rate_and_by_the_slowest_in_a_hundred() -> None:
    figures = rate_figures({"orders": {"orders": 5_000.0, "(p99, ms)": 40.1}})[-2:]
    assert [figure.reached for figure in figures] == [True, False]


def test_idle_connections_are_judged_in_thousands_of_bytes() -> None:
    result = IdleResult(10_000, 5_001.0, 0, 50_010_000, 0.0)
    assert memory_figures({"agora": result}, {})[0].reached is False
