"""The states of streams, each at a known version, kept for the next decision.

The rule it guards: a state that is kept is the fold of its stream's events from the first to its version.
Whether that version is still the stream's is not known here: who appends says which version the append
depends on, and drops the state when the log refuses. Called by the command bus, and by who shows aggregates.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from core.event_log.log import EventLog
from engines.event_sourcing.domain import Domain
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.snapshots import EVERY, Snapshots

KEPT = 10_000  # states
PAGE = 1_000  # events folded without giving the loop a turn

logger = logging.getLogger("agora.event_sourcing")


class KeptState:
    """Be the state of one stream at a version."""

    __slots__ = ("asked", "due", "size", "state", "stream", "version")

    def __init__(self, stream: str, state: Any, version: int, size: int = 0, due: int = 0) -> None:
        self.stream = stream
        self.state = state
        self.version = version
        self.size = size  # bytes of the snapshot it goes on from; 0: none
        self.due = due  # the version at which the next snapshot is due
        self.asked = 0  # the position up to which others' events are in it


class Aggregates:
    """Keep the states that were used last.

    verify: fold each stream that is loaded by a snapshot from its first event as well, and compare
    """

    def __init__(
        self,
        log: EventLog,
        domain: Domain,
        kept: int = KEPT,
        *,
        every: int = EVERY,
        reader: EventReader | None = None,
        verify: bool = False,
    ) -> None:
        self.snapshots = Snapshots(log, domain, every)
        self.mismatches = 0  # snapshots that a replay did not agree with
        self.foreign = 0  # the position of the last event that may be another's; set by who appends
        self._log = log
        self._domain = domain
        self._kept = kept
        self._verify = verify
        self._reader = reader or EventReader()
        self._found: OrderedDict[str, KeptState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, stream: str) -> KeptState:
        """Return a stream's state, folded from the log if it is not kept, with what others have appended.

        NOTE: not while an append of this process is under way whose events are in the state already.
        """
        found = self._found.get(stream)
        if found is None:
            return self._keep(self.load(stream))
        self._found.move_to_end(stream)
        if found.asked < self.foreign:
            self._catch_up(found)
        return found

    def _catch_up(self, found: KeptState) -> None:
        try:
            while self.go_on(found):
                pass
        except BaseException:
            self.drop(found.stream)
            raise
        found.asked = self.foreign

    def _keep(self, loaded: KeptState) -> KeptState:
        loaded.asked = self.foreign
        self._found[loaded.stream] = loaded
        if len(self._found) > self._kept:
            self._found.popitem(last=False)
        return loaded

    def kept(self, stream: str) -> KeptState | None:
        """Return a stream's state if it is kept."""
        return self._found.get(stream)

    def drop(self, stream: str) -> None:
        """Keep a stream's state no longer."""
        self._found.pop(stream, None)

    def load(self, stream: str, version: int | None = None, *, trusting: bool = True) -> KeptState:
        """Fold a stream to a version or to its last; not `trusting`: from its first event, not a snapshot."""
        found = self._begin(stream, version) if trusting else self._empty(stream)
        while self.go_on(found, version):
            pass
        if trusting and self._verify and found.size:
            return self._verified(found)
        return found

    async def prepare(self, streams: Sequence[str]) -> None:
        """Load what is not kept, a page at a time: other work goes on beside a long stream."""
        for stream in streams:
            if stream in self._found or self._log.head(stream) < PAGE:
                continue
            self._keep(await self.load_gently(stream))

    async def load_gently(self, stream: str, version: int | None = None) -> KeptState:
        """Fold a stream like `load`, giving the loop a turn after each page."""
        found = self._begin(stream, version)
        more = True
        while more:
            more = self.go_on(found, version)
            if more:
                await asyncio.sleep(0)
        return found

    def go_on(self, found: KeptState, most: int | None = None) -> bool:
        """Fold the next page of events into a state, up to version `most`; tell whether there may be more.

        NOTE: an event that the domain cannot take leaves the state in between; who calls drops it.
        """
        limit = PAGE if most is None else min(PAGE, most - found.version)
        if limit <= 0:
            return False
        events = self._log.read(found.stream, found.version + 1, limit)
        decode, evolve, data = self._domain.decode_event, self._domain.evolve, self._reader.data
        for event in events:
            found.state = evolve(found.state, decode(data(event)))
            found.version = event.version
        return len(events) == limit

    def _empty(self, stream: str) -> KeptState:
        return KeptState(stream, self._domain.initial(stream), 0, 0, self.snapshots.due(0, 0))

    def _begin(self, stream: str, most: int | None) -> KeptState:
        restored = self.snapshots.restore(stream, most)
        if restored is None:
            return self._empty(stream)
        due = self.snapshots.due(restored.version, restored.size)
        return KeptState(stream, restored.state, restored.version, restored.size, due)

    def _verified(self, found: KeptState) -> KeptState:
        """Return what the replay of a stream gives; tell if the snapshot led elsewhere."""
        replayed = self.load(found.stream, found.version, trusting=False)
        if self.plain(replayed.state) != self.plain(found.state):
            self.mismatches += 1
            logger.error("the snapshot of %s is not what its events say: it is left aside", found.stream)
        return replayed

    def plain(self, state: Any) -> Any:
        """Return a state as plain values."""
        return msgspec.msgpack.decode(self._domain.snapshot(state))
