"""Interleaved rounds: in each round all contenders are started, and have short windows of load in turn.

A machine that becomes slower or faster for a while so does it for all of them alike.

Called by `python -m bench`; the results go to the table, the figures and the JSON file.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.contenders import Contender, Scenario
from bench.measure import Sample, measure_window, warm
from bench.upstream import small_json_upstream


@dataclass
class Results:
    """The samples of every contender in every scenario, one a window."""

    samples: dict[tuple[Scenario, str], list[Sample]] = field(default_factory=dict)

    def add(self, scenario: Scenario, contender: str, sample: Sample) -> None:
        """Append the sample of one window."""
        self.samples.setdefault((scenario, contender), []).append(sample)

    def values(self, scenario: Scenario, contender: str, name: str) -> list[float]:
        """Return field `name` of the samples, one for each window; empty if nothing was measured."""
        return [float(getattr(sample, name)) for sample in self.samples.get((scenario, contender), [])]

    def median(self, scenario: Scenario, contender: str, name: str) -> float | None:
        """Return the median of field `name`, or None if nothing was measured."""
        values = self.values(scenario, contender, name)
        return statistics.median(values) if values else None

    def cost_ratio(self, over: tuple[Scenario, str], under: tuple[Scenario, str]) -> float | None:
        """Return how many times the processor time of `under` a request costs in `over`, None if unknown.

        Each pair of windows, taken close together, gives its own ratio; the result is their median.
        """
        pairs = zip(self.values(*over, "cpu_us"), self.values(*under, "cpu_us"), strict=False)
        ratios = [a / b for a, b in pairs]
        return statistics.median(ratios) if ratios else None

    def latest(self, scenario: Scenario, contender: str, windows: int) -> str:
        """Describe the medians of the last so many windows."""
        cost, rate = (
            statistics.median(self.values(scenario, contender, name)[-windows:])
            for name in ("cpu_us", "requests_per_second")
        )
        return f"{scenario:8} {contender:16} {cost:8.2f} us  {rate:8.0f} req/s"


def play_rounds(
    contenders: Iterable[Contender],
    scenarios: Iterable[Scenario],
    rounds: int,
    windows: int,
    seconds: float,
    report: Callable[[str], None],
) -> Results:
    """Play all rounds and return their samples; `report` gets a line for each contender and round."""
    results = Results()
    turns = [(s, c) for s in scenarios for c in contenders if s in c.scenarios]
    with small_json_upstream() as upstream:
        for number in range(1, rounds + 1):
            with contextlib.ExitStack() as stack:
                servers = [stack.enter_context(warm(c, s, upstream)) for s, c in turns]
                for _ in range(windows):
                    for (scenario, contender), server in zip(turns, servers, strict=True):
                        results.add(scenario, contender.name, measure_window(server, seconds))
            for scenario, contender in turns:
                report(f"round {number}/{rounds}  {results.latest(scenario, contender.name, windows)}")
    return results
