"""Wait until this process sees a position of the log: what another worker has appended is there at once.

Called by the queries that read the log itself; those that read a table wait for the table.
"""

from __future__ import annotations

import asyncio

from core.errors import AgoraError
from engines.event_sourcing import EventSourcingEngine


class PositionAhead(AgoraError):
    """Say that the log has not come to a position in the time that was given."""

    status = 503
    slug = "position-ahead"
    title = "Position ahead of the log"
    retry_safe = True


async def wait_for_position(engine: EventSourcingEngine, position: int, seconds: float) -> None:
    """Return when the log has an event at a position; raise PositionAhead and EngineStopped."""
    log = engine.log
    if log.last_position() >= position:
        return
    try:
        async with asyncio.timeout(seconds):
            await log.wait_beyond(position - 1)
    except TimeoutError:
        raise PositionAhead(f"the log is at position {log.last_position()}, before {position}") from None
