"""Tell a log's story: numbered steps and what they append, the same in each process and each time.

Rule: a record depends on its step alone, so what a log must hold after some actions is known byte for byte.
The children (story_teller.py) act it out, the tests hold what they find to it.

An action is ``("open",)``, ``("commit", step)``, ``("drop", segment)`` or ``("close",)``; all but a commit
may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from core._fast.envelope import Draft, Event
from core._fast.event_append import ANY, EXISTS, NO_STREAM, Append, Appended
from core._fast.event_store import DAY_NS, EventStore
from core.event_log.errors import EventLogError

Action = tuple[str] | tuple[str, int]
START_NS = 20_000 * DAY_NS
STEPS_OF_A_DAY = 4  # a segment has a day
ROOM = 64 << 20


def time_of(number: int) -> int:
    """Return when a step happens, in ns since 1970."""
    return START_NS + (number - 1) * DAY_NS // STEPS_OF_A_DAY


def draft(number: int, index: int, size: int = 60) -> Draft:
    """Make the event of a step with that index; ids of even steps ascend, those of odd ones are scattered."""
    name = f"{number}/{index}".encode()
    ordered = number.to_bytes(8, "big") + index.to_bytes(8, "big")
    return Draft(
        f"Kind{index % 3}",
        (name + b" ").ljust(size, b"."),
        id=sha256(name).digest()[:16] if number % 2 else ordered,
        tags=(f"step:{number}", f"index:{index}"),
        actor="teller",
    )


def appends_of(number: int) -> list[Append]:
    """Make a step's batch: one stream at its version, several at once, a large event, state, keys."""
    before = [(f"own-{number % 3}", EXISTS)] if number > 3 else []
    batch = [
        Append(
            [("main", 2 * (number - 1) if number > 1 else NO_STREAM, [draft(number, 0), draft(number, 1)])],
            state=[(b"step", b"%d" % number), (b"step/%d" % number, bytes(50 * number))],
        ),
        Append(
            [
                (f"own-{number % 3}", ANY, [draft(number, 2)]),
                (f"new-{number}", NO_STREAM, [draft(number, 3)]),
            ],
            checks=before,
            state=[(b"step/%d" % (number - 3), None)],
        ),
    ]
    if number % 3 == 0:
        batch.append(
            Append([("large", ANY, [draft(number, 4, 9000)])], keys=[(b"subject", bytes([number]) * 32)])
        )
    return batch


def open_log(path: Path, room: int = ROOM) -> EventStore:
    """Open the story's log, or make it at the story's beginning."""
    return EventStore(str(path), map_size=room, segment_days=1, now_ns=START_NS)


def take(store: EventStore, action: Action) -> list[Appended]:
    """Do a commit or a drop; raise the first refusal."""
    if action[0] == "drop":
        store.drop_segment(action[1])  # type: ignore[misc]  # a drop has a number
        return []
    if action[0] == "commit":
        results = store.commit(appends_of(action[1]), time_of(action[1]))  # type: ignore[misc]
        for result in results:
            if isinstance(result, EventLogError):
                raise result
        return [result for result in results if isinstance(result, Appended)]
    return []


@dataclass
class Contents:
    """All that a log holds."""

    records: list[bytes] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    state: dict[bytes, bytes] = field(default_factory=dict)
    keys: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """Return the position of the first event that is kept, 0 for none."""
        return int.from_bytes(self.records[0][8:16], "little") if self.records else 0


def contents_after(actions: list[Action], folder: Path) -> list[Contents]:
    """Return what a log holds before each action and after the last, when nothing goes wrong."""
    found = [Contents()]
    with open_log(folder) as store:
        for action in actions:
            take(store, action)
            found.append(contents_of(store))
    return found


def contents_of(store: EventStore) -> Contents:
    """Read a log in all its ways."""
    return Contents(
        [event.record for event in all_events(store)],
        {name: store.head(name) for name in store.stream_names()},
        dict(store.scan_state()),
        dict(store.scan_keys()),
    )


def all_events(store: EventStore) -> list[Event]:
    """Read a log's events, oldest first, page by page."""
    events: list[Event] = []
    first = store.segments()[0].first_position
    while page := store.read(first, 500):
        events += page
        first = page[-1].position + 1
    return events
