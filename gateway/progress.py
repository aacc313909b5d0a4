"""Show how far a command is that takes long: a bar on stderr, on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]  # how much is done, of how much; 0: nobody knows


@contextmanager
def progress(label: str, *, in_bytes: bool = False) -> Iterator[Report]:
    """Yield a function to report to; the bar is gone when the work is done."""
    if not sys.stderr.isatty():
        yield lambda done, most: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, most: bar.update(task, completed=done, total=most or None)
