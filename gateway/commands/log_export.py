"""`agora log export LOG`: write events as CloudEvents, a JSON document a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from gateway.commands.log_place import LogPlace, open_log
from gateway.commands.log_tail import After, Open, Since, Streams, Tags, Types, forward, make_filter
from gateway.commands.log_view import opened
from gateway.progress import progress
from gateway.terminal import print_error


def export(
    place: LogPlace,
    after: After = None,
    types: Types = None,
    streams: Streams = None,
    tags: Tags = None,
    since: Since = "",
    open_sealed: Open = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to FILE; it must not be there."),
    ] = None,
) -> None:
    """Write the events that fit every filter as CloudEvents 1.0. The log may be in use.

    Sealed data stays sealed, and its keys stay in the log, unless --open is given.
    """
    from core.event_log.portable import encode_event, source_of
    from core.event_log.subjects import Subjects

    where = make_filter(types, streams, tags, since)
    log = open_log(place)
    try:
        last = log.last_position()
        subjects = Subjects(log.store) if open_sealed else None
        source = source_of(log.store)
        count = 0
        with _writing(output) as file, progress("exporting") as report:
            for events in forward(log, where, after or 0, last, last):
                file.write(
                    b"".join(encode_event(event, source) + b"\n" for event in opened(events, subjects))
                )
                count += len(events)
                report(events[-1].position if events else 0, last)
            file.flush()
    finally:
        log.store.close()
    if output is not None:
        print_error(f"{count} events of {last} positions are in {output}")


@contextmanager
def _writing(output: Path | None) -> Iterator[BinaryIO]:
    """Open the file, which appears under its name only when it is whole; without one, stdout."""
    if output is None:
        yield sys.stdout.buffer
        return
    if output.exists():
        raise typer.BadParameter(f"{output} is there already")
    partial = output.with_name(f".{output.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.rename(output)
    finally:
        partial.unlink(missing_ok=True)
