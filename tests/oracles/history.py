"""Whether a log, and what several processes say of it, are one history: in time linear in its length.

Each process tells of its attempts to append: when it began, what it wanted, when it was answered and how;
and of what it saw when it followed the log. All times are of one clock. `check` holds all of that, and what
the log holds in the end, to these rules, and raises HistoryBroken at the first that is broken:

* each event is one that somebody wanted, and there once; what one append wrote is there as a whole;
* positions have no gaps, from 1; nor have a stream's versions;
* an append that was answered before another began stands before it;
* what an append expected was so at its place in the order, and the answer tells that place;
* an append that was refused had a reason to be at some place between its beginning and its answer, and left
  nothing; one that nobody answered is there as a whole or not at all;
* the state that an append writes is there if its events are;
* one that was repeated is there once, and each repetition was told so;
* each follower saw every event after its start, once, in order, not before it was appended.

NOTE: real time is held to without comparing pairs. For each position there is the latest beginning of all
appends up to it, and the earliest answer of all from it on: whoever stands at a place was answered after the
one, and began before the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NoReturn

ANY, NO_STREAM, EXISTS = -1, 0, -2
NEVER = 1 << 63

Item = tuple[str, str, str]  # an event that is wanted: stream, tag, id


@dataclass(frozen=True)
class Stored:
    """An event as the log holds it."""

    position: int
    stream: str
    version: int
    tag: str
    id: str


@dataclass(frozen=True)
class Attempt:
    """One attempt to append, as its process tells of it; who repeats one repeats it word for word.

    writes: (stream, expected version, ((tag, id), ...)) each
    checks: (stream, expected version) each
    unless: no event with this tag may be there after position `after`; "": no matter
    answer: ("appended", first, last, versions, repeated), ("version", stream, expected, actual),
            ("condition", position), ("id", position), or () for none
    """

    who: str
    began: int
    ended: int  # NEVER: nobody answered
    writes: tuple[tuple[str, int, tuple[tuple[str, str], ...]], ...]
    checks: tuple[tuple[str, int], ...] = ()
    unless: str = ""
    after: int = 0
    answer: tuple[Any, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple((stream, tag, id) for stream, _, drafts in self.writes for tag, id in drafts)


@dataclass(frozen=True)
class Following:
    """What one follower saw: (when, position, id) each, of the events after a position.

    killed: it did not live to see the last
    """

    who: str
    after: int
    seen: tuple[tuple[int, int, str], ...]
    killed: bool = False


Tries = dict[tuple[Item, ...], list[Attempt]]


def mark_of(items: tuple[Item, ...]) -> str:
    """Return the state that an append of some events writes beside them."""
    return "".join(id for _, _, id in items)


class HistoryBroken(AssertionError):
    """What the processes and the log tell cannot all be true."""


def broken(what: str) -> NoReturn:
    raise HistoryBroken(what)


@dataclass
class Place:
    """Where the events of one append stand, and between which times they were put there."""

    first: int
    last: int
    versions: tuple[int, ...]
    began: int
    ended: int


@dataclass
class History:
    """The events of a log by position, and all that can be asked about the order in one step."""

    events: list[Stored]
    attempts: list[Attempt]
    places: dict[tuple[Item, ...], Place] = field(default_factory=dict)
    by_version: dict[tuple[str, int], int] = field(default_factory=dict)
    latest_beginning: list[int] = field(default_factory=list)  # of the appends up to a position
    earliest_answer: list[int] = field(default_factory=list)  # of the appends from a position on

    def could_be_seen(self, position: int, ended: int) -> bool:
        """Tell whether who was answered then can know the log up to a position."""
        return ended >= self.latest_beginning[position]

    def could_be_unseen(self, position: int, began: int) -> bool:
        """Tell whether who began then can know nothing of the log from a position on."""
        return position > len(self.events) or began <= self.earliest_answer[position]


def check(
    events: list[Stored], attempts: list[Attempt], followings: list[Following], marks: Collection[str]
) -> None:
    """Hold a log and what was told of it to each other; `marks` are the states that the log holds."""
    history = History(events, attempts)
    check_positions(events)
    place_appends(history)
    check_real_time(history)
    for attempt in attempts:
        ANSWERS[attempt.answer[0] if attempt.answer else ""](history, attempt)
    for following in followings:
        check_following(history, following)
    if wrong := {mark_of(items) for items in history.places}.symmetric_difference(marks):
        broken(f"{len(wrong)} times events without their state or state without its events: {min(wrong)!r}")


def check_positions(events: list[Stored]) -> None:
    ids: set[str] = set()
    for position, event in enumerate(events, 1):
        if event.position != position:
            broken(f"a gap: position {position} is missing, {event.position} is there")
        if event.id in ids:
            broken(f"event {event.id} is there twice, the second time at {position}")
        ids.add(event.id)


def place_appends(history: History) -> None:
    """Find the append that put each event there, and hold it to what it expected."""
    wanted: dict[str, Tries] = defaultdict(dict)
    for attempt in history.attempts:
        if items := attempt.items:
            wanted[items[0][2]].setdefault(items, []).append(attempt)
    heads: dict[str, int] = defaultdict(int)
    tagged: dict[str, int] = defaultdict(int)  # the last position of an event with that tag
    events, at = history.events, 0
    while at < len(events):
        items, tries = append_at(events, at, wanted[events[at].id])
        there = events[at : at + len(items)]
        check_expected(tries[0], at + 1, heads, tagged)
        for event in there:
            heads[event.stream] += 1
            if event.version != heads[event.stream]:
                broken(f"position {event.position} is version {event.version} of {event.stream}, "
                       f"after {heads[event.stream] - 1}")  # fmt: skip
            history.by_version[event.stream, event.version] = event.position
            tagged[event.tag] = event.position
        versions = tuple(heads[stream] for stream, _, _ in tries[0].writes)
        history.places[items] = Place(at + 1, at + len(items), versions, *times_of(tries))
        at += len(items)


def append_at(events: list[Stored], at: int, wanted: Tries) -> tuple[tuple[Item, ...], list[Attempt]]:
    """Return the attempts at the append whose events are there as a whole, and its events."""
    for items, tries in wanted.items():
        there = events[at : at + len(items)]
        if tuple((event.stream, event.tag, event.id) for event in there) == items:
            return items, tries
    broken(f"event {events[at].id} at {at + 1} belongs to no append that is there as a whole")


def check_expected(attempt: Attempt, place: int, heads: dict[str, int], tagged: dict[str, int]) -> None:
    for stream, expected in [(write[0], write[1]) for write in attempt.writes] + list(attempt.checks):
        head = heads[stream]
        if expected not in (ANY, head) and not (expected == EXISTS and head):
            broken(f"the append at {place} expected {stream} at {expected}, it was at {head}")
    if attempt.unless and tagged[attempt.unless] > attempt.after:
        broken(f"the append at {place} wanted no {attempt.unless} after {attempt.after}, "
               f"there was one at {tagged[attempt.unless]}")  # fmt: skip


def times_of(tries: list[Attempt]) -> tuple[int, int]:
    """Return from when and until when the events of one append, tried some times, may have come."""
    appended = [attempt for attempt in tries if attempt.answer[:1] == ("appended",)]
    writers = [attempt for attempt in appended if not attempt.answer[4]]
    if len(writers) > 1:
        broken(f"an append was told {len(writers)} times that it was the first: {writers[0].items}")
    unanswered = [attempt for attempt in tries if not attempt.answer]
    if not writers and not unanswered:
        broken(f"events are there that were only refused: {tries[0].items}")
    began = min(attempt.began for attempt in writers or unanswered)
    return began, min((attempt.ended for attempt in appended), default=NEVER)


def check_real_time(history: History) -> None:
    size = len(history.events)
    latest = history.latest_beginning = [0] * (size + 1)
    earliest = history.earliest_answer = [NEVER] * (size + 2)
    places = {
        position: place
        for place in history.places.values()
        for position in range(place.first, place.last + 1)
    }
    for position in range(1, size + 1):
        latest[position] = max(latest[position - 1], places[position].began)
    for position in range(size, 0, -1):
        earliest[position] = min(earliest[position + 1], places[position].ended)
        if places[position].began > earliest[position]:
            broken(f"the append at {position} began after it, or one behind it, was answered")


# -- what was answered ---------------------------------------------------------------------------------------


def check_appended(history: History, attempt: Attempt) -> None:
    """Hold an answer to the place of its events; `check_real_time` has done the rest."""
    _, first, last, versions, _ = attempt.answer
    place = history.places.get(attempt.items)
    if place is None:
        broken(f"an acknowledged append is lost: {attempt.who} was told {first} to {last}")
    if (first, last, tuple(versions)) != (place.first, place.last, place.versions):
        broken(f"{attempt.who} was told positions {first} to {last}, versions {versions}; it is {place}")


def check_unanswered(history: History, attempt: Attempt) -> None:
    """There is nothing to hold it to: what is there was found whole, and nothing was promised."""


def check_version(history: History, attempt: Attempt) -> None:
    _, stream, expected, actual = attempt.answer
    given = [(write[0], write[1]) for write in attempt.writes] + list(attempt.checks)
    if (stream, expected) not in given or expected in (ANY, actual) or (expected == EXISTS and actual):
        broken(f"{attempt.who} was refused for {stream} at {actual}, {expected} expected: no reason")
    if actual:
        at = history.by_version.get((stream, actual))
        if at is None or not history.could_be_seen(at, attempt.ended):
            broken(f"{attempt.who} was refused for {stream} at {actual}, which it was not yet")
    gone = history.by_version.get((stream, actual + 1), len(history.events) + 1)
    if not history.could_be_unseen(gone, attempt.began):
        broken(f"{attempt.who} was refused for {stream} at {actual}, which it was no more")
    check_left_nothing(history, attempt)


def check_condition(history: History, attempt: Attempt) -> None:
    _, position = attempt.answer
    if not attempt.unless or position <= attempt.after or position > len(history.events):
        broken(f"{attempt.who} was refused for {position}: no reason")
    if history.events[position - 1].tag != attempt.unless or not history.could_be_seen(
        position, attempt.ended
    ):
        broken(f"{attempt.who} was refused for an event at {position} that it did not name, or not there yet")
    check_left_nothing(history, attempt)


def check_id(history: History, attempt: Attempt) -> None:
    _, position = attempt.answer
    if not 0 < position <= len(history.events):
        broken(f"{attempt.who} was refused for an id at {position}, where nothing is")
    if history.events[position - 1].id not in {id for _, _, id in attempt.items}:
        broken(f"{attempt.who} was refused for an id at {position} that it did not give")
    if not history.could_be_seen(position, attempt.ended):
        broken(f"{attempt.who} was refused for an id at {position} that was not there yet")
    if attempt.items in history.places:
        broken(f"{attempt.who} repeated an append and was refused for its ids")


def check_left_nothing(history: History, attempt: Attempt) -> None:
    """NOTE: what was refused may have been appended by another attempt, not before this one began."""
    place = history.places.get(attempt.items)
    if place is not None and place.ended < attempt.began:
        broken(f"{attempt.who} repeated the append at {place.first} and was refused")


def check_following(history: History, following: Following) -> None:
    expected = range(following.after + 1, len(history.events) + 1)
    if len(following.seen) < len(expected) and not following.killed:
        broken(f"{following.who} saw {len(following.seen)} of {len(expected)} events")
    for wanted, (when, position, id) in zip(expected, following.seen, strict=False):
        if position != wanted or history.events[position - 1].id != id:
            broken(f"{following.who} saw {id} at {position} where {wanted} was next")
        if not history.could_be_seen(position, when):
            broken(f"{following.who} saw {position} before it was appended")
    if len(following.seen) > len(expected):
        broken(f"{following.who} saw {len(following.seen)} events, of {len(expected)}")


ANSWERS = {
    "": check_unanswered,
    "appended": check_appended,
    "version": check_version,
    "condition": check_condition,
    "id": check_id,
}
