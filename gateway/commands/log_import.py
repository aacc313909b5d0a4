"""`agora log import LOG FILE`: append the events of a file, as `agora log export` writes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from gateway.commands.log_place import LogPlace, open_store
from gateway.progress import Report, progress
from gateway.terminal import print_line


def import_(
    place: LogPlace,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CloudEvents, a line each; - is stdin.")],
) -> None:
    """Append the events in FILE to a log, which is made if it is not there; the gateway may use it meanwhile.

    Events keep their ids, times, types, streams and order; those that are there already are left as they are.
    A line that is none ends it: what stands before it is in the log, and all can be imported again.
    """
    from core.event_log.portable import import_lines

    if str(file) == "-":
        with open_store(place, write=True, make=True) as store:
            done = import_lines(store, sys.stdin.buffer)
    else:
        try:
            opened = file.open("rb")
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from None
        with (
            opened,
            open_store(place, write=True, make=True) as store,
            progress("importing", in_bytes=True) as report,
        ):
            done = import_lines(store, _told(opened, file.stat().st_size, report))
    print_line(f"{done.added} events were added, {done.repeated} were there already", "green")


def _told(file: BinaryIO, size: int, report: Report) -> Iterator[bytes]:
    """Yield the lines of a file, and tell how far it is."""
    read = 0
    for number, line in enumerate(file):
        read += len(line)
        if number % 1000 == 0:
            report(read, size)
        yield line
