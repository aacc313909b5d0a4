"""How commands show things: tables and colours on a terminal, plain lines in a pipe, JSON for programs.

In a pipe every record is one line, its columns separated by tabs, without headings; so `cut` and `awk`
read it. What is wrong goes to stderr. Every command prints through these functions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from core.decode import ConfigProblem


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print records: a table on a terminal, else a line each."""
    if not sys.stdout.isatty():
        for row in rows:
            print_record(row)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(headings))
    for heading in headings:
        table.add_column(heading, header_style="bold cyan", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console(sys.stdout).print(table)


def print_record(cells: Sequence[str]) -> None:
    """Print one record as one line, whatever is in it."""
    print("\t".join(" ".join(cell.split()) for cell in cells))


def print_line(text: str, style: str = "") -> None:
    """Print one line; the style is for terminals."""
    if sys.stdout.isatty():
        _console(sys.stdout).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(message: str) -> None:
    """Print what went wrong to stderr."""
    if sys.stderr.isatty():
        from rich.text import Text

        _console(sys.stderr).print(Text("agora: ", style="bold red") + Text(message), soft_wrap=True)
    else:
        print(f"agora: {message}", file=sys.stderr)


def print_problems(problems: Sequence[ConfigProblem]) -> None:
    """Print what is wrong with a configuration to stderr."""
    if not sys.stderr.isatty():
        for problem in problems:
            print(" ".join(str(problem).split()), file=sys.stderr)
        return
    from rich.text import Text

    console = _console(sys.stderr)
    for problem in problems:
        place = Text(problem.location, style="bold") + Text(
            f"  {problem.key}" if problem.key else "", style="bold cyan"
        )
        console.print(place, soft_wrap=True)
        console.print(Text("  ") + Text(problem.wrong, style="red"), soft_wrap=True)
        if problem.right:
            console.print(Text("  ") + Text(problem.right, style="green"), soft_wrap=True)
    console.print(f"{len(problems)} problem{'s' * (len(problems) != 1)}", style="bold")


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, emoji=False)
