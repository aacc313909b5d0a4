"""Several processes append and follow at once, one is killed and another takes its place: it is one history.

AGORA_APPENDS is how many appends each process makes: more for a longer run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Self

import msgspec

from core.event_log.log import EventLog
from tests.core.event_log.log_process import MARK, Order, read_attempts, read_followings
from tests.crash.audit import audit
from tests.oracles.history import Stored, check

ROOT = Path(__file__).parents[3]
APPENDS = int(os.environ.get("AGORA_APPENDS", "300"))
PATIENCE = 30 + APPENDS / 5  # seconds


class LogProcess:
    """One of the processes, as its parent sees it."""

    def __init__(self, order: Order, process: asyncio.subprocess.Process) -> None:
        self.record = Path(order.record)
        self.process = process

    @classmethod
    async def start(cls, folder: Path, who: str, *, follow: tuple[int, ...] = (), retry: str = "") -> Self:
        record = folder / f"{who}.jsonl"
        order = Order(
            path=str(folder / "log"), record=str(record), who=who, appends=APPENDS, follow=follow, retry=retry
        )
        pipe = asyncio.subprocess.PIPE
        command = [
            sys.executable,
            "-m",
            "tests.core.event_log.log_process",
            msgspec.json.encode(order).decode(),
        ]
        return cls(order, await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe))

    async def line(self) -> str:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"{self.record.stem} ended"
        return line.decode().strip()

    async def answered(self, count: int) -> None:
        """Wait for some more answers to appends."""
        for _ in range(count):
            await self.line()

    async def done(self) -> None:
        """Wait until it has made all its appends."""
        while await self.line() != "done":
            pass

    async def end(self, position: int) -> None:
        """Let it follow up to a position, and end."""
        await self.process.communicate(b"%d\n" % position)
        assert self.process.returncode == 0

    async def kill(self) -> None:
        self.process.kill()
        await self.process.communicate()
        assert self.process.returncode == -signal.SIGKILL


async def test_tell_of_one_history(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        killed = await append_and_follow(tmp_path)
    records = sorted(tmp_path.glob("*.jsonl"))
    attempts = [attempt for record in records for attempt in read_attempts(record)]
    followings = [one for record in records for one in read_followings(record, killed=record.stem in killed)]
    async with EventLog(tmp_path / "log") as log:
        events = [
            Stored(event.position, event.stream, event.version, event.tags[0], event.id_bytes.hex())
            for event in audit(log.store)
        ]
        marks = marks_in(log)
    check(events, attempts, followings, marks)
    answers = Counter((attempt.answer or ("none",))[0] for attempt in attempts)
    repeated = sum(attempt.answer[0:1] == ("appended",) and attempt.answer[4] for attempt in attempts)
    print(f"{len(events)} events, {len(followings)} followers, {answers}, {repeated} repeated")
    assert set(answers) >= {"appended", "version", "condition", "id"}
    assert repeated > 0
    assert len(followings) == 7


def marks_in(log: EventLog) -> list[str]:
    found: list[tuple[bytes, bytes]] = []
    while page := log.scan_state(MARK, found[-1][0] if found else b""):
        found += page
    return [value.decode() for _, value in found]


async def append_and_follow(folder: Path) -> set[str]:
    """Let four processes append and follow, kill one and start another; return who was killed."""
    first = [
        await LogProcess.start(folder, "ann", follow=(0,)),
        await LogProcess.start(folder, "bob", follow=(-1, 17)),
        await LogProcess.start(folder, "cid", follow=(0,)),
        await LogProcess.start(folder, "dan", follow=(5,)),
    ]
    await first[-1].answered(APPENDS // 3)
    victim = first.pop()
    await victim.kill()
    others = [*first, await LogProcess.start(folder, "eve", follow=(0, -1), retry=str(victim.record))]
    await asyncio.gather(*(process.done() for process in others))
    async with EventLog(folder / "log") as log:
        last = log.last_position()
    await asyncio.gather(*(process.end(last) for process in others))
    return {"dan"}
