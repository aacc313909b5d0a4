"""Let go of what is older than the log is kept: whole segments, and what commands left behind.

The rule it guards: only segments that ended long enough ago go, oldest first, never the one that is written
to; the numbering of streams and the chain of hashes go on. The process that owns the log calls `drop_old`
when it starts and once a day; `agora log drop` calls it for one that does not run.

NOTE: a segment goes as a whole, so an event stays up to a segment's length longer than the days say. A
segment ends with the first commit after its time; in a log that nobody writes to, the last one stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from core._fast.event_append import Append
from core._fast.event_store import DAY_NS, EventStore
from core.event_log.errors import EventLogError

KEEP_DAYS = 365
AT_ONCE = 1000  # values forgotten in one commit

IsOld = Callable[[bytes, bytes], bool]  # of a key and its value


@dataclass(frozen=True)
class DroppedSegment:
    """Say what went."""

    number: int
    first_position: int
    events: int
    start_ns: int
    end_ns: int


def old_segments(store: EventStore, days: int = KEEP_DAYS, now_ns: int | None = None) -> list[DroppedSegment]:
    """Return the segments that ended more than so many days ago, oldest first, but for the last."""
    if days < 1:
        raise ValueError(f"a log is kept for 1 day at least, not {days}")
    limit = (time.time_ns() if now_ns is None else now_ns) - days * DAY_NS
    found = []
    for part in store.segments()[:-1]:
        if part.end_ns > limit:
            break
        found.append(
            DroppedSegment(part.number, part.first_position, part.events, part.start_ns, part.end_ns)
        )
    return found


def drop_old(store: EventStore, days: int = KEEP_DAYS, now_ns: int | None = None) -> list[DroppedSegment]:
    """Drop the segments that ended more than so many days ago; return those that this call dropped.

    Raises LogFull and LogUnwritable; what was dropped before that stays dropped.
    """
    return [part for part in old_segments(store, days, now_ns) if store.drop_segment(part.number)]


def forget_state(store: EventStore, prefix: bytes, is_old: IsOld, at_once: int = AT_ONCE) -> int:
    """Remove the values of state whose keys have a prefix and which are old; return how many.

    ``is_old`` knows the layout of the values, such as that of ``command/``: it is given key and value. Each
    commit removes `at_once` of them, so that others get their turn. Raises LogFull and LogUnwritable.
    """
    forgotten = 0
    after = b""
    while found := store.scan_state(prefix, after, at_once):
        after = found[-1][0]
        old: list[tuple[bytes, bytes | None]] = [(key, None) for key, value in found if is_old(key, value)]
        if old:
            (result,) = store.commit([Append(state=old)])
            if isinstance(result, EventLogError):
                raise result
            forgotten += len(old)
    return forgotten
