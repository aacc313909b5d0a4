from __future__ import annotations

import bisect
import mmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core._fast import cells as compiled
from core._fast.cells import BUCKET_BOUNDS, HISTOGRAM_WIDTH, Cells, add_up

LARGEST = 2**63 - 1


def test_the_compiled_module_is_loaded() -> None:
    assert str(compiled.__file__).endswith(".so")


class TestCounting:
    def test_a_counter_counts_in_its_cell_alone(self) -> None:
        memory = mmap.mmap(-1, 4096)
        counter = Cells(memory).counter(3)
        counter.add()
        counter.add(41)
        assert counter.value == 42
        assert list(memoryview(memory).cast("q")[:6]) == [0, 0, 0, 42, 0, 0]

    def test_a_counter_never_goes_down(self) -> None:
        counter = Cells(mmap.mmap(-1, 4096)).counter(0)
        with pytest.raises(ValueError, match="not by 1"):
            counter.add(-1)
        assert counter.value == 0

    def test_a_gauge_goes_up_and_down_and_is_set(self) -> None:
        gauge = Cells(mmap.mmap(-1, 4096)).gauge(0)
        gauge.add(3)
        gauge.add(-5)
        assert gauge.value == -2
        gauge.set(9)
        assert gauge.value == 9

    def test_goes_on_where_the_last_owner_of_the_memory_stopped(self) -> None:
        memory = mmap.mmap(-1, 4096)
        Cells(memory).counter(0).add(5)
        counter = Cells(memory).counter(0)
        counter.add()
        assert counter.value == 6

    @pytest.mark.parametrize("start", [-1, 512, 10**12])
    def test_refuses_a_cell_outside_the_block(self, start: int) -> None:
        with pytest.raises(IndexError, match="not in a block of 4096 bytes"):
            Cells(mmap.mmap(-1, 4096)).counter(start)

    def test_refuses_a_histogram_that_does_not_fit(self) -> None:
        cells = Cells(mmap.mmap(-1, 4096))
        cells.histogram(512 - HISTOGRAM_WIDTH)
        with pytest.raises(IndexError):
            cells.histogram(513 - HISTOGRAM_WIDTH)

    def test_refuses_memory_it_cannot_use(self) -> None:
        with pytest.raises(BufferError):
            Cells(memoryview(bytes(64)))
        with pytest.raises(ValueError, match="aligned"):
            Cells(memoryview(mmap.mmap(-1, 4096))[1:])

    def test_holds_its_memory_as_long_as_a_cell_is_used(self) -> None:
        memory = mmap.mmap(-1, 4096)
        counter = Cells(memory).counter(0)
        with pytest.raises(BufferError):
            memory.close()
        counter.add()
        del counter
        memory.close()


class TestHistograms:
    @given(st.one_of(st.integers(0, LARGEST), st.integers(0, 2 * BUCKET_BOUNDS[-1])))
    @example(0)
    @example(LARGEST)
    def test_finds_the_bucket_that_a_search_finds(self, nanoseconds: int) -> None:
        histogram = Cells(mmap.mmap(-1, 4096)).histogram(0)
        histogram.observe_ns(nanoseconds)
        expected = [0] * (HISTOGRAM_WIDTH - 1)
        expected[bisect.bisect_left(BUCKET_BOUNDS, nanoseconds)] = 1
        assert histogram.buckets == tuple(expected)
        assert histogram.sum_ns == nanoseconds

    @pytest.mark.parametrize("bound", BUCKET_BOUNDS)
    @pytest.mark.parametrize("more", [-1, 0, 1])
    def test_counts_a_bound_below_itself(self, bound: int, more: int) -> None:
        histogram = Cells(mmap.mmap(-1, 4096)).histogram(0)
        histogram.observe_ns(bound + more)
        assert histogram.buckets.index(1) == BUCKET_BOUNDS.index(bound) + (more > 0)

    def test_finds_the_bucket_around_every_power_of_two(self) -> None:
        for bits in range(63):
            for nanoseconds in (2**bits - 1, 2**bits, 2**bits + 1):
                histogram = Cells(mmap.mmap(-1, 4096)).histogram(0)
                histogram.observe_ns(nanoseconds)
                assert histogram.buckets.index(1) == bisect.bisect_left(BUCKET_BOUNDS, nanoseconds)

    def test_counts_less_than_nothing_as_nothing(self) -> None:
        histogram = Cells(mmap.mmap(-1, 4096)).histogram(0)
        histogram.observe_ns(-5)
        assert (histogram.buckets[0], histogram.sum_ns) == (1, 0)


class TestAddingUp:
    def test_adds_the_blocks_that_are_asked_for(self) -> None:
        memory = memoryview(mmap.mmap(-1, 3 * 4096))
        for slot in range(3):
            Cells(memory[slot * 4096 : (slot + 1) * 4096]).counter(1).add(10**slot)
        assert list(add_up(memory, 4096, range(3), 2)) == [0, 111]
        assert list(add_up(memory, 4096, [0, 2], 2)) == [0, 101]
        assert list(add_up(memory, 4096, [], 2)) == [0, 0]

    @pytest.mark.parametrize("slot", [-1, 3])
    def test_refuses_a_block_outside_the_memory(self, slot: int) -> None:
        with pytest.raises(IndexError, match="no block"):
            add_up(mmap.mmap(-1, 3 * 4096), 4096, [slot], 512)
