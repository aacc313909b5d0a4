"""A worker process that hammers a limiter shared with others; run with -m, one JSON line tells it what to do.

Prints a line when it is ready, waits for a line, then checks each key `rounds` times over and notes every
admission at once in a file of its own, so that the notes outlive its death: a 32-bit count for each key.
"""

from __future__ import annotations

import json
import mmap
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from core._fast.limiter import Limiter, compile_windows, table_size
from core.shared_memory import Region


def open_limiter(data_dir: Path, cells: int) -> tuple[Region, Limiter]:
    """Open the limiter of a data directory."""
    region = Region.open(data_dir, "limits", table_size(cells), f"limits 1, {cells} cells")
    return region, Limiter(region.buffer, region.secret)


class Hammer:
    """Run one worker from a test."""

    def __init__(self, data_dir: Path, notes: Path, **order: Any) -> None:
        self.notes = notes
        notes.write_bytes(bytes(4 * order["keys"]))
        order.update(data_dir=str(data_dir), notes=str(notes))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.core.fast.hammer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(json.dumps(order))
        self.hear()

    def _tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout
        return self.process.stdout.readline()

    def go(self) -> None:
        """Let it begin."""
        self._tell("go")

    def admitted(self) -> list[int]:
        """Return how often each key was admitted here, as far as noted."""
        return list(memoryview(self.notes.read_bytes()).cast("I"))

    def end(self) -> None:
        """Wait for its end and close its pipes."""
        self.process.communicate()


def mixed(numbers: range) -> list[int]:
    """Return the numbers in random order."""
    return random.sample(numbers, len(numbers))


def main() -> None:
    """Do as the first line says."""
    order = json.loads(sys.stdin.readline())
    _, limiter = open_limiter(Path(order["data_dir"]), order["cells"])
    windows = compile_windows(order["windows"])
    keys = [b"key %d" % number for number in range(order["keys"])]
    # Each worker meets neighbouring keys in an order of its own, so that all find the table in other states.
    turns = [
        number for start in range(0, len(keys), 8) for number in mixed(range(len(keys))[start : start + 8])
    ]
    with open(order["notes"], "r+b") as file:
        notes = memoryview(mmap.mmap(file.fileno(), 0)).cast("I")
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(order["rounds"]):
        for done, number in enumerate(turns):
            if limiter.check(keys[number], windows).admitted:
                notes[number] += 1
            if done == order.get("tell_at") and turn == 0:
                print("there", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main()
