"""What the runners know of time: what it is, and a call when some of it has passed.

The rule it guards: nothing in this engine asks the machine for the time but here, so that a test, or a
replay, drives all of it with a clock of its own. Held by every runner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
SECOND = 1_000_000_000  # ns


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Let the call not come; harmless after it came."""
        ...


class Clock(Protocol):
    """Tell the time, and call back."""

    def now_ns(self) -> int:
        """Return the time, ns since the epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Return ns since some moment; never goes back."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call a function once, in so many seconds, on the running loop."""
        ...


class SystemClock:
    """The machine's time and the running loop's timers."""

    def now_ns(self) -> int:
        """Return the time, ns since the epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return ns since some moment; never goes back."""
        return time.monotonic_ns()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call a function once, in so many seconds, on the running loop."""
        return asyncio.get_running_loop().call_later(seconds, callback)


def set_if_waited_for(waiter: asyncio.Future[None]) -> None:
    """End a wait; one that was given up is left alone."""
    if not waiter.done():
        waiter.set_result(None)


async def sleep(clock: Clock, seconds: float) -> None:
    """Return when so many seconds have passed."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, lambda: set_if_waited_for(waiter))
    try:
        await waiter
    finally:
        timer.cancel()


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine returns; cancel it and raise TimeoutError if it takes longer than allowed."""
    task = asyncio.ensure_future(work)
    late = False

    def give_up() -> None:
        nonlocal late
        late = task.cancel()

    timer = clock.call_later(max(seconds, 0), give_up)
    try:
        return await task
    except asyncio.CancelledError:
        own = asyncio.current_task()
        if late and (own is None or not own.cancelling()):
            raise TimeoutError(f"took longer than {seconds:g} seconds") from None
        raise
    finally:
        timer.cancel()
