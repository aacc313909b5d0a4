"""Which events a reader wants: by type, stream, tag and time.

The rule it guards: a filter says the same of an event whether the indexes are asked or the event itself.
core/event_log/log.py asks the indexes for types and tags, and the events for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from core._fast.envelope import Event


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Name the events that are wanted; what is left out does not narrow them."""

    types: tuple[str, ...] = ()  # prefixes of types: an event has one of them
    streams: tuple[str, ...] = ()  # prefixes of streams: an event has one of them
    tags: tuple[str, ...] = ()  # an event has all of them
    since_ns: int = 0  # the earliest time, ns since the epoch
    until_ns: int | None = None  # the first time too late

    def takes(self, event: Event) -> bool:
        """Tell whether an event is wanted."""
        return (
            (not self.types or event.type.startswith(self.types))
            and (not self.tags or set(self.tags) <= set(event.tags))
            and self.takes_place(event)
        )

    def takes_place(self, event: Event) -> bool:
        """Tell whether an event is wanted by its stream and time."""
        if self.streams and not event.stream.startswith(self.streams):
            return False
        if self.since_ns and event.time_ns < self.since_ns:
            return False
        return self.until_ns is None or event.time_ns < self.until_ns

    @property
    def by_place(self) -> bool:
        """Tell whether streams or times narrow it."""
        return bool(self.streams or self.since_ns or self.until_ns is not None)


EVERYTHING = Filter()
