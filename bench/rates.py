"""The benches of the event log, as figures in events a second. Called by `python -m bench`.

Each is a program: `python -m bench.NAME --json` prints one object, label to events a second; a label in
parentheses is something else, which it names. A new bench is one file and one line here.
"""

from bench.code import Costs, run_bench

BENCHES = ("event_store", "event_log", "projection_rebuild", "orders")
DEADLINE = 180  # seconds for one bench


def measure_rates() -> Costs:
    """Run every bench on both cores, for a commit has a thread of its own; return what was measured."""
    return {name: run_bench(name, cores=None, deadline=DEADLINE) for name in BENCHES}
