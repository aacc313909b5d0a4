"""Let requests for the same thing wait for the first of them, which asks the server.

The rule it guards: who waits is told, however the first one ends; nobody waits for one that has gone. Used by
core/cache/http_cache and plugins/cache.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum


class Outcome(Enum):
    """Say to who waited how it ended."""

    KEPT = "kept"  # the answer is in the cache
    ALONE = "alone"  # it is not: everyone asks the server
    LEAD = "lead"  # the first one has gone: ask the server for the others


class Flight:
    """Be a request under way that others wait for."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Outcome]] = deque()

    def __len__(self) -> int:
        return sum(not future.done() for future in self._waiting)

    async def wait(self, patience: float) -> Outcome:
        """Wait for the outcome; ALONE if it takes too long."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait([future], timeout=patience)
        except asyncio.CancelledError:
            if future.done() and future.result() is Outcome.LEAD:
                self.hand_over()
            future.cancel()
            raise
        if future.done():
            return future.result()
        future.cancel()
        return Outcome.ALONE

    def land(self, outcome: Outcome) -> None:
        """Tell all who wait."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(outcome)

    def hand_over(self) -> bool:
        """Let the next one lead; False: nobody waits."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(Outcome.LEAD)
                return True
        return False
