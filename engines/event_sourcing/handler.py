"""What an event handler is: an effect for each event, at least once.

    mails = Handler(
        name="mails",
        where=Filter(types=("OrderFilled",)),
        handle=send_mail,               # async def (event: Event) -> None
        retry=Retry(attempts=5),
    )

The rule it guards: an event is done with when `handle` has returned, or when it stands on the dead-letter
list after the last attempt. After a crash those are handled again whose success was not on disk yet, so
`handle` has to bear an event twice: it may use the event's id. A HandlerRunner runs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from core.event_log.filter import EVERYTHING, Filter
from engines.event_sourcing.event import Event
from engines.event_sourcing.projection import check_name
from engines.event_sourcing.retry import ORDINARY, Retry


@dataclass(frozen=True, kw_only=True)
class Handler:
    """Define what is done for each event. Raises ValueError for a name or a number that cannot be.

    name:     its checkpoint, and its dead letters, are kept under it
    handle:   takes an event as it would be written today. A `def` runs on the event loop and must not wait;
              raises any exception if it failed; an AgoraError that a client caused is not tried again
    where:    narrows the events
    retry:    how often an event is tried, and after how long
    order:    `stream`: events of a stream in order, streams beside each other. An event that fails holds up
              the later ones of its stream, until it is done or given up; while a stream has a backlog, each
              event that is given up halves the attempts of those behind it. `log`: all events in order.
              `none`: each as soon as there is room
    at_once:  attempts that run at the same time
    seconds:  for an attempt that waits; then it is cancelled and counts as failed
    begins:   where a new handler begins: at the log's `first` event, or with what is new at the start (`now`)
    """

    name: str
    handle: Callable[[Event], Awaitable[None] | None]
    where: Filter = EVERYTHING
    retry: Retry = ORDINARY
    order: Literal["stream", "log", "none"] = "stream"
    at_once: int = 16
    seconds: float = 30.0
    begins: Literal["first", "now"] = "first"

    def __post_init__(self) -> None:
        check_name("handler", self.name)
        if self.at_once < 1 or self.seconds <= 0:
            raise ValueError(f"handler {self.name!r}: at_once and seconds are more than nothing")
