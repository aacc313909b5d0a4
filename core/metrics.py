"""Metrics of all workers: counters, gauges and histograms of durations, exact over all processes.

Each worker counts in a slot of its own with plain adds; any process adds the slots up when asked. The rule: a
sum never goes down while the gateway runs, whichever workers end. Called by the gateway and by plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from core._fast.cells import Cells, Counter, Gauge, Histogram
from core.exposition import CONTENT_TYPE, Exposition
from core.metrics_memory import MetricsMemory, open_region
from core.series import SINK, Family, Kind, Merge, check_family
from core.shared_memory import Region

__all__ = ["CONTENT_TYPE", "NO_ROOM", "Metrics", "exposition", "open_region"]

NO_ROOM = "agora_metrics_no_room_total"

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


class Metrics:
    """Count for one worker, in a slot of its own.

    slot: its number; None: the first that is free. Raises SharedMemoryInUse if it is (or all are) taken.
    The same name and labels give the same object, so ask once and keep it where speed counts.
    """

    def __init__(self, region: Region, slot: int | None = None) -> None:
        self._memory = MetricsMemory(region)
        self._exposition = Exposition(self._memory)
        self._objects: dict[tuple[object, ...], Counter | Gauge | Histogram] = {}
        self._full = False
        self.slot, self._cells = self._memory.take(slot)
        self._no_room = self.counter(NO_ROOM, "Requests for a series that shared memory had no room for.")

    def counter(
        self,
        name: str,
        help: str,
        labels: Mapping[str, str] | None = None,
        *,
        bound: int = 100,
        scale: float = 1.0,
    ) -> Counter:
        """Return the counter of these label values; its name ends in ``_total``.

        bound: of each label's values; values beyond it are counted together as "other"
        scale: the exposed unit in counted units, such as 1e-9 for seconds counted in nanoseconds
        Without room in shared memory, what is counted is lost, and NO_ROOM says so. Raises MetricInvalid.
        """
        return self._get("counter", name, help, labels, bound, Cells.counter, scale=scale)

    def gauge(
        self,
        name: str,
        help: str,
        labels: Mapping[str, str] | None = None,
        *,
        bound: int = 100,
        scale: float = 1.0,
        merge: Merge = "sum",
    ) -> Gauge:
        """Return the gauge of these label values, as ``counter`` does.

        merge: how the values of living workers become one; "max" of a constant 1 makes an info metric
        """
        return self._get("gauge", name, help, labels, bound, Cells.gauge, scale=scale, merge=merge)

    def histogram(
        self, name: str, help: str, labels: Mapping[str, str] | None = None, *, bound: int = 100
    ) -> Histogram:
        """Return the histogram of durations of these label values; its name ends in ``_seconds``."""
        return self._get("histogram", name, help, labels, bound, Cells.histogram, scale=1e-9)

    def _get(
        self,
        kind: Kind,
        name: str,
        help: str,
        labels: Mapping[str, str] | None,
        bound: int,
        make: Callable[[Cells, int], Instrument],
        *,
        scale: float,
        merge: Merge = "sum",
    ) -> Instrument:
        names = tuple(sorted(labels or ()))
        values = tuple(_text(labels[label]) for label in names) if labels else ()
        family = Family(name, kind, help, names, merge, scale)
        directory = self._memory.directory
        series = directory.bounded(family, values, bound)
        meaning: tuple[object, ...] = (kind, names, merge, scale)
        known = self._objects.get((*meaning, series))
        if known is not None:
            return cast(Instrument, known)
        if name not in directory.families:
            check_family(family)
        start = None
        if not self._full:
            series, start = self._memory.place(family, values, bound)
        if start is None:
            self._full = True
            self._no_room.add()
            return make(self._cells, SINK)
        instrument = make(self._cells, start)
        self._objects[*meaning, series] = instrument
        return instrument

    def exposition(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format, of CONTENT_TYPE."""
        return self._exposition.text()

    def close(self) -> None:
        """Give the slot back; its counters stay in the sums."""
        self._memory.give_back(self.slot)


def _text(value: str) -> str:
    """Return the value as UTF-8 can hold it: what came from the network may have lone surrogates."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def exposition(region: Region) -> bytes:
    """Return the metrics of all workers in Prometheus' text format, for a process that owns no slot."""
    return Exposition(MetricsMemory(region)).text()
