"""What a logged exchange costs: encoding it, and bringing it to the disk in batches, in nanoseconds.

    python -m bench.request_log [--json]

A compiled loop appends records of a proxied GET at 40,000 a second, as one busy worker does, to a log on disk
whose bound is reached on the way, so old blocks go too. The processor time of the writer's thread and that of
`append` are taken apart; their sum is the figure. The loop's own cost is measured and taken off.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyximport  # type: ignore[import-untyped]

from core._fast.record import RecordBuffer
from core.request_log import RequestLog, RequestLogOptions, RequestLogStats

RATE = 40_000  # records a second
ONCE = 100  # records appended in one go
BOUND = 8 << 20  # bytes on disk
ROUNDS = 7
SECONDS = 5.0


def compiled_loop() -> Callable[..., None]:
    """Compile bench/record_loop.pyx into a folder of its own and return its function."""
    pyximport.install(build_dir=str(Path(tempfile.gettempdir()) / "agora-bench"), language_level=3)
    from bench.record_loop import append_records  # type: ignore[import-not-found]

    function: Callable[..., None] = append_records
    return function


def append_cost(append_records: Callable[..., None], count: int = 100_000) -> float:
    """Return the least nanoseconds of one append over some rounds."""
    buffer = RecordBuffer(64 << 20)
    costs = []
    for _ in range(ROUNDS):
        started = time.thread_time_ns()
        append_records(buffer, count, False)
        empty = time.thread_time_ns()
        append_records(buffer, count)
        costs.append((time.thread_time_ns() - empty - (empty - started)) / count)
        buffer.recycle(buffer.take())
    return min(costs)


def writer_cost(
    append_records: Callable[..., None], directory: Path, seconds: float
) -> tuple[float, RequestLogStats]:
    """Return the writer's nanoseconds for each record at the steady rate, and the log's counters."""
    log = RequestLog(directory, RequestLogOptions(max_bytes=BOUND))
    log.start()
    clock = time.pthread_getcpuclockid(log.thread_id)
    pace(append_records, log, 1.0)
    before, written = time.clock_gettime_ns(clock), log.stats().written
    pace(append_records, log, seconds)
    used, count = time.clock_gettime_ns(clock) - before, log.stats().written - written
    log.stop()
    return used / count, log.stats()


def pace(append_records: Callable[..., None], log: RequestLog, seconds: float) -> None:
    """Append at the steady rate."""
    started = time.monotonic()
    for done in range(0, round(RATE * seconds), ONCE):
        append_records(log.buffer, ONCE)
        time.sleep(max(0.0, started + done / RATE - time.monotonic()))


def main() -> None:
    """Measure and print."""
    append_records = compiled_loop()
    append = append_cost(append_records)
    with tempfile.TemporaryDirectory() as directory:
        writer, stats = writer_cost(append_records, Path(directory), SECONDS)
        size = (Path(directory) / "data.mdb").stat().st_size
    costs = {"a record": append + writer, "(append)": append, "(write)": writer}
    if "--json" in sys.argv:
        print(json.dumps(costs))
        return
    print("".join(f"{label:<10}{cost:6.0f} ns\n" for label, cost in costs.items()))
    print(f"{stats.written} records in {stats.batches} batches, {stats.dropped} dropped")
    print(f"{size} bytes on disk, bound {BOUND}")


if __name__ == "__main__":
    main()
