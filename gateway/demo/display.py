"""How the demonstration shows itself: a live table on a terminal, a line a second in a pipe.

`agora demo` makes one; the simulation reports to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway.demo.simulation import Outcome, Report
from gateway.demo.tally import Progress
from gateway.terminal import print_line, print_record, print_table

if TYPE_CHECKING:
    from rich.console import Group

HEADINGS = ("market", "question", "status", "price", "bid", "ask", "volume", "trades", "answer")
EVERY = 1.0  # seconds between two lines in a pipe


@contextmanager
def display(*, quiet: bool) -> Iterator[Report]:
    """Yield what shows the progress, while it lasts; quiet: not at all."""
    if quiet:
        yield lambda progress: None
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(
            console=Console(highlight=False, emoji=False), refresh_per_second=8, transient=True
        ) as live:
            yield lambda progress: live.update(picture(progress))
    else:
        yield Lines().show


class Lines:
    """Print a line for each stage, and each second of it."""

    def __init__(self) -> None:
        self._stage = ""
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        """Print where it is, if it is time to."""
        if progress.stage == self._stage and progress.seconds < self._shown + EVERY:
            return
        self._stage, self._shown = progress.stage, progress.seconds
        print_record([f"{progress.seconds:.1f} s", progress.stage, *numbers(progress)])
        sys.stdout.flush()


def numbers(progress: Progress) -> list[str]:
    """Return what is counted, in words."""
    return [
        f"{progress.orders} of {progress.wanted} orders",
        f"{progress.rate:,.0f} a second",
        f"p50 {progress.p50:.1f} ms",
        f"p99 {progress.p99:.1f} ms",
        f"{progress.trades} trades",
        f"{progress.cancelled} cancelled",
        f"{sum(progress.refused.values())} refused",
    ]


def picture(progress: Progress) -> Group:
    """Return what a terminal shows of the progress."""
    from rich import box
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS[:-1]:
        table.add_column(heading, header_style="bold cyan", overflow="ellipsis", no_wrap=True)
    for market in progress.markets:
        table.add_row(*(Text(cell) for cell in market_cells(market, {})[:-1]))
    return Group(
        Text(f"{progress.stage}  {progress.seconds:.0f} s", style="bold"),
        ProgressBar(total=progress.wanted or 1, completed=progress.orders, width=60),
        Text("  ".join(numbers(progress)[1:])),
        table,
    )


def market_cells(market: dict[str, Any], answers: dict[str, str]) -> list[str]:
    """Return a row about a market, in the order of HEADINGS."""
    prices = [f"{market[name]} c" if market[name] else "-" for name in ("price", "bid", "ask")]
    counts = [f"{market[name]:,}" for name in ("volume", "trades")]
    answer = answers.get(market["market"], "-")
    return [market["market"], market["question"], market["status"], *prices, *counts, answer]


def show_outcome(outcome: Outcome) -> None:
    """Print what came of it."""
    progress, money = outcome.progress, outcome.money
    print_table(HEADINGS, [market_cells(market, outcome.answers) for market in progress.markets])
    print_table(("best traders", "gain"), [[row["user"], euros(row["profit"])] for row in outcome.leaders])
    if progress.refused:
        print_table(("refused", "times"), [[slug, f"{times:,}"] for slug, times in progress.refused.items()])
    print_line("  ".join(numbers(progress)))
    sums = f"paid in {euros(money.deposits)} = traders {euros(money.cash)} + markets {euros(money.escrow)}"
    if money.holds:
        print_line(f"money is conserved: {sums} + platform {euros(money.platform)}", "bold green")
    else:
        print_line(f"MONEY IS NOT CONSERVED: {sums} + platform {euros(money.platform)}", "bold red")
        for wrong in money.wrong:
            print_line(f"  {wrong}", "red")


def euros(cents: int) -> str:
    """Return an amount as people write it."""
    return f"{'-' * (cents < 0)}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
