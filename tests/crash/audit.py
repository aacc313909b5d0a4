"""Hold a log to its own rules, and to what a story says that it must hold.

Rule: whatever was done to it, a log is as it was after the last acknowledged action, or after the next one;
and it goes on from there to the story's end.
"""

from __future__ import annotations

import itertools

from core._fast.envelope import Event, read_event
from core._fast.event_append import Query
from core._fast.event_store import EventStore
from tests.crash.story import Action, Contents, all_events, contents_of, take

MANY = 1 << 30  # more than a log of the tests has of anything


def audit(store: EventStore) -> list[Event]:
    """Check checksums, chain, positions, versions, heads and indexes; return the events."""
    events = all_events(store)
    for before, event in itertools.pairwise(events):
        assert event.position == before.position + 1
        assert event.previous_hash == before.hash
    for event in events:
        read_event(event.record, True, position=event.position)
    assert not events or events[0].position > 1 or events[0].previous_hash == bytes(32)
    assert store.last_position() == (
        events[-1].position if events else store.segments()[-1].first_position - 1
    )
    audit_streams(store, events)
    audit_index(store, events)
    return events


def audit_streams(store: EventStore, events: list[Event]) -> None:
    """Check that each stream holds its events, at versions without a gap up to its head."""
    streams: dict[str, list[Event]] = {name: [] for name in store.stream_names(limit=MANY)}
    for event in events:
        streams[event.stream].append(event)
    for name, own in streams.items():
        head = store.head(name)
        assert [event.version for event in own] == list(range(head - len(own) + 1, head + 1))
        found = store.read_stream(name, limit=MANY, max_bytes=MANY)
        assert [event.record for event in found] == [event.record for event in own]


def audit_index(store: EventStore, events: list[Event]) -> None:
    """Check that each type and tag names its events, and no others."""
    named: dict[str, list[int]] = {name: [] for name in store.index_names(limit=MANY)}
    for event in events:
        named[f"type:{event.type}"].append(event.position)
        for tag in event.tags:
            named[f"tag:{tag}"].append(event.position)
    for name, positions in named.items():
        found, _ = store.read_matching(Query([[name]]), limit=MANY, max_bytes=MANY)
        assert [event.position for event in found] == positions


def hold_to_story(
    store: EventStore, actions: list[Action], expected: list[Contents], done: int, *, to_end: bool = True
) -> int:
    """Check a log of which ``done`` actions were acknowledged; go on to the end; return how many it shows."""
    audit(store)
    found = contents_of(store)
    shown = [count for count in (done, done + 1) if count < len(expected) and found == expected[count]]
    assert shown, f"after {done} actions: {difference(found, expected[done])}"
    if to_end:
        repeat(store, actions[: shown[-1]], found)
        for action in actions[shown[-1] :]:
            take(store, action)
        assert contents_of(store) == expected[-1]
    return shown[-1]


def repeat(store: EventStore, actions: list[Action], found: Contents) -> None:
    """Commit the newest step again: its events are known by their ids, and nothing is added."""
    commits = [action for action in actions if action[0] == "commit"]
    if commits and actions[-1] == commits[-1]:
        assert all(result.repeated for result in take(store, commits[-1]))
        assert store.last_position() == found.first + len(found.records) - 1


def difference(found: Contents, wanted: Contents) -> str:
    """Say in which part, and how, two contents differ."""
    parts = []
    for name in ("records", "heads", "state", "keys"):
        one, other = getattr(found, name), getattr(wanted, name)
        if one != other:
            parts.append(f"{name}: {len(one)} found, {len(other)} wanted")
    return "; ".join(parts)
