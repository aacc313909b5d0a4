"""`python -m bench`: measure Agora beside other gateways, print one set of tables, write it as JSON.

Exit status: 0 when every figure that was measured is reached, 1 when one is missed, 2 when something
could not be measured at all.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from bench import table
from bench.binaries import BinaryMissing, require_binaries
from bench.bulk_peer import TransferFailed
from bench.code import CodeBenchFailed, Costs, measure_code
from bench.contenders import CONTENDERS, TRAFFIC, Contender, Scenario
from bench.figures import Figure, code_figures, memory_figures, rate_figures, traffic_figures
from bench.idle import IdleFailed, IdleResult, measure_idle, raise_file_limit
from bench.large_body import LargeBodyResult, measure_large_bodies
from bench.load import LoadFailed
from bench.process import GATEWAY_CORE, LOAD_CORE, ServerFailed
from bench.rates import measure_rates
from bench.rounds import Results, play_rounds

LATEST = Path(__file__).parent / "results" / "latest.json"
CODE, EVENTS = "code", "events"  # the benches of single pieces, and of the event log, beside the scenarios
BUSY = 0.5  # load average before the run from which its figures are called noisy
FAILURES = (BinaryMissing, ServerFailed, LoadFailed, IdleFailed, TransferFailed, CodeBenchFailed)
NAMES = {contender.name: contender for contender in CONTENDERS}


@dataclass
class Run:
    """Everything that one run of the benchmark measured."""

    results: Results = field(default_factory=Results)
    idle: dict[str, IdleResult] = field(default_factory=dict)
    large: dict[str, list[LargeBodyResult]] = field(default_factory=dict)
    code: Costs = field(default_factory=dict)
    rates: Costs = field(default_factory=dict)

    def figures(self) -> list[Figure]:
        """Judge the run."""
        pieces = code_figures(self.code) + rate_figures(self.rates)
        return traffic_figures(self.results) + pieces + memory_figures(self.idle, self.large)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Agora beside other gateways."
    )
    every = [*Scenario, CODE, EVENTS]
    parser.add_argument("--contenders", nargs="+", choices=list(NAMES), default=list(NAMES), metavar="NAME",
                        help=f"default: all of {' '.join(NAMES)}")  # fmt: skip
    parser.add_argument("--scenarios", nargs="+", choices=every, default=every, metavar="NAME",
                        help=f"default: all of {' '.join(every)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--windows", type=int, default=4, help="of each contender in a round (default 4)")
    parser.add_argument("--seconds", type=float, default=1, help="of load in a window (default 1)")
    parser.add_argument("--json", type=Path, default=LATEST, metavar="FILE", help=f"default: {LATEST}")
    return parser.parse_args(arguments)


def report(line: str) -> None:
    """Show progress without disturbing a piped table."""
    print(line, file=sys.stderr, flush=True)


def measure(
    contenders: Sequence[Contender], scenarios: Sequence[str], rounds: int, windows: int, seconds: float
) -> Run:
    """Make the measurements asked for."""
    run = Run()
    if CODE in scenarios:
        report("single pieces of code")
        run.code = measure_code()
    if EVENTS in scenarios:
        report("the event log")
        run.rates = measure_rates()
    traffic = [scenario for scenario in TRAFFIC if scenario in scenarios]
    if traffic:
        run.results = play_rounds(contenders, traffic, rounds, windows, seconds, report)
    for contender in contenders:
        if Scenario.IDLE in scenarios and Scenario.IDLE in contender.scenarios:
            report(f"idle connections: {contender.name}")
            run.idle[contender.name] = measure_idle(contender)
        if Scenario.LARGE_BODY in scenarios and Scenario.LARGE_BODY in contender.scenarios:
            report(f"large bodies: {contender.name}")
            run.large[contender.name] = measure_large_bodies(contender)
    return run


def describe_machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")), "unknown"
    )
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
    }


def write_json(path: Path, run: Run, contenders: Sequence[Contender], machine: dict[str, Any]) -> None:
    """Write all samples, not only the medians."""
    traffic = [
        {"scenario": scenario, "contender": name, "samples": [sample.as_dict() for sample in samples]}
        for (scenario, name), samples in run.results.samples.items()
    ]
    document = {
        "machine": machine,
        "versions": {contender.name: contender.version() for contender in contenders},
        "traffic": traffic,
        "code_ns": run.code,
        "rates": run.rates,
        "idle": {name: asdict(result) for name, result in run.idle.items()},
        "large_body": {name: [asdict(result) for result in results] for name, results in run.large.items()},
        "figures": [figure.as_dict() for figure in run.figures()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def check_prerequisites(contenders: Sequence[Contender], scenarios: Sequence[str]) -> None:
    """Raise an error that names the cure if the machine cannot run what was asked for."""
    if set(scenarios) <= {CODE, EVENTS}:
        return
    if not {GATEWAY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise ServerFailed("two cores are needed: one for the gateway, one for upstream and load")
    require_binaries(sorted({"nginx", "wrk"}.union(*(contender.binaries for contender in contenders))))
    raise_file_limit()


def main() -> int:
    """Run the benchmark; return the exit status."""
    options = parse_arguments()
    contenders = [NAMES[name] for name in NAMES if name in options.contenders]
    # NOTE: SIGTERM unwinds like Ctrl-C, so that every server started here is stopped.
    signal.signal(signal.SIGTERM, _interrupt)
    machine = describe_machine()
    try:
        check_prerequisites(contenders, options.scenarios)
        os.sched_setaffinity(0, {LOAD_CORE})
        run = measure(contenders, options.scenarios, options.rounds, options.windows, options.seconds)
    except FAILURES as error:
        report(f"{type(error).__name__}: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    write_json(options.json, run, contenders, machine)
    console = table.open_console()
    table.print_traffic(console, run.results, contenders)
    table.print_code(console, run.code)
    table.print_rates(console, run.rates)
    table.print_memory(console, run.idle, run.large)
    table.print_figures(console, run.figures())
    if machine["load_average_before"] > BUSY:
        console.print(
            f"The machine was busy before (load {machine['load_average_before']:.1f}): noisy figures."
        )
    return 1 if any(figure.reached is False for figure in run.figures()) else 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
