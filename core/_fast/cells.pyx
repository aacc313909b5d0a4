"""Count in memory that all workers can read: a block of 64-bit cells for each worker, merged when scraped.

The rule: a block has one writer, so counting is a plain add and costs other workers nothing; readers see each
cell old or new. Called on the request path; core/metrics.py hands out the cells and reads the blocks.
"""

from cython cimport final

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t

from core._fast.atomic cimport load_value

BUCKET_BOUNDS = tuple([bounds[i] for i in range(BOUNDS)])
HISTOGRAM_WIDTH = HISTOGRAM_CELLS


@final
cdef class Cells:
    """Hold this worker's block, given as a writable buffer that nobody else writes."""

    def __init__(self, buffer):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE)
        self.held = True
        if <uintptr_t>self.view.buf % sizeof(int64_t):
            raise ValueError("the cells are not aligned to 8 bytes")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    cdef int64_t* pointer(self, Py_ssize_t start, Py_ssize_t count) except NULL:
        if start < 0 or count < 1 or start + count > <Py_ssize_t>(self.view.len // sizeof(int64_t)):
            raise IndexError(f"cells {start} to {start + count} are not in a block of {self.view.len} bytes")
        return <int64_t*>self.view.buf + start

    def counter(self, Py_ssize_t start):
        """Return the Counter in one cell."""
        cdef Counter counter = Counter.__new__(Counter)
        counter.cells = self
        counter.cell = self.pointer(start, 1)
        return counter

    def gauge(self, Py_ssize_t start):
        """Return the Gauge in one cell."""
        cdef Gauge gauge = Gauge.__new__(Gauge)
        gauge.cells = self
        gauge.cell = self.pointer(start, 1)
        return gauge

    def histogram(self, Py_ssize_t start):
        """Return the Histogram in HISTOGRAM_WIDTH cells."""
        cdef Histogram histogram = Histogram.__new__(Histogram)
        histogram.owner = self
        histogram.cells = self.pointer(start, HISTOGRAM_CELLS)
        return histogram


@final
cdef class Counter:
    """Count events; never goes down."""

    def add(self, int64_t n=1):
        """Add n, not negative."""
        if n < 0:
            raise ValueError(f"a counter never goes down, not by {-n}")
        self.cell[0] += n

    @property
    def value(self):
        """Return what this worker counted."""
        return self.cell[0]


@final
cdef class Gauge:
    """Hold a number that goes up and down."""

    def add(self, int64_t n=1):
        """Add n, which may be negative."""
        self.cell[0] += n

    def set(self, int64_t value):
        """Put a value in place of the old one."""
        self.cell[0] = value

    @property
    def value(self):
        """Return this worker's value."""
        return self.cell[0]


@final
cdef class Histogram:
    """Count durations in buckets."""

    def observe_ns(self, int64_t nanoseconds):
        """Count one duration; less than nothing counts as nothing."""
        observe(self.cells, nanoseconds)

    @property
    def buckets(self):
        """Return this worker's count in each bucket, the last without bound."""
        return tuple([self.cells[i] for i in range(HISTOGRAM_CELLS - 1)])

    @property
    def sum_ns(self):
        """Return the sum of what this worker observed."""
        return self.cells[HISTOGRAM_CELLS - 1]


def add_up(blocks, Py_ssize_t stride, slots, Py_ssize_t count):
    """Return the first `count` cells summed over some blocks, as a memoryview of 64-bit integers.

    blocks: buffer of all blocks; stride: bytes from one to the next; slots: numbers of those to be summed
    """
    cdef Py_buffer view
    cdef Py_buffer total
    cdef int64_t* source
    cdef int64_t* target
    cdef Py_ssize_t slot, i
    totals = bytearray(count * sizeof(int64_t))
    PyObject_GetBuffer(totals, &total, PyBUF_WRITABLE)
    try:
        PyObject_GetBuffer(blocks, &view, PyBUF_SIMPLE)
        try:
            target = <int64_t*>total.buf
            for slot in slots:
                if slot < 0 or slot * stride + count * <Py_ssize_t>sizeof(int64_t) > view.len:
                    raise IndexError(f"there is no block {slot}")
                source = <int64_t*>(<char*>view.buf + slot * stride)
                for i in range(count):
                    target[i] += load_value(source + i)
        finally:
            PyBuffer_Release(&view)
    finally:
        PyBuffer_Release(&total)
    return memoryview(totals).cast("q")
