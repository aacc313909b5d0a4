"""Kill a writer with SIGKILL at each write and each sync that it makes, one after the other."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest

from tests.crash.audit import hold_to_story
from tests.crash.story import ROOM, Action, contents_after, open_log, take
from tests.crash.story_teller import CALLS
from tests.crash.theatre import Theatre

COMMITS: list[Action] = [("commit", number) for number in range(1, 11)]
STORIES: dict[str, tuple[int, list[Action]]] = {  # how many actions are done before, and all of them
    "the log is made": (0, [("open",), *COMMITS[:1]]),
    "ordinary commits": (1, [*COMMITS[:4]]),
    "a segment begins": (4, [*COMMITS[:6]]),
    "segments are dropped": (8, [*COMMITS[:8], ("drop", 1), ("commit", 9), ("drop", 2), ("commit", 10)]),
    "the map grows": (2, [*COMMITS[:4]]),
}


@pytest.fixture(scope="module")
def killing() -> Iterator[Theatre]:
    with Theatre(harm="signal=SIGKILL") as theatre:
        yield theatre


def prepare(folder: Path, actions: list[Action]) -> tuple[Path, int]:
    """Make the log that a story begins with; return its folder and the bytes it has."""
    path = folder / "before"
    path.mkdir(parents=True)
    if not actions:
        return path, ROOM
    with open_log(path) as store:
        for action in actions:
            take(store, action)
        return path, store.map_size()[1]


@pytest.mark.parametrize("others", ["alone", "beside another process"])
@pytest.mark.parametrize("title", STORIES)
def test_nothing_acknowledged_is_lost_wherever_a_writer_is_killed(
    killing: Theatre, tmp_path: Path, title: str, others: str
) -> None:
    before, actions = STORIES[title]
    if others != "alone" and not before:
        before, actions = 1, [("open",), *actions[1:]]
    expected = contents_after(actions, tmp_path / "whole")
    template, used = prepare(tmp_path, actions[:before])
    room = used if title == "the map grows" else ROOM
    kills = dict.fromkeys(CALLS, 0)
    for call in CALLS:
        for nth in count(1):
            path = shutil.copytree(template, tmp_path / f"{call}-{nth}")
            with nullcontext() if others == "alone" else open_log(path) as survivor:
                told = killing.tell(path, actions[before:], call=call, nth=nth, room=room)
                with open_log(path) if survivor is None else nullcontext(survivor) as store:
                    hold_to_story(store, actions, expected, before + told.done)
            shutil.rmtree(path)
            if told.status == 0:
                break
            assert told.status == -signal.SIGKILL
            kills[call] += 1
    print(title, kills)
    assert kills["pwrite64"] + kills["writev"] >= 2
    assert kills["fdatasync"] >= 1
