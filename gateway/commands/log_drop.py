"""`agora log drop LOG`: drop the segments that are older than the log is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.commands.log_erase import Yes
from gateway.commands.log_place import LogPlace, confirm, open_store
from gateway.terminal import print_line


def drop(
    place: LogPlace,
    days: Annotated[int, typer.Option(min=1, help="Keep what is younger than this.")] = 365,
    yes: Yes = False,
) -> None:
    """Drop whole segments that ended more than --days ago; the newest stays. The log may be in use."""
    from core.event_log.retention import drop_old, old_segments

    with open_store(place, write=True) as store:
        planned = old_segments(store, days)
        events = sum(part.events for part in planned)
        if not planned:
            print_line(f"no segment ended more than {days} days ago")
            return
        last = planned[-1].first_position + planned[-1].events - 1
        confirm(f"Drop {len(planned)} segments with {events} events, up to position {last}?", yes)
        dropped = drop_old(store, days)
        print_line(
            f"{len(dropped)} segments with {sum(part.events for part in dropped)} events were dropped",
            "green",
        )
