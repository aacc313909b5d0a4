"""The shared memory of metrics: the directory of series, then a block of cells for each slot.

A slot belongs to one worker at a time, who alone writes its block. The rule: what was counted in a block
stays when its worker ends, and the next owner counts on; only gauges end with their worker. Called by
core/metrics and core/exposition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from core._fast.cells import Cells, add_up
from core.series import Directory, Family, Series
from core.shared_memory import Region, SharedMemoryInUse

NAME = "metrics"

_PAGE = 4096
_DIRECTORY_SHARE = 64  # bytes of directory for a cell
_SHAPE = struct.Struct("=qq")  # slots, cells


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
    region = Region.open(data_dir, NAME, size, f"metrics 1, {slots} slots, {cells} cells", fresh=fresh)
    with region.exclusive():
        _SHAPE.pack_into(region.buffer, 0, slots, cells)
    return region


def _directory_size(cells: int) -> int:
    return -(-cells * _DIRECTORY_SHARE // _PAGE) * _PAGE


def _stride(cells: int) -> int:
    return -(-cells * 8 // _PAGE) * _PAGE


class MetricsMemory:
    """Read and give out a region that open_region returned.

    slots:     how many there are
    directory: the series, as far as they were read
    """

    def __init__(self, region: Region) -> None:
        self.slots, cells = _SHAPE.unpack_from(region.buffer, 0)
        begin = _PAGE + _directory_size(cells)
        self.directory = Directory(region.buffer[_PAGE:begin], cells)
        self._region = region
        self._stride = _stride(cells)
        self._blocks = region.buffer[begin : begin + self.slots * self._stride]

    def refresh(self) -> None:
        """Read the series that other processes added."""
        with self._region.exclusive():
            self.directory.refresh()

    def place(self, family: Family, values: tuple[str, ...], bound: int) -> tuple[Series, int | None]:
        """Return the series for these values, added if it is new, and its first cell; None: no room."""
        with self._region.exclusive():
            return self.directory.place(family, values, bound)

    def take(self, slot: int | None) -> tuple[int, Cells]:
        """Own a slot, None: the first that is free; return its number and its cells, gauges at zero."""
        number = self._claim(slot)
        cells = Cells(self._block(number))
        self.refresh()
        for series, start in self.directory.series.items():
            if self.directory.families[series.family].kind == "gauge":
                cells.gauge(start).set(0)
        return number, cells

    def _claim(self, slot: int | None) -> int:
        if slot is not None:
            if not 0 <= slot < self.slots:
                raise SharedMemoryInUse(f"there is no slot {slot}: the metrics have {self.slots}")
            self._region.claim(slot)
            return slot
        for number in range(self.slots):
            try:
                self._region.claim(number)
            except SharedMemoryInUse:
                continue
            return number
        raise SharedMemoryInUse(f"all {self.slots} slots of the metrics are owned by running processes")

    def give_back(self, slot: int) -> None:
        """End the ownership of a slot."""
        self._region.release(slot)

    def living(self) -> list[int]:
        """Return the slots that running processes own."""
        return [slot for slot in range(self.slots) if self._region.is_claimed(slot)]

    def add_up(self, slots: Iterable[int]) -> memoryview[int]:
        """Return all cells that have a series, summed over these slots."""
        return add_up(self._blocks, self._stride, slots, self.directory.next_cell)

    def largest(self, slots: Iterable[int], cell: int) -> int:
        """Return the largest value of one cell in these slots; 0 without any."""
        return max((self._block(slot).cast("q")[cell] for slot in slots), default=0)

    def _block(self, slot: int) -> memoryview:
        return self._blocks[slot * self._stride : (slot + 1) * self._stride]
