"""The processor time of a set of processes, in nanoseconds.

The kernel's CPU-time clock of a process (`clock_getcpuclockid`) is read, not /proc/PID/stat: it is the
same sum of user and system time over all threads, also those that ended, but in nanoseconds and up to
the instant; utime and stime count ticks of 10 ms. Kernel work done in the context of the process (system
calls, soft interrupts of the loopback) is in it. Called by measure and idle.
"""

import time
from collections.abc import Iterable

CPUCLOCK_SCHED = 2


def cpu_clock(pid: int) -> int:
    """Return the clock id of the processor time of process `pid` (the kernel's MAKE_PROCESS_CPUCLOCK)."""
    return (~pid << 3) | CPUCLOCK_SCHED


def cpu_nanoseconds(pids: Iterable[int]) -> int:
    """Return user plus system time of the processes, all threads, since they started."""
    return sum(time.clock_gettime_ns(cpu_clock(pid)) for pid in pids)
