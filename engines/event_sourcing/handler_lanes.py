"""Work in lanes: in order within a lane, lanes beside each other.

The rule it guards: what waits in its lane for a second attempt holds up that lane and no other. The room is
bounded: whoever adds work waits when too much of it is under way. Held by HandlerRunner.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from engines.event_sourcing.clock import Clock

WINDOW = 1_000  # pieces of work under way, waiting ones too
GRACE_SECONDS = 5.0  # for attempts that run when all is to end

Work = TypeVar("Work")
Do = Callable[["Lane[Work]", Work], Awaitable[None]]


class Lane(Generic[Work]):
    """Be work that is done in order."""

    __slots__ = ("given_up", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Work] = deque()
        self.given_up = 0  # in a row
        self.task: asyncio.Task[None] | None = None


class Lanes(Generic[Work]):
    """Do work.

    do:      does one piece to its end; raises nothing
    at_once: attempts that may run at the same time, see `attempt`
    """

    def __init__(self, do: Do[Work], at_once: int, window: int = WINDOW) -> None:
        self._do = do
        self._slots = asyncio.Semaphore(at_once)
        self._room = asyncio.Semaphore(window)
        self._lanes: dict[str | int, Lane[Work]] = {}
        self._attempting: set[asyncio.Task[Any]] = set()
        self.closing = False

    async def add(self, key: str | int, work: Work) -> None:
        """Add a piece of work to a lane, as soon as there is room."""
        await self._room.acquire()
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
            lane.waiting.append(work)
            lane.task = asyncio.create_task(self._run(key, lane))
        else:
            lane.waiting.append(work)

    async def _run(self, key: str | int, lane: Lane[Work]) -> None:
        while lane.waiting and not self.closing:
            await self._do(lane, lane.waiting[0])
            lane.waiting.popleft()
            self._room.release()
        del self._lanes[key]

    @asynccontextmanager
    async def attempt(self) -> Any:
        """Hold one of the places of attempts; `close` lets its holder come to an end."""
        task = asyncio.current_task()
        assert task is not None
        async with self._slots:
            self._attempting.add(task)
            try:
                yield
            finally:
                self._attempting.discard(task)

    async def close(self, clock: Clock, seconds: float = GRACE_SECONDS) -> None:
        """Begin nothing any more; let attempts come to an end, for some seconds."""
        self.closing = True
        tasks = {lane.task for lane in self._lanes.values() if lane.task is not None}
        for task in tasks - self._attempting:
            task.cancel()
        timer = clock.call_later(seconds, lambda: [task.cancel() for task in tasks])
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            timer.cancel()
