"""When a projection's image is saved: after so many events, so many seconds after a change, and at the close.

The rule it guards: an image is of one position. While it is made piece by piece, and others have their turns
between, nothing is folded into its table (`still`). One that cannot be made or saved is told, and tried again
later; the table goes on. Held by ProjectionRunner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic

from core._fast.event_append import Append
from core.event_log.log import EventLog
from engines.event_sourcing.checkpoint import Parked, joined, read_head, state_of
from engines.event_sourcing.clock import Clock, Timer
from engines.event_sourcing.projection import Projection, Table
from engines.event_sourcing.retry import told

SAVE_EVENTS = 100_000
SAVE_SECONDS = 30.0

logger = logging.getLogger("agora.event_sourcing")


class ProjectionSaver(Generic[Table]):
    """Save the images of one projection.

    current: returns the table, its position, and what is left out of it; None: there is no table now
    allowed: tells whether this process may save
    """

    def __init__(
        self,
        log: EventLog,
        projection: Projection[Table],
        current: Callable[[], tuple[Table | None, int, list[Parked]]],
        *,
        clock: Clock,
        allowed: Callable[[], bool],
        events: int,
        seconds: float,
    ) -> None:
        self.saved = 0  # position of the image
        self.error = ""  # of the last attempt
        self.still = asyncio.Lock()  # held while the table changes, and while its image is made
        self._log = log
        self._projection = projection
        self._current = current
        self._clock = clock
        self._allowed = allowed
        self._events = events
        self._seconds = seconds
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    async def moved(self, position: int) -> None:
        """Take note that the table came to a position; save if it is due. `still` is held by the caller."""
        if position - self.saved >= self._events:
            await self._try()
        if position != self.saved and self._timer is None and self._task is None:
            self._timer = self._clock.call_later(self._seconds, self._due)

    async def save(self) -> None:
        """Save the image, if this process may and there is something new; a failure is only told."""
        async with self.still:
            await self._try()

    async def close(self) -> None:
        """Save for the last time."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.save()

    def _due(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._save_by_time())

    async def _save_by_time(self) -> None:
        try:
            async with self.still:
                await self._try()
                if self._current()[1] != self.saved:
                    self._timer = self._clock.call_later(self._seconds, self._due)
        finally:
            self._task = None

    async def _try(self) -> None:
        name = self._projection.name
        try:
            await self._save()
            self.error = ""
        except Exception as error:  # of the definition's `image`, which may raise any, or of the log
            logger.error("the image of projection %s cannot be saved: %s", name, error)
            self.error = told(error)

    async def _save(self) -> None:
        table, position, parked = self._current()
        if table is None or position == self.saved or not self._allowed():
            return
        pieces = []
        for piece in self._projection.image(table):
            pieces.append(piece)
            await asyncio.sleep(0)
        before = read_head(self._log, self._projection.name)
        state = state_of(
            self._projection.name,
            self._projection.schema,
            position,
            joined(pieces),
            parked,
            self._clock.now_ns(),
            before.chunks if before is not None else 0,
        )
        await self._log.submit(Append(state=state))
        if self._current()[0] is table:  # none was made anew meanwhile
            self.saved = position
