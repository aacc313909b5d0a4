"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from engines.event_sourcing.clock import SECOND, Timer

BEGIN = 1_700_000_000 * SECOND
TURNS = 20  # of the loop, in which what was called gets where it can without the disk


class ManualTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    def __init__(self, begin: int = BEGIN) -> None:
        self._begin = begin
        self._passed = 0
        self._timers: list[tuple[int, int, ManualTimer]] = []
        self._made = 0

    def now_ns(self) -> int:
        return self._begin + self._passed

    def monotonic_ns(self) -> int:
        return self._passed

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = ManualTimer(callback)
        self._made += 1
        heappush(self._timers, (self._passed + round(seconds * SECOND), self._made, timer))
        return timer

    @property
    def waiting(self) -> list[float]:
        """Return in how many seconds calls are due, in order."""
        return [(due - self._passed) / SECOND for due, _, timer in sorted(self._timers) if timer.callback]

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer, with some turns of the loop after each."""
        until = self._passed + round(seconds * SECOND)
        while self._timers and self._timers[0][0] <= until:
            self._passed, _, timer = heappop(self._timers)
            if timer.callback is not None:
                timer.callback()
                await turns()
        self._passed = until
        await turns()


async def turns(number: int = TURNS) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return when a condition is true that only the disk or another process is awaited for."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0)
