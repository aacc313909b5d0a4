"""Metrics as text for Prometheus, merged over all workers.

The rule: a scrape is short, because the process that answers it also serves requests. So prometheus_client
writes each family once, as a template, and only labels and numbers are filled in. Called by core/metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from core._fast.cells import BUCKET_BOUNDS
from core.metrics_memory import MetricsMemory
from core.series import Family

CONTENT_TYPE = CONTENT_TYPE_LATEST

_LE = (*(str(bound / 1e9) for bound in BUCKET_BOUNDS), "+Inf")
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}

AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _Example(Collector):
    """Be a family with one series, whose label values are marks and whose numbers are all 0."""

    def __init__(self, family: Family) -> None:
        self.metric: AnyFamily = _FAMILIES[family.kind](family.name, family.help, labels=family.labels)
        values = [_mark(label) for label in family.labels]
        if isinstance(self.metric, HistogramMetricFamily):
            self.metric.add_metric(values, [(le, 0) for le in _LE], sum_value=0)
        else:
            self.metric.add_metric(values, 0)

    def collect(self) -> Iterator[AnyFamily]:
        yield self.metric


def _mark(label: str) -> str:
    return f"\0{label}\0"


class _Section:
    """Write one family: its first lines, and for each series its lines up to the numbers."""

    def __init__(self, family: Family) -> None:
        text = generate_latest(_Example(family)).decode().replace("%", "%%")
        for label in family.labels:
            text = text.replace(_mark(label), f"%({label})s")
        lines = text.rstrip("\n").split("\n")  # not splitlines: texts may hold other line ends
        self.family = family
        self.head = "".join(line.replace("%%", "%") + "\n" for line in lines if line.startswith("#"))
        self.series: list[tuple[int, list[str]]] = []  # first cell, lines
        self._templates = [line.rpartition(" ")[0] + " " for line in lines if not line.startswith("#")]

    def add(self, values: tuple[str, ...], start: int) -> None:
        """Add a series that begins at a cell."""
        escaped = [value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for value in values]
        named = dict(zip(self.family.labels, escaped, strict=True))
        self.series.append((start, [template % named for template in self._templates]))


class Exposition:
    """Tell what all workers counted."""

    def __init__(self, memory: MetricsMemory) -> None:
        self._memory = memory
        self._sections: dict[str, _Section] = {}
        self._known = 0  # series that have their lines

    def text(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format, of CONTENT_TYPE."""
        memory = self._memory
        memory.refresh()
        self._learn()
        totals = memory.add_up(range(memory.slots))
        living = memory.living()
        current = memory.add_up(living)
        parts = []
        for section in self._sections.values():
            parts.append(section.head)
            family = section.family
            if family.kind == "histogram":
                for start, lines in section.series:
                    parts += _histogram(lines, totals[start : start + len(_LE) + 1], family.scale)
            elif family.kind == "gauge" and family.merge == "max":
                for start, lines in section.series:
                    parts += _number(lines, memory.largest(living, start), family.scale)
            else:
                cells = totals if family.kind == "counter" else current
                for start, lines in section.series:
                    parts += _number(lines, cells[start], family.scale)
        return "".join(parts).encode()

    def _learn(self) -> None:
        """Make the lines of series that are new."""
        directory = self._memory.directory
        for series in list(directory.series)[self._known :]:
            family = directory.families[series.family]
            if family.name not in self._sections:
                self._sections[family.name] = _Section(family)
            self._sections[family.name].add(series.values, directory.series[series])
            self._known += 1


def _number(lines: list[str], value: int, scale: float) -> tuple[str, ...]:
    return lines[0], str(value if scale == 1 else value * scale), "\n"


def _histogram(lines: list[str], cells: memoryview[int], scale: float) -> list[str]:
    """Return the lines of cumulative buckets, then of the count and the sum, in prometheus_client's order."""
    *buckets, total = cells
    numbers = [str(count) for count in accumulate(buckets)]
    numbers += (numbers[-1], str(total * scale))
    return [part for line, number in zip(lines, numbers, strict=True) for part in (line, number, "\n")]
