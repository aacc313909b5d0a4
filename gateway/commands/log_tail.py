"""`agora log tail LOG`: show the newest events, filtered, and follow new ones as they are appended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.log_place import LogPlace, open_log
from gateway.commands.log_view import opened, show_events

if TYPE_CHECKING:
    from core._fast.envelope import Event
    from core.event_log.filter import Filter
    from core.event_log.log import EventLog
    from core.event_log.subjects import Subjects

PAGE = 1000  # events read at once
NUMBER = 20

Types = Annotated[
    list[str] | None, typer.Option("--type", metavar="PREFIX", help="What the type begins with; any of them.")
]
Streams = Annotated[
    list[str] | None, typer.Option("--stream", metavar="PREFIX", help="What the stream begins with; any.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; all that are given.")]
Since = Annotated[str, typer.Option(help="15m, 2h, 7d ago, or a time: 2031-05-01 12:30.")]
After = Annotated[int | None, typer.Option(min=0, metavar="POSITION", help="Those after this position.")]
Open = Annotated[bool, typer.Option("--open", help="Show sealed data in clear, where its key is not erased.")]


def tail(
    place: LogPlace,
    after: After = None,
    types: Types = None,
    streams: Streams = None,
    tags: Tags = None,
    since: Since = "",
    number: Annotated[
        int | None,
        typer.Option(
            "--number", "-n", min=0, help="How many, the newest; with --after or --since the first."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones as they come.")] = False,
    open_sealed: Open = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print CloudEvents, a JSON document a line.")
    ] = False,
) -> None:
    """Show events, oldest first; every filter that is given must fit. The log may be in use."""
    from core.event_log.portable import source_of
    from core.event_log.subjects import Subjects

    where = make_filter(types, streams, tags, since)
    log = open_log(place)
    try:
        subjects = Subjects(log.store) if open_sealed else None
        source = source_of(log.store) if as_json else ""
        last = log.last_position()
        if after is None and not since:
            newest = _newest(log, where, NUMBER if number is None else number or last)
            show_events(opened(newest, subjects), as_json=source)
        else:
            for events in forward(log, where, after or 0, last, number or last):
                show_events(opened(events, subjects), as_json=source)
        if follow:
            import asyncio

            asyncio.run(_follow(log, where, max(last, after or 0), subjects, source))
    finally:
        log.store.close()


def make_filter(
    types: list[str] | None, streams: list[str] | None, tags: list[str] | None, since: str
) -> Filter:
    """Make a filter of the words on the command line."""
    import time

    from core.event_log.filter import Filter
    from core.request_log.query import QueryInvalid, parse_time

    try:
        since_ns = parse_time(since, time.time_ns()) if since else 0
    except QueryInvalid as error:
        raise typer.BadParameter(str(error)) from None
    return Filter(
        types=tuple(types or ()), streams=tuple(streams or ()), tags=tuple(tags or ()), since_ns=since_ns
    )


def forward(log: EventLog, where: Filter, after: int, last: int, number: int) -> Iterator[list[Event]]:
    """Yield the first wanted events after a position, up to ``last``, by the page."""
    while after < last and number > 0:
        page = log.read_all(after, where, PAGE)
        after = page.reached
        events = [event for event in page.events if event.position <= last][:number]
        number -= len(events)
        yield events


def _newest(log: EventLog, where: Filter, number: int) -> list[Event]:
    """Return the last wanted events, oldest first."""
    found: list[Event] = []
    position = log.last_position()
    while position > 0 and len(found) < number:
        page = log.store.read(position, PAGE, backwards=True)
        found += [event for event in page if where.takes(event)]
        position = page[-1].position - 1 if page else 0
    return found[:number][::-1]


async def _follow(log: EventLog, where: Filter, after: int, subjects: Subjects | None, source: str) -> None:
    try:
        async for page in log.follow(after, where, PAGE):
            show_events(opened(page.events, subjects), as_json=source)
    finally:
        await log.close()
