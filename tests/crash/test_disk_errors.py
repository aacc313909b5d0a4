"""Let each write and each sync of a commit fail in turn, and hold the writer to what it then may say.

A story's child tries each action at most three times: as it is, once more, and after opening the log anew.
"""

from __future__ import annotations

import errno
import os
import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.crash.audit import hold_to_story
from tests.crash.story import ROOM, Action, contents_after, open_log
from tests.crash.story_teller import CALLS
from tests.crash.test_kill import STORIES, prepare
from tests.crash.theatre import Outcomes, Theatre

FULL = ("ENOSPC", "EDQUOT", "EFBIG")
OPENING = {"LogUnwritable", "LogUnreadable", "LogFull"}


def failures(theatre: Theatre, folder: Path, title: str) -> list[tuple[str, Action, Outcomes]]:
    """Let each call of a story fail once; return the call, the action and its attempts for each that did."""
    before, actions = STORIES[title]
    expected = contents_after(actions, folder / "whole")
    template, used = prepare(folder, actions[:before])
    found = []
    for call in CALLS:
        for nth in count(1):
            path = shutil.copytree(template, folder / f"{call}-{nth}")
            room = used if title == "the map grows" else ROOM
            told = theatre.tell(path, actions[before:], call=call, nth=nth, room=room)
            assert told.status == 0
            assert told.done == len(actions) - before, told.outcomes
            with open_log(path) as store:
                hold_to_story(store, actions, expected, len(actions), to_end=False)
            shutil.rmtree(path)
            failed = [
                (call, action, attempts)
                for action, attempts in zip(actions[before:], told.outcomes, strict=True)
                if len(attempts) > 1
            ]
            if not failed:
                break
            assert len(failed) == 1
            found += failed
    return found


@pytest.mark.parametrize("title", STORIES)
def test_a_failed_sync_or_write_stops_the_writer_until_the_log_is_opened_anew(
    tmp_path: Path, title: str
) -> None:
    with Theatre(harm="error=EIO") as theatre:
        failed = failures(theatre, tmp_path, title)
    assert any(call == "fdatasync" for call, _, _ in failed)
    for _, action, attempts in failed:
        assert "EIO" in attempts[0][1] or "Input/output error" in attempts[0][1], attempts
        if action[0] == "open":
            assert attempts[0][0] in OPENING
            continue
        assert attempts[0][0] == "LogUnwritable"
        assert attempts[1][0] == "LogUnwritable"
        assert "opened anew" in attempts[1][1]
        assert "EIO" in attempts[1][1]
        assert attempts[2][0] == "done"


@pytest.mark.parametrize("code", FULL)
@pytest.mark.parametrize("title", STORIES)
def test_a_write_without_room_is_refused_and_the_next_one_goes_well(
    tmp_path: Path, title: str, code: str
) -> None:
    with Theatre(harm=f"error={code}") as theatre:
        failed = failures(theatre, tmp_path, title)
    assert any(call == "writev" for call, _, _ in failed)
    for call, action, attempts in failed:
        assert os.strerror(getattr(errno, code)) in attempts[0][1]
        if call == "pwrite64" and attempts[0][0] == "LogUnwritable":
            assert attempts[1][0] == "LogUnwritable"  # it was the meta page: nobody knows which one stands
        elif action[0] == "open":
            assert attempts[0][0] in OPENING
        else:
            assert attempts[0][0] == "LogFull"
            assert attempts[1][0] == "done"
