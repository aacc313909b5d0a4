"""The directory of series: which cells of every worker's block count what.

A family is a metric's name, kind and labels; a series is a family with values for its labels, and has the
same cells in all blocks. The rule: a series, once placed, never moves, and all processes agree where it lies.
New ones are written at the end, under the region's lock, and are there only once the new length is stored, so
a process killed while it writes leaves nothing. Called by core/metrics_memory.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

import msgspec

from core._fast.cells import HISTOGRAM_WIDTH
from core.errors import AgoraError

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max"]
WIDTHS: dict[Kind, int] = {"counter": 1, "gauge": 1, "histogram": HISTOGRAM_WIDTH}
OTHER = "other"  # stands for all label values over a label's bound
SINK = 0  # the first cells of a block count what has no series

_LENGTH = struct.Struct("=I")
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_SUFFIXES: dict[Kind, tuple[str, ...]] = {"counter": ("_total",), "gauge": (), "histogram": ("_seconds",)}


class MetricInvalid(AgoraError, ValueError):
    """Refuse a metric's name, labels or kind."""

    slug = "metric-invalid"
    title = "Metric invalid"


class Family(msgspec.Struct, frozen=True, array_like=True, tag="family"):
    """Say what a metric is; a family's series follow it in the directory."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]  # their names, sorted
    merge: Merge  # how workers' gauges become one
    scale: float  # the exposed unit in units of a cell


class Series(msgspec.Struct, frozen=True, array_like=True, tag="series"):
    """Say which label values a family's next cells count."""

    family: str
    values: tuple[str, ...]  # in the order of the family's labels


_decode = msgspec.json.Decoder(Family | Series).decode
_encode = msgspec.json.Encoder().encode


class Directory:
    """Know the families and series of a region, as far as they have been read.

    families:  by name
    series:    their first cells, in the order of their making
    next_cell: the first that is free
    NOTE: ``refresh`` and ``place`` are called under the region's lock.
    """

    def __init__(self, memory: memoryview, cells: int) -> None:
        """Take the directory's own memory; a block has so many cells."""
        self.families: dict[str, Family] = {}
        self.series: dict[Series, int] = {}
        self.next_cell = SINK + HISTOGRAM_WIDTH
        self._known: dict[tuple[str, str], set[str]] = {}  # values of a family's label, without OTHER
        self._used = memory[:8].cast("q")
        self._entries = memory[8:]
        self._cells = cells
        self._read = 0

    def refresh(self) -> None:
        """Read what other processes added."""
        while self._read < self._used[0]:
            (length,) = _LENGTH.unpack_from(self._entries, self._read)
            start = self._read + _LENGTH.size
            entry = _decode(self._entries[start : start + length])
            self._read = start + length
            if isinstance(entry, Family):
                self.families[entry.name] = entry
            else:
                self._learn(entry)

    def _learn(self, series: Series) -> None:
        family = self.families[series.family]
        self.series[series] = self.next_cell
        self.next_cell += WIDTHS[family.kind]
        for label, value in zip(family.labels, series.values, strict=True):
            if value != OTHER:
                self._known.setdefault((family.name, label), set()).add(value)

    def bounded(self, family: Family, values: tuple[str, ...], bound: int) -> Series:
        """Return the series for these values, those that would be one too many for their label replaced."""
        kept = []
        for label, value in zip(family.labels, values, strict=True):
            known = self._known.get((family.name, label), ())
            kept.append(value if value in known or len(known) < bound else OTHER)
        return Series(family.name, tuple(kept))

    def place(self, family: Family, values: tuple[str, ...], bound: int) -> tuple[Series, int | None]:
        """Return the series for these values, added if it is new, and its first cell; None: no room."""
        self.refresh()
        known = self.families.get(family.name)
        if known is None:
            if not self._append(family):
                return Series(family.name, values), None
        elif msgspec.structs.replace(known, help=family.help) != family:
            raise MetricInvalid(
                f"{family.name} exists as a {known.kind} with labels ({', '.join(known.labels)}); "
                f"it cannot also be a {family.kind} with labels ({', '.join(family.labels)})"
            )
        series = self.bounded(family, values, bound)
        start = self.series.get(series)
        if start is None and self.next_cell + WIDTHS[family.kind] <= self._cells and self._append(series):
            start = self.series[series]
        return series, start

    def _append(self, entry: Family | Series) -> bool:
        data = _encode(entry)
        end = self._read + _LENGTH.size + len(data)
        if end > len(self._entries):
            return False
        _LENGTH.pack_into(self._entries, self._read, len(data))
        self._entries[self._read + _LENGTH.size : end] = data
        self._used[0] = end
        self.refresh()
        return True


def check_family(family: Family) -> None:
    """Raise MetricInvalid unless names follow Prometheus' rules and the units of its guidelines."""
    suffixes = _SUFFIXES[family.kind]
    if not _NAME.fullmatch(family.name) or (suffixes and not family.name.endswith(suffixes)):
        raise MetricInvalid(
            f"{family.name!r} is no name of a {family.kind}; use small letters, digits and _"
            + (f", ending in {' or '.join(suffixes)}" if suffixes else "")
        )
    for label in family.labels:
        if not _NAME.fullmatch(label) or label == "le":
            raise MetricInvalid(f"{family.name}: {label!r} is no label; use small letters, digits and _")
    if not family.help:
        raise MetricInvalid(f"{family.name} has no help text; say in a sentence what it counts")
