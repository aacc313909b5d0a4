"""An event log as a list: what core/_fast/event_store promises, slow and obvious.

An append is plain data, so that it can be given to another process as JSON: a dict of
``writes``: [stream, expected, [[type, tags, id (hex), data], ...]] each; ``checks``: [stream, expected] each;
``unless``: items of names, or None; ``after``; ``state``: [key, value or None] each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ANY, NO_STREAM, EXISTS = -1, 0, -2

Plain = dict[str, Any]
Answer = tuple[Any, ...]


@dataclass(frozen=True)
class Stored:
    position: int
    stream: str
    version: int
    type: str
    tags: tuple[str, ...]
    id: str
    data: str

    @property
    def names(self) -> set[str]:
        return {f"type:{self.type}", *(f"tag:{tag}" for tag in self.tags)}


@dataclass
class EventLogOracle:
    end: int  # when the first segment ends
    days: int = 1
    last: int = 0
    kept: list[Stored] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    segments: list[tuple[int, int]] = field(default_factory=lambda: [(1, 1)])  # number, first position

    def commit(self, appends: list[Plain], now: int, day: int) -> list[Answer]:
        """Return ("appended", first, last, versions, repeated), or ("version" | "condition" | "id", ...)."""
        before = self.last
        answers = [self.append(append) for append in appends]
        if self.last > before:
            self.begin_segment(before, now, day)
        return answers

    def begin_segment(self, last: int, now: int, day: int) -> None:
        """Begin a segment after a position, if it is time to: what a commit does before it appends events."""
        if now >= self.end:
            number, first = self.segments[-1]
            if first <= last:
                self.segments.append((number + 1, last + 1))
            self.end = (now // (self.days * day) + 1) * self.days * day

    def append(self, append: Plain) -> Answer:
        drafts = [(stream, *draft) for stream, _, drafts in append["writes"] for draft in drafts]
        by_id = {event.id: event for event in self.kept}
        taken = [by_id[draft[3]] for draft in drafts if draft[3] in by_id]
        if taken:
            return self.repeat(append, drafts, taken)
        for stream, expected in [write[:2] for write in append["writes"]] + append["checks"]:
            head = self.heads.get(stream, 0)
            if expected not in (ANY, head) and not (expected == EXISTS and head):
                return ("version", expected, head, stream)
        for position in self.matching(append["unless"] or [], append["after"])[:1]:
            return ("condition", append["after"], position)
        first = self.last + 1 if drafts else 0
        versions = []
        for stream, _, events in append["writes"]:
            for type, tags, id, data in events:
                self.last += 1
                self.heads[stream] = self.heads.get(stream, 0) + 1
                event = Stored(
                    self.last, stream, self.heads[stream], type, tuple(dict.fromkeys(tags)), id, data
                )
                self.kept.append(event)
            versions.append(self.heads.get(stream, 0))
        for key, value in append["state"]:
            self.state.pop(key, None)
            if value is not None:
                self.state[key] = value
        return ("appended", first, self.last, versions, False)

    def repeat(self, append: Plain, drafts: list[tuple[Any, ...]], taken: list[Stored]) -> Answer:
        given = [(stream, type, id) for stream, type, _, id, _ in drafts]
        found = [(event.stream, event.type, event.id) for event in taken]
        first = taken[0].position
        if found != given or [event.position for event in taken] != [*range(first, first + len(taken))]:
            return ("id", {event.position for event in taken})
        versions, rest = [], iter(taken)
        for stream, _, events in append["writes"]:
            versions.append(([next(rest).version for _ in events] or [self.heads.get(stream, 0)])[-1])
        return ("appended", first, taken[-1].position, versions, True)

    def matching(self, items: list[list[str]], after: int = 0) -> list[int]:
        return [
            event.position
            for event in self.kept
            if event.position > after and any(event.names >= set(item) for item in items)
        ]

    def drop(self) -> bool:
        if len(self.segments) < 2:
            return False
        self.segments.pop(0)
        self.kept = [event for event in self.kept if event.position >= self.segments[0][1]]
        return True
