"""`agora log stat LOG`: show how large a log is, what it is made of, and what is in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import AsJson
from gateway.commands.log_place import LogPlace, log_directory
from gateway.commands.log_view import local_time
from gateway.terminal import print_json, print_line, print_record, print_table

if TYPE_CHECKING:
    from core._fast.event_store import EventStore

HEADINGS = ("segment", "first position", "events", "from", "until", "size")
NAMES_AT_ONCE = 10_000


def stat(place: LogPlace, as_json: AsJson = False) -> None:
    """Show what a log holds. The log may be in use."""
    from core._fast.event_check import LogCheck
    from core._fast.event_store import EventStore

    directory = str(log_directory(place))
    check = LogCheck(directory)  # NOTE: closed before the store opens: one process opens a log once
    try:
        check.read_structure()
        about = {
            "format": check.format,
            "lmdb": check.library,
            "free": check.file.free_pages * check.file.page_size,
        }
    finally:
        check.close()
    with EventStore(directory, read_only=True, make=False) as store:
        facts = {"path": directory, **about, **_facts(store)}
    if as_json:
        print_json(facts)
        return
    _show(facts)


def _facts(store: EventStore) -> dict[str, Any]:
    from core.event_log.subjects import Subjects

    segments = store.segments()
    last = store.last_position()
    newest = store.read(last, 1) if last else []
    map_size, used = store.map_size()
    keys, erased = Subjects(store).count()
    return {
        "log_id": store.identity.hex(),
        "events": sum(segment.events for segment in segments),
        "first_position": segments[0].first_position,
        "last_position": last,
        "last_event_ns": newest[0].time_ns if newest else None,
        "streams": _count(store.stream_names),
        "types_and_tags": _count(store.index_names),
        "subjects": keys,
        "erased_subjects": erased,
        "used_bytes": used,
        "map_bytes": map_size,
        "segments": [
            {
                "number": segment.number,
                "first_position": segment.first_position,
                "events": segment.events,
                "start_ns": segment.start_ns,
                "end_ns": segment.end_ns,
                "used_bytes": segment.used_bytes,
            }
            for segment in segments
        ],
    }


def _count(names: Callable[[str, str, int], list[str]]) -> int:
    count = 0
    after = ""
    while found := names("", after, NAMES_AT_ONCE):
        count += len(found)
        after = found[-1]
    return count


def _show(facts: dict[str, Any]) -> None:
    from core.event_log.portable import format_time

    person = sys.stdout.isatty()
    size: Callable[[int], str] = _decimal if person else str
    time: Callable[[int], str] = local_time if person else format_time
    last_ns = facts["last_event_ns"]
    rows = [
        ("directory", facts["path"]),
        ("log id", facts["log_id"]),
        ("format", f"{facts['format']} of LMDB {facts['lmdb']}"),
        ("events", str(facts["events"])),
        ("positions", f"{facts['first_position']} to {facts['last_position']}" if facts["events"] else "-"),
        ("last event", "-" if last_ns is None else time(last_ns)),
        ("streams", str(facts["streams"])),
        ("types and tags", str(facts["types_and_tags"])),
        ("subjects with a key", str(facts["subjects"])),
        ("subjects erased", str(facts["erased_subjects"])),
        ("file", size(facts["used_bytes"])),
        ("of it free", size(facts["free"])),
        ("room before the map grows", size(facts["map_bytes"])),
    ]
    segments = [
        (
            str(segment["number"]),
            str(segment["first_position"]),
            str(segment["events"]),
            time(segment["start_ns"]),
            time(segment["end_ns"]),
            size(segment["used_bytes"]),
        )
        for segment in facts["segments"]
    ]
    if person:
        print_table(("", ""), rows)
        print_table(HEADINGS, segments)
        return
    for row in rows:
        print_record(row)
    for segment in segments:
        print_line("\t".join(("segment", *segment)))


def _decimal(size: int) -> str:
    from rich.filesize import decimal

    return decimal(size)
