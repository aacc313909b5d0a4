"""An aggregate as the engine shows it: the state of a stream, now, at a version or at a time.

The rule it guards: what is shown is folded from the log alone, so it is on disk and the same in every
process; what is kept for decisions is not touched. The engine's face calls it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from core.event_log.log import EventLog
from engines.event_sourcing.aggregates import Aggregates
from engines.event_sourcing.errors import AggregateUnknown


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """Be the state of a stream after one of its events.

    type:     the kind of the state; domain: who folded it
    position, time: of its last event; ns since the epoch
    state:    plain values
    """

    aggregate_id: str
    domain: str
    type: str
    version: int
    position: int
    time: int
    state: Any


class AggregateHead(msgspec.Struct, frozen=True, kw_only=True):
    """Be a line in the list of aggregates; domain is empty if no domain folds it."""

    aggregate_id: str
    domain: str
    version: int
    position: int
    time: int


class AggregateReader:
    """Show aggregates of all domains.

    find: returns name and states of the domain that a stream belongs to, or None
    """

    def __init__(self, log: EventLog, find: Callable[[str], tuple[str, Aggregates] | None]) -> None:
        self._log = log
        self._find = find

    async def read(self, stream: str, *, version: int | None = None, at_ns: int | None = None) -> Aggregate:
        """Return a stream's state: now, after a version, or as it was at a time; raise AggregateUnknown.

        NOTE: a time lies between two events; where the clock was put back there may be several such places.
        """
        found = self._find(stream)
        head = self._log.head(stream)
        if found is None or head == 0:
            raise AggregateUnknown(f"there is no aggregate {stream}: it has no events, or no domain folds it")
        wanted = head if version is None else version
        if at_ns is not None:
            wanted = self.version_at(stream, at_ns)
        if not 0 < wanted <= head:
            at = f"at {at_ns} ns" if at_ns is not None else f"at version {version}"
            raise AggregateUnknown(f"there is no aggregate {stream} {at}: its versions are 1 to {head}")
        domain, aggregates = found
        folded = await aggregates.load_gently(stream, wanted)
        last = self._log.read(stream, folded.version, 1)[0]
        return Aggregate(
            aggregate_id=stream,
            domain=domain,
            type=type(folded.state).__name__,
            version=folded.version,
            position=last.position,
            time=last.time_ns,
            state=aggregates.plain(folded.state),
        )

    def version_at(self, stream: str, at_ns: int) -> int:
        """Return the version that a stream had at a time, 0 if it had no events."""
        return bisect_right(Times(self._log, stream), at_ns)

    def heads(self, prefix: str = "", after: str = "", limit: int = 100) -> list[AggregateHead]:
        """Return the aggregates whose names begin so, by name, from the one after `after` on."""
        return [self._head(name) for name in self._log.store.stream_names(prefix, after, limit)]

    def _head(self, stream: str) -> AggregateHead:
        found = self._find(stream)
        last = self._log.read(stream, limit=1, backwards=True)
        return AggregateHead(
            aggregate_id=stream,
            domain=found[0] if found else "",
            version=last[0].version if last else self._log.head(stream),
            position=last[0].position if last else 0,
            time=last[0].time_ns if last else 0,
        )


class Times(Sequence[int]):
    """Be the times of a stream's events, each read when it is asked for."""

    def __init__(self, log: EventLog, stream: str) -> None:
        self._log = log
        self._stream = stream

    def __len__(self) -> int:
        return self._log.head(self._stream)

    def __getitem__(self, index: Any) -> Any:
        """Return ns since the epoch; 0 for an event that was dropped with its segment."""
        events = self._log.read(self._stream, index + 1, 1)
        return events[0].time_ns if events and events[0].version == index + 1 else 0
