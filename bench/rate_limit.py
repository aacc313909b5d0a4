"""Time one rate-limit decision, in nanoseconds: ``python -m bench.rate_limit [--json]``.

Processor time, with reading the clock and hashing the key. Most labels are the C face, which the native door
pays; one is the Python face. Keys lie in random order in a table of a quarter of a million cells.
"""

import json
import mmap
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyximport  # type: ignore[import-untyped]

from core._fast.limiter import Limiter, Windows, compile_windows, table_size

CELLS = 1 << 18
COUNT = 100_000  # decisions in one round
ROUNDS = 9

Loop = Callable[[Limiter, Windows, list[bytes], int], int]


def compiled_loop() -> Loop:
    """Compile bench/rate_loop.pyx into a folder of its own and return its function."""
    pyximport.install(build_dir=str(Path(tempfile.gettempdir()) / "agora-bench"), language_level=3)
    from bench.rate_loop import decide_repeatedly  # type: ignore[import-not-found]

    function: Loop = decide_repeatedly
    return function


def python_loop(limiter: Limiter, windows: Windows, keys: list[bytes], count: int) -> int:
    """Decide through the Python face."""
    check = limiter.check
    return sum(check(key, windows).admitted for key in keys * (count // len(keys)))


def new_limiter() -> Limiter:
    """Return a limiter with an empty table."""
    return Limiter(mmap.mmap(-1, table_size(CELLS)), os.urandom(16))


def addresses(count: int) -> list[bytes]:
    """Return as many IPv4 addresses, as text, in random order."""
    return [
        b"%d.%d.%d.%d" % (10, n >> 16, n >> 8 & 255, n & 255) for n in random.sample(range(1 << 24), count)
    ]


def measure(loop: Loop, texts: list[str], keys: list[bytes], *, warm: bool = True) -> float:
    """Return the median nanoseconds of a decision over some rounds."""
    windows, limiter, costs = compile_windows(texts), new_limiter(), []
    for _ in range(ROUNDS):
        if warm:
            loop(limiter, windows, keys, max(COUNT, len(keys)))
        else:
            limiter = new_limiter()
        begin = time.thread_time_ns()
        loop(limiter, windows, keys, COUNT)
        costs.append((time.thread_time_ns() - begin) / COUNT)
    return median(costs)


def run() -> dict[str, float]:
    """Return label to nanoseconds."""
    compiled, wide = compiled_loop(), "1000000/s"
    return {
        "one key": measure(compiled, [wide], addresses(1)),
        "1,000 keys": measure(compiled, [wide], addresses(1000)),
        "10,000 keys": measure(compiled, [wide], addresses(10_000)),
        "refused, 1,000 keys": measure(compiled, ["10/day"], addresses(1000)),
        "Python face, one key": measure(python_loop, [wide], addresses(1)),
        "(100,000 keys: the memory's latency)": measure(compiled, [wide], addresses(100_000)),
        "(two windows, 1,000 keys)": measure(compiled, [wide, "5000/day"], addresses(1000)),
        "(every key new)": measure(compiled, [wide], addresses(COUNT), warm=False),
    }


def main() -> None:
    """Print the figures."""
    figures = run()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for label, nanoseconds in figures.items():
        print(f"{label:40} {nanoseconds:8.1f} ns")


if __name__ == "__main__":
    main()
