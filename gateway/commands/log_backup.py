"""`agora log backup LOG TARGET`: copy a log, while it is in use, and verify the copy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.log_place import LogPlace, open_store
from gateway.commands.log_verify import describe
from gateway.progress import progress
from gateway.terminal import print_error, print_line

INTERRUPTED = 130  # exit code


def backup(
    place: LogPlace,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Directory that is empty or not there yet.")
    ],
    whole: Annotated[
        bool, typer.Option("--whole", help="Copy free pages too, which may hold what was erased; faster.")
    ] = False,
) -> None:
    """Copy the log to TARGET, where it is a log like any other, and verify it. The log may be in use."""
    from core.event_log.backup import back_up

    store = open_store(place)
    try:
        with progress("copying", in_bytes=True) as report:
            verdict = back_up(store, target, compact=not whole, report=report)
    except KeyboardInterrupt:
        # NOTE: the copy under way cannot be stopped, and the store would wait for it.
        print_error("interrupted; there is no backup")
        os._exit(INTERRUPTED)
    store.close()
    size = (target / "data.mdb").stat().st_size
    print_line(f"{target}: {size} bytes; {describe(verdict)}", "green")
