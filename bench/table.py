"""The tables of a run: colours on a terminal, plain aligned lines in a pipe. Called by `python -m bench`."""

import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.code import Costs
from bench.contenders import TRAFFIC, Contender, Scenario
from bench.figures import Figure
from bench.idle import IdleResult
from bench.large_body import LargeBodyResult
from bench.rounds import Results

PIPE_WIDTH = 160
TITLES = {
    Scenario.PROXIED: "proxied, no plugins",
    Scenario.PLUGINS: "proxied with request id, trace, rate limit by address, request log, metrics",
    Scenario.FIXED: "fixed answer",
}
VERDICTS = {True: "[green]pass[/]", False: "[bold red]FAIL[/]", None: "[dim]not measured[/]"}


def open_console() -> Console:
    """Return a console on stdout that writes plain wide lines into a pipe."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else PIPE_WIDTH, highlight=False)


def new_table(console: Console, title: str, *columns: str) -> Table:
    """Return a table whose first column is text and whose others are numbers."""
    style = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(title=title, box=style, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def show(console: Console, table: Table) -> None:
    """Print a table and an empty line."""
    console.print(table)
    console.print()


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands separated, or a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def print_traffic(console: Console, results: Results, contenders: Sequence[Contender]) -> None:
    """Print a table for each scenario under full load: medians of the rounds, and of the rounds' ratios."""
    for scenario in TRAFFIC:
        rows = [c.name for c in contenders if (scenario, c.name) in results.samples]
        if not rows:
            continue
        table = new_table(
            console,
            TITLES[scenario],
            *("contender", "CPU us/req", "min", "max", "x nginx", "x Envoy"),
            *("req/s", "p50 us", "p99 us", "RSS MB", "core busy"),
        )
        # NOTE: with plugins the reference is nginx without any; Envoy's counterpart has its own.
        nginx = Scenario.FIXED if scenario is Scenario.FIXED else Scenario.PROXIED
        for name in rows:
            costs = results.values(scenario, name, "cpu_us")
            rss, busy = (
                results.median(scenario, name, "rss_bytes"),
                results.median(scenario, name, "core_busy"),
            )
            table.add_row(
                name,
                number(results.median(scenario, name, "cpu_us"), 2),
                number(min(costs), 2),
                number(max(costs), 2),
                number(results.cost_ratio((scenario, name), (nginx, "nginx")), 2),
                number(results.cost_ratio((scenario, name), (scenario, "envoy")), 2),
                number(results.median(scenario, name, "requests_per_second")),
                number(results.median(scenario, name, "p50_us")),
                number(results.median(scenario, name, "p99_us")),
                number(rss and rss / 1e6, 1),
                number(busy and busy * 100) + " %",
            )
        show(console, table)


def print_code(console: Console, costs: Costs) -> None:
    """Print the costs of single pieces of code."""
    if not costs:
        return
    table = new_table(console, "single pieces of code", "piece", "ns")
    for module, values in costs.items():
        for label, value in values.items():
            table.add_row(f"{module}: {label}", number(value, 1))
    show(console, table)


def print_rates(console: Console, rates: Costs) -> None:
    """Print what the event log does in a second."""
    if not rates:
        return
    table = new_table(console, "the event log", "what", "events/s")
    for module, values in rates.items():
        for label, value in values.items():
            table.add_row(f"{module}: {label}", number(value, 0 if value >= 1000 else 2))
    show(console, table)


def print_memory(
    console: Console, idle: Mapping[str, IdleResult], large: Mapping[str, list[LargeBodyResult]]
) -> None:
    """Print what idle connections and large bodies cost in memory."""
    if idle:
        table = new_table(
            console,
            "idle keep-alive connections",
            "contender",
            "connections",
            "bytes each",
            "RSS MB",
            "CPU idle",
        )
        for name, result in idle.items():
            table.add_row(
                name,
                number(result.connections),
                number(result.bytes_each),
                number(result.rss_after / 1e6, 1),
                f"{result.cpu_share:.2%}",
            )
        show(console, table)
    if large:
        table = new_table(
            console, "large bodies, slow receiver", "contender", "body", "MiB", "growth of RSS MB", "seconds"
        )
        for name, results in large.items():
            for r in results:
                row = (name, f"{r.direction}, {r.framing}", number(r.size / (1 << 20)))
                table.add_row(*row, number(r.growth_bytes / 1e6, 1), number(r.seconds, 1))
        show(console, table)


def print_figures(console: Console, figures: Sequence[Figure]) -> None:
    """Print what must be reached and whether it was."""
    table = new_table(console, "figures", "what", "measured", "must reach", "")
    for figure in figures:
        digits = 0 if figure.value and figure.value >= 1000 else 3
        table.add_row(figure.what, number(figure.value, digits), figure.must_reach, VERDICTS[figure.reached])
    show(console, table)
