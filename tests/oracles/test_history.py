"""The checker of histories is content with what may be, and finds what may not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import pytest

from tests.oracles.history import (
    ANY,
    EXISTS,
    NEVER,
    NO_STREAM,
    Attempt,
    Following,
    HistoryBroken,
    Stored,
    check,
)

Tale = tuple[list[Stored], list[Attempt], list[Following], set[str]]


def attempt(began: int, ended: int, *writes: tuple[str, int, str], **rest: Any) -> Attempt:
    """Make an attempt; the ids of a write are given as one word, a letter each."""
    given = tuple((stream, expected, tuple(("t", id) for id in ids)) for stream, expected, ids in writes)
    return Attempt("p", began, ended, given, **rest)


def appended(first: int, last: int, *versions: int, repeated: bool = False) -> tuple[Any, ...]:
    return ("appended", first, last, versions, repeated)


def seen(*ids: str, after: int = 0, when: int = 100, killed: bool = False) -> Following:
    return Following("f", after, tuple((when, after + index, id) for index, id in enumerate(ids, 1)), killed)


def tale() -> Tale:
    """Tell a true one: four events, and an attempt of each kind."""
    events = [
        Stored(1, "x", 1, "t", "a"),
        Stored(2, "x", 2, "t", "b"),
        Stored(3, "y", 1, "t", "c"),
        Stored(4, "x", 3, "t", "d"),
    ]
    attempts = [
        attempt(10, 20, ("x", NO_STREAM, "ab"), answer=appended(1, 2, 2)),
        attempt(15, 40, ("y", ANY, "c"), ("x", 2, "d"), checks=(("x", EXISTS),), answer=appended(3, 4, 1, 3)),
        attempt(30, 60, ("x", NO_STREAM, "ab"), answer=appended(1, 2, 2, repeated=True)),
        attempt(30, 60, ("x", 2, "e"), answer=("version", "x", 2, 3)),
        attempt(30, 60, ("x", ANY, "f"), unless="t", after=1, answer=("condition", 2)),
        attempt(30, 60, ("y", ANY, "ag"), answer=("id", 1)),
        attempt(30, NEVER, ("y", 1, "h")),
    ]
    followings = [seen("a", "b", "c", "d"), seen("d", after=3), seen("a", "b", killed=True)]
    return events, attempts, followings, {"ab", "cd"}


def test_is_content_with_what_may_be() -> None:
    check(*tale())
    check([], [], [], [])


def test_takes_an_unanswered_append_for_what_is_there() -> None:
    events, attempts, _, marks = tale()
    check([*events, Stored(5, "y", 2, "t", "h")], attempts, [], marks | {"h"})


def answer(index: int, *, to: tuple[Any, ...] | None = None, **changes: Any) -> Callable[[Tale], Tale]:
    """Doctor an attempt."""

    def change(told: Tale) -> Tale:
        attempts = told[1]
        if to is not None:
            changes["answer"] = to
        attempts[index] = replace(attempts[index], **changes)
        return told

    return change


def events(*change: Stored, drop: int = 0) -> Callable[[Tale], Tale]:
    """Doctor the log: take events from its end, and add some."""
    return lambda told: ([*told[0][: len(told[0]) - drop], *change], told[1], [], told[3])


def followed(following: Following) -> Callable[[Tale], Tale]:
    return lambda told: (told[0], told[1], [following], told[3])


DOCTORED: dict[str, tuple[Callable[[Tale], Tale], str]] = {
    "a lost event": (events(drop=2), "acknowledged append is lost"),
    "half an append": (events(drop=1), "c at 3 belongs to no append"),
    "an event that nobody wanted": (events(Stored(5, "y", 2, "t", "z")), "z at 5 belongs to no append"),
    "an event under another tag": (events(Stored(5, "y", 2, "u", "h")), "h at 5 belongs to no append"),
    "an event in another stream": (events(Stored(5, "z", 1, "t", "h")), "h at 5 belongs to no append"),
    "a doubled event": (events(Stored(5, "x", 4, "t", "d")), "d is there twice"),
    "a gap": (events(Stored(6, "y", 2, "t", "h")), "position 5 is missing"),
    "a gap in a stream": (events(Stored(5, "y", 3, "t", "h")), "5 is version 3 of y, after 1"),
    "an event that was refused": (events(Stored(5, "x", 4, "t", "e")), "the append at 5 expected x at 2"),
    "an event that was only refused": (
        lambda told: ([*told[0], Stored(5, "y", 2, "t", "h")], answer(6, to=("id", 9))(told)[1], [], told[3]),
        "only refused",
    ),
    "order against real time": (
        answer(0, began=41, ended=50),
        "at 2 began after it, or one behind it, was answered",
    ),
    "a broken expectation": (answer(1, checks=(("x", 1),)), "the append at 3 expected x at 1, it was at 2"),
    "a stream that should exist": (answer(1, checks=(("z", EXISTS),)), "expected z at -2, it was at 0"),
    "a broken condition": (answer(1, unless="t", after=1), "wanted no t after 1, there was one at 2"),
    "two first ones": (answer(2, to=appended(1, 2, 2)), "told 2 times that it was the first"),
    "wrong positions": (answer(0, to=appended(2, 3, 2)), "was told positions 2 to 3"),
    "wrong versions": (answer(1, to=appended(3, 4, 1, 2)), "versions"),
    "a repetition of what was to come": (
        answer(2, began=1, ended=5),
        "at 2 began after it, or one behind it, was answered",
    ),
    "a refusal without a reason": (answer(3, to=("version", "x", 3, 3)), "no reason"),
    "a refusal for what was not yet": (answer(3, began=1, ended=5), "which it was not yet"),
    "a refusal for what never was": (answer(3, to=("version", "x", 2, 9)), "which it was not yet"),
    "a refusal for what was no more": (
        lambda told: answer(3, to=("version", "x", 0, 2))(
            answer(3, began=50, writes=(("x", 0, (("t", "e"),)),))(told)
        ),
        "which it was no more",
    ),
    "a refusal for an event that was not named": (answer(4, unless="u"), "did not name"),
    "a refusal for an event too early": (answer(4, after=2), "no reason"),
    "a refusal for an event to come": (answer(4, began=1, ended=5), "not there yet"),
    "a refusal for another's id": (answer(5, to=("id", 2)), "that it did not give"),
    "a refusal for an id to come": (answer(5, began=1, ended=5), "not there yet"),
    "a refusal for an id nowhere": (answer(5, to=("id", 5)), "where nothing is"),
    "a refused repetition": (
        answer(2, to=("version", "x", 0, 3)),
        "repeated the append at 1 and was refused",
    ),
    "a repetition refused for its ids": (answer(2, to=("id", 1)), "refused for its ids"),
    "state that is lost": (lambda told: (*told[:3], {"ab"}), "'cd'"),
    "state of what was refused": (lambda told: (*told[:3], {"ab", "cd", "e"}), "'e'"),
    "a killed follower that missed one": (followed(seen("b", killed=True)), "saw b at 1"),
    "a follower that missed one": (followed(seen("a", "c", "d")), "saw 3 of 4"),
    "a follower that swapped two": (followed(seen("a", "c", "b", "d")), "saw c at 2 where 2 was next"),
    "a follower that saw one twice": (followed(seen("a", "b", "b", "c")), "saw b at 3"),
    "a follower that saw one more": (followed(seen("a", "b", "c", "d", "e")), "5 events, of 4"),
    "a follower that saw the future": (followed(seen("a", "b", "c", "d", when=12)), "saw 3 before"),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_finds(name: str) -> None:
    doctor, reason = DOCTORED[name]
    with pytest.raises(HistoryBroken, match=reason):
        check(*doctor(tale()))


def long_tale(size: int) -> Tale:
    """Tell of many appends, each refused once before, by many processes at once."""
    stored = [
        Stored(number, f"s{number % 7}", (number - 1) // 7 + 1, "t", str(number)) for number in range(1, size)
    ]
    attempts = [
        Attempt("p", event.position, event.position + 50, ((event.stream, ANY, (("t", event.id),)),),
                answer=("appended", event.position, event.position, (event.version,), False))
        for event in stored
    ]  # fmt: skip
    follower = Following("f", 0, tuple((NEVER, event.position, event.id) for event in stored))
    return stored, attempts, [follower], {event.id for event in stored}


def lines_run(what: Callable[[], object]) -> int:
    count = 0

    def tracer(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        what()
    finally:
        sys.settrace(before)
    return count


def test_takes_ten_times_as_long_for_ten_times_as_much() -> None:
    small, large = (lines_run(partial(check, *long_tale(size))) for size in (201, 2001))
    assert 9 * small < large < 10.1 * small
