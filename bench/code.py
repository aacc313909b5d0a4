"""The benches of single pieces of code, as figures in nanoseconds. Called by `python -m bench`.

Each is a program: `python -m bench.NAME --json` prints one object, label to nanoseconds of one
operation. A label that begins with a parenthesis is shown but not judged. A new bench is one file and
one line here.
"""

import json
import os
import subprocess
import sys

from bench.process import GATEWAY_CORE

BENCHES = ("plugin_call", "route_match", "rate_limit", "parse", "request_log", "event_codec", "matching")
DEADLINE = 60  # seconds for one bench

Costs = dict[str, dict[str, float]]  # bench -> label -> nanoseconds


class CodeBenchFailed(RuntimeError):
    """A bench of a piece of code did not end with numbers."""


def measure_code() -> Costs:
    """Run every bench of single pieces and return what it measured."""
    return {name: run_bench(name) for name in BENCHES}


def run_bench(
    name: str, cores: frozenset[int] | None = frozenset({GATEWAY_CORE}), deadline: float = DEADLINE
) -> dict[str, float]:
    """Run `bench.name` alone on some cores (None: all); raise CodeBenchFailed if it prints no numbers."""
    chosen = cores or range(os.cpu_count() or 1)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--json"],
        capture_output=True,
        text=True,
        timeout=deadline,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )
    if done.returncode != 0:
        raise CodeBenchFailed(f"bench.{name}: {done.stderr[-2000:]}")
    try:
        return {str(label): float(value) for label, value in json.loads(done.stdout).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CodeBenchFailed(f"bench.{name} printed {done.stdout[:500]!r}: {error}") from error


def judged(costs: dict[str, float]) -> dict[str, float]:
    """Return the costs that a figure counts."""
    return {label: value for label, value in costs.items() if not label.startswith("(")}
