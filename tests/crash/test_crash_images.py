"""Open every file that a loss of power may leave, and find what was acknowledged before it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.audit import hold_to_story
from tests.crash.disk import Disk, crashes
from tests.crash.recording import KeepEntry, Recording, Sync, Write, options, read_recording
from tests.crash.story import Action, Contents, contents_after, open_log
from tests.crash.theatre import Theatre

ACTIONS: list[Action] = [
    ("open",),
    *[("commit", number) for number in range(1, 9)],
    ("drop", 1),
    ("commit", 9),
    ("close",),
    ("open",),
    ("commit", 10),
]
TO_END = 10  # of so many images one is written on to the story's end


def record(folder: Path, path: Path, actions: list[Action]) -> Recording:
    """Have a story acted out and recorded."""
    trace = folder / f"{path.name}.strace"
    with Theatre(options=options(trace)) as theatre:
        told = theatre.tell(path, actions)
    assert told.done == len(actions), told.outcomes
    return read_recording(trace, told.child, path / "data.mdb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    return record(folder, folder / "log", ACTIONS)


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[Contents]:
    return contents_after(ACTIONS, folder / "whole")


def test_a_recording_tells_the_whole_file(recording: Recording, folder: Path) -> None:
    disk = Disk()
    for step in recording.steps:
        if isinstance(step, Write):
            disk.write(step)
    disk.sync()
    assert recording.answers == len(ACTIONS)
    assert bytes(disk.synced) == (folder / "log" / "data.mdb").read_bytes()


def test_every_acknowledged_event_is_in_every_legal_crash_image(
    recording: Recording, expected: list[Contents], tmp_path: Path
) -> None:
    seen: set[tuple[int, bytes | None]] = set()
    data = tmp_path / "log" / "data.mdb"
    data.parent.mkdir()
    for done, image in crashes(recording.steps, random.Random(7)):
        if (done, image) in seen:
            continue
        seen.add((done, image))
        data.unlink(missing_ok=True)
        if image is not None:
            data.write_bytes(image)
        with open_log(data.parent) as store:
            hold_to_story(store, ACTIONS, expected, done, to_end=len(seen) % TO_END == 0)
    print(len(seen), "images")
    assert len(seen) > 500


def test_the_files_entry_is_on_disk_before_anything_is_acknowledged(
    recording: Recording, folder: Path
) -> None:
    kept = [step.path for step in recording.steps if isinstance(step, KeepEntry)]
    assert recording.steps.index(KeepEntry(str(folder / "log"))) < len(recording.steps)
    assert kept[:2] == [str(folder / "log"), str(folder)]
    assert Sync() in recording.steps
