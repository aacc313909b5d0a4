"""Exchanges for the tests of the request log, and a program that logs them from a process of its own.

    python -m tests.core.request_log.traffic DIRECTORY WORKER COUNT [OPTIONS AS JSON]

It prints a line when the log is open, waits for a line, appends and closes. With a count of 0 it goes on
until it is killed.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from core._fast.record import RecordBuffer
from core.request_log import Page, Record, RequestLog, RequestLogOptions, RequestLogReader

ROOT = Path(__file__).parents[3]
QUICK = RequestLogOptions(flush_interval=0.01)


def append(buffer: RecordBuffer, number: int, **fields: Any) -> None:
    """Append an exchange that is known by its number."""
    buffer.append_fields(
        **{
            "status": 200,
            "time_ns": time.time_ns(),
            "duration_ns": 1_000_000,
            "method": b"GET",
            "path": b"/exchange/%d" % number,
            "route": b"exchange",
            **fields,
        }
    )


def write(directory: Path, count: int, **options: Any) -> None:
    """Write a log of so many exchanges and close it."""
    log = RequestLog.open(directory, RequestLogOptions(**{"flush_interval": 0.01, **options}))
    for number in range(count):
        append(log.buffer, number)
    log.close()


def read_all(directory: Path) -> Page:
    """Return everything that a log holds."""
    with RequestLogReader.open(directory) as reader:
        return reader.read(limit=1_000_000)


def numbers(records: list[Record]) -> list[int]:
    """Return which exchanges these are."""
    return [int(record.path.rpartition("/")[2]) for record in records]


@contextmanager
def process(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program with pipes, after the first line that it prints; kill it at the end."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        try:
            output(child).readline()
            yield child
        finally:
            child.kill()


def output(child: subprocess.Popen[str]) -> IO[str]:
    """Return what the process prints."""
    assert child.stdout is not None
    return child.stdout


def tell(child: subprocess.Popen[str], line: str = "go") -> None:
    """Send the process a line."""
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def main(directory: str, worker: str, count: str, options: str = "{}") -> None:
    """Log from this process."""
    chosen = RequestLogOptions(**{"flush_interval": 0.01, **json.loads(options)})
    log = RequestLog.open(Path(directory), chosen, worker=int(worker))
    print("open", flush=True)
    sys.stdin.readline()
    for number in itertools.islice(itertools.count(), int(count) or None):
        append(log.buffer, number)
        if number % 50 == 0:
            time.sleep(0.001)  # leaves the writer its share, so that there are many batches
    log.close()
    print(json.dumps({"dropped": log.stats().dropped}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
