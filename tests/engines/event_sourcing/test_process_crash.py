"""Processes and handlers that are killed at every append, and go on as if nothing had been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from core.event_log.log import EventLog
from engines.event_sourcing import EventSourcingEngine
from tests.engines.event_sourcing.bank import make_bank
from tests.engines.event_sourcing.collecting import ask, note
from tests.engines.event_sourcing.crash_story import ROOM
from tests.engines.event_sourcing.test_engine import deposit

ROOT = Path(__file__).parents[3]
MEMORY = "/dev/shm"  # who is killed loses nothing that was written, be it to a disk or not
MOVES = 15  # of money, in all


@pytest.fixture
async def template(tmp_path: Path) -> Path:
    """Make a log with money, and with what processes are to begin with."""
    async with EventLog(tmp_path / "template", map_size=ROOM) as log:
        engine = EventSourcingEngine()
        engine.register(make_bank())
        await engine.start_event_sourcing_engine(log)
        for account, cents in (("ann", 1_000), ("bob", 1_000), ("poor", 1)):
            await engine.execute(deposit(f"begin-{account}", account, cents))
        await ask(engine, "done", "ann bob")
        await ask(engine, "undone", "ann bob poor")
        await ask(engine, "confirmed", "bob ann", confirm=1_000_000)
        await ask(engine, "cancelled", "bob", confirm=1_000_000)
        await note(engine, "CollectionConfirmed", collection="confirmed")
        await note(engine, "CollectionCancelled", collection="cancelled", why="not wanted")
        await engine.stop_event_sourcing_engine()
    return tmp_path / "template"


def play(template: Path, *more: str) -> list[dict[str, Any]]:
    with TemporaryDirectory(dir=MEMORY) as folder:
        told = subprocess.run(
            [sys.executable, "-m", "tests.engines.event_sourcing.crash_story", template, folder, *more],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            timeout=110,
        )
    return [json.loads(line) for line in told.stdout.splitlines()]


def hold_to(whole: dict[str, Any], line: dict[str, Any]) -> None:
    """Hold the end of a run that was killed to that of one that was not."""
    told = line["told"]
    repeated = told.pop("effects")
    assert told == whole, f"killed at point {line['fault']}"
    never, _, moves = repeated
    assert (never, moves) == (0, MOVES)


def test_ends_as_if_nothing_had_been_wherever_it_is_killed(template: Path) -> None:
    first, *lines = play(template)
    whole = first["told"]
    assert first["ends"] == [0]
    assert whole.pop("effects") == [0, MOVES, MOVES]
    assert whole["ends"] == {
        "done": "completed",
        "undone": "compensated",
        "confirmed": "completed",
        "cancelled": "compensated",
    }
    assert whole["balances"] == {"ann": [980, 5], "bob": [980, 7], "poor": [1, 1], "till": [40, 2]}
    assert whole["letters"] == ["bank-till"] * 2
    assert lines[-1]["ends"] == [0]
    assert len(lines) > 50
    for line in lines[:-1]:
        assert line["ends"] == [-signal.SIGKILL, 0]
        hold_to(whole, line)


def test_ends_as_if_nothing_had_been_when_it_is_killed_again_and_again(template: Path) -> None:
    first, *lines = play(template, "again")
    whole = first["told"]
    whole.pop("effects")
    assert max(len(line["ends"]) for line in lines) > 10
    for line in lines:
        hold_to(whole, line)
