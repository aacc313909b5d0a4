"""Interleaved rounds: in each round every contender has one turn in every scenario, so drift hits all
alike.

Called by `python -m bench`; the results go to the table, the figures and the JSON file.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.contenders import Contender, Scenario
from bench.measure import Sample, take_turn
from bench.upstream import small_json_upstream


@dataclass
class Results:
    """The samples of every contender in every scenario, one a round."""

    samples: dict[tuple[Scenario, str], list[Sample]] = field(default_factory=dict)

    def add(self, scenario: Scenario, contender: str, sample: Sample) -> None:
        """Append the sample of one turn."""
        self.samples.setdefault((scenario, contender), []).append(sample)

    def values(self, scenario: Scenario, contender: str, name: str) -> list[float]:
        """Return field `name` of the samples, one for each round; empty if nothing was measured."""
        return [float(getattr(sample, name)) for sample in self.samples.get((scenario, contender), [])]

    def median(self, scenario: Scenario, contender: str, name: str) -> float | None:
        """Return the median of field `name`, or None if nothing was measured."""
        values = self.values(scenario, contender, name)
        return statistics.median(values) if values else None

    def cost_ratio(self, over: tuple[Scenario, str], under: tuple[Scenario, str]) -> float | None:
        """Return how many times the processor time of `under` a request costs in `over`, None if unknown.

        Each round gives its own ratio, of turns taken close together; the result is their median. So a
        machine that becomes slower or faster during the run changes it little.
        """
        pairs = zip(self.values(*over, "cpu_us"), self.values(*under, "cpu_us"), strict=False)
        ratios = [a / b for a, b in pairs]
        return statistics.median(ratios) if ratios else None


def play_rounds(
    contenders: Iterable[Contender],
    scenarios: Iterable[Scenario],
    rounds: int,
    seconds: float,
    report: Callable[[str], None],
) -> Results:
    """Play all rounds and return their samples; `report` gets a line for each turn."""
    results = Results()
    turns = [(s, c) for s in scenarios for c in contenders if s in c.scenarios]
    with small_json_upstream() as upstream:
        for number in range(1, rounds + 1):
            for scenario, contender in turns:
                sample = take_turn(contender, scenario, upstream, seconds)
                results.add(scenario, contender.name, sample)
                report(
                    f"round {number}/{rounds}  {scenario:8} {contender.name:16} "
                    f"{sample.cpu_us:8.2f} us  {sample.requests_per_second:8.0f} req/s"
                )
    return results
