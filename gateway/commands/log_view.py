"""How events are shown: a line each, with columns in a pipe.

What clients sent is shown with control characters escaped: a log must not drive the terminal of its reader.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.commands.requests import printable
from gateway.terminal import print_line, print_record

if TYPE_CHECKING:
    from core._fast.envelope import Event
    from core.event_log.subjects import Subjects


def opened(events: Iterable[Event], subjects: Subjects | None) -> list[Event]:
    """Return events with their data in clear where a key is there; without ``subjects``, as they are."""
    from core.event_log.errors import EventSealed, EventUndecodable

    if subjects is None:
        return list(events)
    found = []
    for event in events:
        try:
            found.append(subjects.open(event))
        except (EventSealed, EventUndecodable):
            found.append(event)
    return found


def data_text(event: Event) -> str:
    """Return an event's data as JSON on one line, or what it is instead."""
    import msgspec

    from core.event_log.errors import EventUndecodable

    if event.sealed:
        return f"({len(event.data)} bytes, sealed)"
    try:
        value = event.value()
        if isinstance(value, bytes):
            return f"({len(value)} bytes)" if value else ""
        return printable(msgspec.json.encode(value, enc_hook=repr).decode())
    except (EventUndecodable, TypeError, ValueError):
        return f"({len(event.data)} bytes, not readable)"


def local_time(time_ns: int) -> str:
    """Return a time as a person at this machine reads it."""
    try:
        time = datetime.fromtimestamp(time_ns // 10**9).astimezone()
    except (ValueError, OverflowError):
        return str(time_ns)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time_ns // 10**6 % 1000:03}"


def show_events(events: Iterable[Event], *, as_json: str = "") -> None:
    """Print events, a line each; with ``as_json``, the source that they name, as CloudEvents."""
    if as_json:
        from core.event_log.portable import encode_event

        sys.stdout.buffer.write(b"".join(encode_event(event, as_json) + b"\n" for event in events))
        sys.stdout.buffer.flush()
        return
    for event in events:
        if sys.stdout.isatty():
            position, time, stream, version, kind, actor, tags, data = _cells(event)
            print_line(f"{position:>8} {time} {stream}@{version}  {kind}  {data}  {actor} {tags}".rstrip())
        else:
            print_record(_columns(event))
    sys.stdout.flush()


def _cells(event: Event) -> tuple[str, ...]:
    texts = (event.stream, str(event.version), event.type, event.actor, ", ".join(event.tags))
    return (
        str(event.position),
        local_time(event.time_ns),
        *map(printable, texts),
        data_text(event),
    )


def _columns(event: Event) -> tuple[str, ...]:
    """Return the columns of a line in a pipe; "-" stands for nothing."""
    from core.event_log.portable import format_time

    position, _, *texts = _cells(event)
    return (position, format_time(event.time_ns), *(text or "-" for text in texts))
