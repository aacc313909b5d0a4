"""Metrics of all workers: counters, gauges and histograms of durations, exact over all processes.

Each worker owns a slot, a block of cells in one shared region, and counts there with plain adds. Any process
adds the blocks up when asked. The rule: a sum never goes down while the gateway runs. A slot's counters
outlive its worker and the next owner counts on; its gauges end with it. Called by the gateway and by plugins.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from core._fast.cells import BUCKET_BOUNDS, HISTOGRAM_WIDTH, Cells, Counter, Gauge, Histogram, add_up
from core.series import SINK, Directory, Family, Kind, Merge, Series, check_family
from core.shared_memory import Region, SharedMemoryInUse

CONTENT_TYPE = CONTENT_TYPE_LATEST  # of an exposition
REGION = "metrics"
NO_ROOM = "agora_metrics_no_room_total"

_PAGE = 4096
_DIRECTORY_SHARE = 64  # bytes of directory for a cell
_SHAPE = struct.Struct("=qq")  # slots, cells
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_LE = (*(str(bound / 1e9) for bound in BUCKET_BOUNDS), "+Inf")

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


def open_region(data_dir: Path, *, slots: int = 16, cells: int = 32768, fresh: bool = False) -> Region:
    """Open the metrics of a data directory.

    slots: workers at once, with those that still drain while their successors run
    cells: of a slot; a counter or gauge takes one for each combination of label values, a histogram 20
    fresh: begin at zero unless another process has the region open
    Takes slots * cells * 8 + cells * 64 bytes. Raises SharedMemoryUnusable or SharedMemoryInUse.
    """
    if slots < 1 or cells < 256:
        raise ValueError(f"metrics need a slot and 256 cells, not {slots} and {cells}")
    size = _PAGE + _directory_size(cells) + slots * _stride(cells)
    region = Region.open(data_dir, REGION, size, f"metrics 1, {slots} slots, {cells} cells", fresh=fresh)
    with region.exclusive():
        _SHAPE.pack_into(region.buffer, 0, slots, cells)
    return region


def _directory_size(cells: int) -> int:
    return -(-cells * _DIRECTORY_SHARE // _PAGE) * _PAGE


def _stride(cells: int) -> int:
    return -(-cells * 8 // _PAGE) * _PAGE


class Metrics:
    """Count for one worker, in a slot of its own.

    slot: its number; None: the first that is free. Raises SharedMemoryInUse if it is (or all are) taken.
    The same name and labels give the same object, so ask once and keep it where speed counts.
    """

    def __init__(self, region: Region, slot: int | None = None) -> None:
        self._scrape = Scrape(region)
        self._region = region
        self.slot = self._claim(slot)
        self._cells = Cells(self._scrape.block(self.slot))
        self._objects: dict[tuple[object, ...], Counter | Gauge | Histogram] = {}
        self._full = False
        self._end_gauges()
        self._no_room = self.counter(NO_ROOM, "Requests for a series that shared memory had no room for.")

    def _claim(self, slot: int | None) -> int:
        slots = self._scrape.slots
        if slot is not None and not 0 <= slot < slots:
            raise SharedMemoryInUse(f"there is no slot {slot}: the metrics have {slots}")
        for number in range(slots) if slot is None else (slot,):
            try:
                self._region.claim(number)
            except SharedMemoryInUse:
                if slot is not None:
                    raise
            else:
                return number
        raise SharedMemoryInUse(f"all {slots} slots of the metrics are owned by running processes")

    def _end_gauges(self) -> None:
        """Set the gauges of the slot's last owner to zero."""
        directory = self._scrape.directory
        with self._region.exclusive():
            directory.refresh()
        for series, start in directory.series.items():
            if directory.families[series.family].kind == "gauge":
                self._cells.gauge(start).set(0)

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
        values = tuple(str(labels[label]) for label in names) if labels else ()
        family = Family(name, kind, help, names, merge, scale)
        directory = self._scrape.directory
        series = directory.bounded(family, values, bound)
        meaning: tuple[object, ...] = (kind, names, merge, scale)
        known = self._objects.get((*meaning, series))
        if known is not None:
            return cast(Instrument, known)
        if name not in directory.families:
            check_family(family)
        start = None
        if not self._full:
            with self._region.exclusive():
                series, start = directory.place(family, values, bound)
        if start is None:
            self._full = True
            self._no_room.add()
            return make(self._cells, SINK)
        instrument = make(self._cells, start)
        self._objects[*meaning, series] = instrument
        return instrument

    def exposition(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format, of CONTENT_TYPE."""
        return self._scrape.exposition()

    def close(self) -> None:
        """Give the slot back; its counters stay in the sums."""
        self._region.release(self.slot)


class Scrape(Collector):
    """Read the metrics of all workers; needs no slot."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self.slots, cells = _SHAPE.unpack_from(region.buffer, 0)
        begin = _PAGE + _directory_size(cells)
        self._stride = _stride(cells)
        self._blocks = region.buffer[begin : begin + self.slots * self._stride]
        self.directory = Directory(region, _PAGE, begin, cells)

    def block(self, slot: int) -> memoryview:
        """Return the bytes of one slot."""
        return self._blocks[slot * self._stride : (slot + 1) * self._stride]

    def exposition(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format, of CONTENT_TYPE."""
        return generate_latest(self)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Yield the families, each with all its series."""
        with self._region.exclusive():
            self.directory.refresh()
        count = self.directory.next_cell
        living = [slot for slot in range(self.slots) if self._region.is_claimed(slot)]
        totals = add_up(self._blocks, self._stride, range(self.slots), count)
        current = add_up(self._blocks, self._stride, living, count)
        blocks = [self.block(slot).cast("q") for slot in living]
        families = {
            name: _FAMILIES[family.kind](name, family.help, labels=family.labels)
            for name, family in self.directory.families.items()
        }
        for series, start in self.directory.series.items():
            family, metric = self.directory.families[series.family], families[series.family]
            if family.kind == "histogram":
                _add_histogram(metric, series, totals[start : start + HISTOGRAM_WIDTH], family.scale)
                continue
            if family.kind == "counter":
                value = totals[start]
            elif family.merge == "sum":
                value = current[start]
            else:
                value = max((block[start] for block in blocks), default=0)
            metric.add_metric(series.values, value if family.scale == 1 else value * family.scale)
        yield from families.values()


def _add_histogram(
    metric: HistogramMetricFamily, series: Series, cells: memoryview[int], scale: float
) -> None:
    buckets, count = [], 0
    for le, cell in zip(_LE, cells, strict=False):
        count += cell
        buckets.append((le, count))
    metric.add_metric(series.values, buckets, sum_value=cells[-1] * scale)


def exposition(region: Region) -> bytes:
    """Return the metrics of all workers in Prometheus' text format, for a process that owns no slot."""
    return Scrape(region).exposition()
