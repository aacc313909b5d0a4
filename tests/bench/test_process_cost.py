import os
import time

from bench.process_cost import cpu_clock, cpu_nanoseconds


def test_reads_the_same_clock_as_the_process_itself() -> None:
    before = time.process_time_ns()
    read = cpu_nanoseconds([os.getpid()])
    assert before <= read <= time.process_time_ns()


def test_sums_over_processes() -> None:
    pid = os.getpid()
    before = time.clock_gettime_ns(cpu_clock(pid))
    assert cpu_nanoseconds([pid, pid]) >= 2 * before
