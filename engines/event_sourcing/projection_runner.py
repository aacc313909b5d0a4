"""Keep one projection's table up to date: catch up, follow, save, rebuild.

Rules: an event counts once in the table, in order; one that its fold cannot take stops the projection
visibly, or is parked if so defined; it is never left out silently. The table is the running process's own;
its image is saved with its position (engines/event_sourcing/projection_saver), by the process that may.
Queries read `table`, and wait with `wait_for`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Literal

import msgspec

from core._fast.envelope import Event
from core.event_log.errors import LogClosed
from core.event_log.log import EventLog
from engines.event_sourcing.checkpoint import CheckpointDamaged, Parked, read_checkpoint
from engines.event_sourcing.clock import Clock, SystemClock, within
from engines.event_sourcing.projection import Projection, ProjectionBehind, ProjectionUnready, Table
from engines.event_sourcing.projection_saver import SAVE_EVENTS, SAVE_SECONDS, ProjectionSaver
from engines.event_sourcing.retry import told

PAGE = 500  # events folded without giving the loop a turn: a few milliseconds

logger = logging.getLogger("agora.event_sourcing")
RunnerState = Literal["stopped", "catching up", "live", "paused", "recovering", "failed"]


class ProjectionStatus(msgspec.Struct, frozen=True):
    """Say where a projection is.

    lag_events: positions of the log that it has not come to; lag_seconds: age of the first of them
    rebuild:    position that a table which is being made anew has come to; None: none is
    """

    name: str
    state: RunnerState
    position: int
    lag_events: int
    lag_seconds: float
    saved: int  # position of the image; save_error: why there is no newer one
    parked: list[Parked]
    failed_position: int = 0
    error: str = ""
    rebuild: int | None = None
    rebuild_error: str = ""
    save_error: str = ""


class ProjectionRunner(Generic[Table]):
    """Run a projection on a log.

    saves: tells whether this process may save the image
    save_events, save_seconds: after which a changed table's image is saved, whatever comes first
    """

    def __init__(
        self,
        log: EventLog,
        projection: Projection[Table],
        *,
        clock: Clock | None = None,
        saves: Callable[[], bool] = lambda: True,
        save_events: int = SAVE_EVENTS,
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        self.projection = projection
        self._log = log
        self._clock = clock or SystemClock()
        self._saver = ProjectionSaver(
            log,
            projection,
            lambda: (self._table, self._position, list(self._parked.values())),
            clock=self._clock,
            allowed=saves,
            events=save_events,
            seconds=save_seconds,
        )
        self._state: RunnerState = "stopped"
        self._table: Table | None = None
        self._position = 0
        self._parked: dict[int, Parked] = {}
        self._failed: tuple[int, str] = (0, "")
        self._task: asyncio.Task[None] | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._rebuilt: int | None = None
        self._rebuild_error = ""
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    # -- for queries -------------------------------------------------------------------------------------

    @property
    def table(self) -> Table:
        """Return the table, to read now; raise ProjectionUnready while it is made again."""
        if self._table is None:
            raise ProjectionUnready(f"the table of projection {self.projection.name!r} is being made again")
        return self._table

    @property
    def position(self) -> int:
        """Return the position that the table has come to."""
        return self._position

    async def wait_for(self, position: int, seconds: float) -> None:
        """Return when the table knows a position; raise ProjectionBehind after so many seconds."""
        if self._position >= position:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (position, waiter)
        self._waiters.append(entry)
        try:
            await within(self._clock, seconds, _result_of(waiter))
        except TimeoutError:
            raise ProjectionBehind(self.projection.name, position, self._position, self._state) from None
        finally:
            self._waiters = [other for other in self._waiters if other is not entry]

    def status(self) -> ProjectionStatus:
        """Return where the projection is."""
        last = self._log.last_position()
        behind = self._log.store.read(self._position + 1, 1) if last > self._position else []
        lag = (self._clock.now_ns() - behind[0].time_ns) / 1e9 if behind else 0.0
        return ProjectionStatus(
            self.projection.name,
            self._state,
            self._position,
            max(last - self._position, 0),
            max(lag, 0.0),
            self._saver.saved,
            list(self._parked.values()),
            *self._failed,
            self._rebuilt,
            self._rebuild_error,
            self._saver.error,
        )

    # -- for whoever runs it ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with the saved image, or with nothing; again after it failed: try the event again."""
        if self._task is None:
            self._failed = (0, "")
            self._state = "catching up"
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop and save; more often is harmless."""
        await _end(self._rebuilding)
        await self.pause()
        self._state = "stopped"
        await self._saver.close()

    async def pause(self) -> None:
        """Stop taking events; queries go on. `start` goes on from here."""
        await _end(self._task)
        self._task = None
        if self._state != "failed":
            self._state = "paused"

    def rebuild(self) -> None:
        """Make the table anew from the first event, while the present one serves; asked again: go on."""
        if self._rebuilding is None:
            self._rebuild_error = ""
            self._rebuilt = 0
            self._rebuilding = asyncio.create_task(self._rebuild())

    async def cancel_rebuild(self) -> None:
        """Throw away the table that is being made anew."""
        await _end(self._rebuilding)

    async def save(self) -> None:
        """Save the image, if this process may and there is something new; a failure is in the status."""
        await self._saver.save()

    # -- folding -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            if self._table is None:
                await self._recover(None)
            self._arrive(self._position)
            async for page in self._log.follow(self._position, self.projection.where, PAGE):
                async with self._saver.still:
                    try:
                        self._fold(self._table, page.events)
                    except Exception:
                        if not await self._single_out(page.events):
                            return
                    self._arrive(page.reached)
                    await self._saver.moved(page.reached)
        except LogClosed:
            self._state = "stopped"
        except Exception as error:
            self._fail(0, error)

    def _fold(self, table: Table | None, events: list[Event]) -> None:
        assert table is not None
        if self._parked:
            events = [event for event in events if event.position not in self._parked]
        if events:
            self.projection.fold(table, events)

    def _arrive(self, position: int) -> None:
        self._position = position
        self._state = "live" if position >= self._log.last_position() else "catching up"
        for wanted, waiter in self._waiters:
            if wanted <= position and not waiter.done():
                waiter.set_result(None)

    async def _single_out(self, events: list[Event]) -> bool:
        """Find the event that the fold cannot take; tell whether the rest of the page was folded."""
        begin, done = self._position, 0
        self._state, self._table = "recovering", None
        await self._recover(begin)
        while done < len(events):
            event = events[done]
            try:
                self._fold(self._table, [event])
            except Exception as error:
                self._table = None
                await self._recover(begin, events[:done])
                if self.projection.poison == "stop":
                    if done:
                        self._arrive(events[done - 1].position)
                    self._fail(event.position, error)
                    return False
                self._park(event, error)
            done += 1
        return True

    def _park(self, event: Event, error: Exception) -> None:
        logger.error("projection %s parks the event at %d: %s", self.projection.name, event.position, error)
        self._parked[event.position] = Parked(event.position, event.type, event.stream, told(error))

    def _fail(self, position: int, error: Exception) -> None:
        logger.error("projection %s stops at %d: %s", self.projection.name, position, error, exc_info=error)
        self._state, self._failed = "failed", (position, told(error))
        self._task = None

    async def _recover(self, until: int | None, more: list[Event] | None = None) -> None:
        """Make the table from its image and the events after it, to a position; None: as it was saved."""
        table, position = self._restored(until)
        while until is not None and position < until:
            page = self._log.read_all(position, self.projection.where, PAGE)
            self._fold(table, [event for event in page.events if event.position <= until])
            position = page.reached
            await asyncio.sleep(0)
        if more:
            self._fold(table, more)
        self._table = table
        self._position = position if until is None else until

    def _restored(self, until: int | None) -> tuple[Table, int]:
        name = self.projection.name
        try:
            saved = read_checkpoint(self._log, name, self.projection.schema)
            if saved is not None and (until is None or saved.head.position <= until):
                table = self.projection.restore(saved.pieces)
                self._parked |= {parked.position: parked for parked in saved.head.parked}
                self._saver.saved = saved.head.position
                return table, saved.head.position
        except CheckpointDamaged as error:
            logger.error("the image of projection %s is left aside: %s", name, error)
        except Exception as error:  # of the definition's `restore`, which may raise any
            logger.error("the image of projection %s cannot be read: %s", name, error)
        return self.projection.make(), 0

    # -- rebuilding --------------------------------------------------------------------------------------

    async def _rebuild(self) -> None:
        table, position = self.projection.make(), 0
        try:
            while position < max(self._position, self._log.last_position()):
                page = self._log.read_all(position, self.projection.where, PAGE)
                self._fold(table, page.events)
                self._rebuilt = position = page.reached
                await asyncio.sleep(0)
            self._swap(table, position)
        except Exception as error:
            logger.error("projection %s cannot be made anew: %s", self.projection.name, error)
            self._rebuild_error = f"after {self._rebuilt}: {told(error)}"
        finally:
            self._rebuilding, self._rebuilt = None, None

    def _swap(self, table: Table, position: int) -> None:
        """Put the new table in the place of the old one, between two events."""
        idle = self._state in ("paused", "stopped")
        if self._task is not None:
            self._task.cancel()  # it waits, or it would not be this one's turn
            self._task = None
        state = self._state
        self._table, self._saver.saved = table, 0
        self._arrive(position)
        if idle:
            self._state = state
        else:
            self.start()


async def _result_of(waiter: asyncio.Future[None]) -> None:
    await waiter


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
