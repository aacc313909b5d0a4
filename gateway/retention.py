"""Let go of what is older than the event log is kept: at the start, and once a day.

The rule it guards: one process does it at a time, the one that holds the engine's right to run; a failure is
logged and tried again with the next look. Started by gateway/engines.
"""

from __future__ import annotations

import asyncio
import logging

from core.errors import AgoraError
from core.event_log.retention import drop_old
from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.clock import SECOND, Clock, SystemClock, sleep

log = logging.getLogger("agora.events")
DAY = 24 * 60 * 60  # seconds
LOOK_SECONDS = 60.0  # between two looks whether it is time, and whether it is this process's turn


class Retention:
    """Keep the log of an engine to its days."""

    def __init__(self, engine: EventSourcingEngine, days: int, clock: Clock | None = None) -> None:
        self._engine = engine
        self._days = days
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        due = self._clock.now_ns()
        while True:
            if self._engine.status().runs and self._clock.now_ns() >= due:
                try:
                    await self.drop()
                    due = self._clock.now_ns() + DAY * SECOND
                except (AgoraError, OSError) as error:
                    log.error("what is older than %d days cannot be dropped: %s", self._days, error)
            await sleep(self._clock, LOOK_SECONDS)

    async def drop(self) -> None:
        """Drop segments that ended too long ago, and the answers to commands as old as those."""
        now = self._clock.now_ns()
        dead = self._engine.log.store.release_dead_readers()
        if dead:
            log.info("let go of what %d readers held whose processes died", dead)
        # NOTE: a segment's pages are freed one by one, which may take seconds.
        for part in await asyncio.to_thread(drop_old, self._engine.log.store, self._days, now):
            last = part.first_position + part.events - 1
            log.info("dropped events %d to %d: older than %d days", part.first_position, last, self._days)
        forgotten = await self._engine.forget_commands(now - self._days * DAY * SECOND)
        if forgotten:
            log.info("forgot the answers to %d commands: older than %d days", forgotten, self._days)
