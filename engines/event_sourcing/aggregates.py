"""The states of streams, each at a known version, kept for the next decision.

The rule it guards: a state that is kept is the fold of its stream's events from the first to its version.
Whether that version is still the stream's is not known here: who appends says which version the append
depends on, and drops the state when the log refuses. Called by the command bus.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from core.event_log.log import EventLog
from engines.event_sourcing.domain import Domain

KEPT = 10_000  # states


class Aggregate:
    """Be the state of one stream at a version."""

    __slots__ = ("state", "stream", "version")

    def __init__(self, stream: str, state: Any, version: int) -> None:
        self.stream = stream
        self.state = state
        self.version = version


class Aggregates:
    """Keep the states that were used last."""

    def __init__(self, log: EventLog, domain: Domain, kept: int = KEPT) -> None:
        self._log = log
        self._domain = domain
        self._kept = kept
        self._found: OrderedDict[str, Aggregate] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, stream: str) -> Aggregate:
        """Return a stream's state, folded from the log if it is not kept."""
        found = self._found.get(stream)
        if found is None:
            found = self._found[stream] = self.load(stream)
            if len(self._found) > self._kept:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(stream)
        return found

    def kept(self, stream: str) -> Aggregate | None:
        """Return a stream's state if it is kept."""
        return self._found.get(stream)

    def drop(self, stream: str) -> None:
        """Keep a stream's state no longer."""
        self._found.pop(stream, None)

    def load(self, stream: str, version: int | None = None) -> Aggregate:
        """Fold a stream from its first event, to a version or to its last."""
        state, reached = self._domain.initial(stream), 0
        decode, evolve = self._domain.decode_event, self._domain.evolve
        while events := self._log.read(stream, reached + 1):
            for event in events:
                if version is not None and event.version > version:
                    return Aggregate(stream, state, reached)
                state, reached = evolve(state, decode(event.data)), event.version
        return Aggregate(stream, state, reached)
