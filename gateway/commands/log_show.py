"""`agora log show LOG POSITION`: show one event with everything that is stored of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.log_place import LogPlace, open_store
from gateway.commands.log_tail import Open
from gateway.commands.log_view import data_text, local_time, opened, show_events
from gateway.commands.requests import printable
from gateway.terminal import print_error, print_table

if TYPE_CHECKING:
    from core._fast.envelope import Event

CODECS = {0: "bytes", 1: "msgpack", 2: "JSON"}


def show(
    place: LogPlace,
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="Place in the log, from 1.")],
    open_sealed: Open = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a CloudEvent.")] = False,
) -> None:
    """Show the event at POSITION. The log may be in use."""
    from core.event_log.portable import source_of
    from core.event_log.subjects import Subjects

    with open_store(place) as store:
        found = store.read(position, 1)
        if not found or found[0].position != position:
            first, last = store.segments()[0].first_position, store.last_position()
            there = f"it has {first} to {last}" if last >= first else "it has none"
            print_error(f"there is no event at position {position}; {there}")
            raise typer.Exit(1)
        (event,) = opened(found, Subjects(store) if open_sealed else None)
        if as_json:
            show_events([event], as_json=source_of(store))
        else:
            print_table(("", ""), _rows(event))


def _rows(event: Event) -> list[tuple[str, str]]:
    """Return what there is to say of an event; nothing is left out."""
    from core.event_log.portable import format_time

    time = local_time if sys.stdout.isatty() else format_time
    how = CODECS.get(event.codec & 127, str(event.codec)) + (", sealed" if event.sealed else "")
    return [
        ("position", str(event.position)),
        ("stream", printable(event.stream)),
        ("version", str(event.version)),
        ("type", printable(event.type)),
        ("schema version", str(event.schema_version)),
        ("time", time(event.time_ns)),
        ("id", str(event.id)),
        ("correlation id", str(event.correlation_id or "-")),
        ("causation id", str(event.causation_id or "-")),
        ("actor", printable(event.actor) or "-"),
        ("tags", printable(", ".join(event.tags)) or "-"),
        ("data", data_text(event) or "-"),
        ("stored as", f"{how}, {len(event.data)} bytes of data, {len(event.record)} in all"),
        ("hash", event.hash.hex()),
        ("hash of the one before", event.previous_hash.hex()),
    ]
