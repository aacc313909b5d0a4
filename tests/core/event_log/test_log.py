"""The event log of a directory, under asyncio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core._fast.event_append import ANY, Append, Appended
from core.event_log.errors import EventLogError, LogMissing, LogUnwritable
from core.event_log.log import EventLog
from core.event_log.verification import verify
from tests.core.event_log.contract import EventLogContract, collect, draft

ROOT = Path(__file__).parents[3]


class TestEventLog(EventLogContract):
    @pytest.fixture
    async def log(self, tmp_path: Path) -> AsyncIterator[EventLog]:
        async with EventLog(tmp_path / "log", map_size=1 << 24) as opened:
            yield opened


async def test_is_as_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    async with EventLog(tmp_path / "log") as log:
        await log.append("a", [draft(), draft()], state=[(b"k", b"v")])
        before = log.read_all().events
    async with EventLog(tmp_path / "log") as log:
        assert [event.record for event in log.read_all().events] == [event.record for event in before]
        assert (log.head("a"), log.get_state(b"k")) == (2, b"v")
        assert (await log.append("a", [draft()], 2)).first_position == 3


async def test_refuses_to_write_what_was_opened_for_reading(tmp_path: Path) -> None:
    with pytest.raises(LogMissing):
        EventLog(tmp_path / "log", read_only=True)
    await EventLog(tmp_path / "log").close()
    async with EventLog(tmp_path / "log", read_only=True) as log:
        with pytest.raises(LogUnwritable, match="opened for reading"):
            await log.append("a", [draft()])


async def test_follows_what_another_process_appends(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from core._fast.envelope import Draft
        from core.event_log.log import EventLog

        async def main() -> None:
            async with EventLog(sys.argv[1]) as log:
                for number in range(200):
                    await log.append("there", [Draft("Happened", b"x")])

        asyncio.run(main())
        """
    )
    async with EventLog(tmp_path / "log") as log:
        following = asyncio.create_task(collect(log, 300))
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(tmp_path / "log"), cwd=ROOT, stderr=subprocess.PIPE
        )
        for _ in range(100):
            await log.append("here", [draft()])
        assert await following == list(range(1, 301))
        _, errors = await other.communicate()
        assert other.returncode == 0, errors.decode()
        assert (log.head("here"), log.head("there")) == (100, 200)


async def test_a_batch_that_another_thread_commits_itself_goes_between(tmp_path: Path) -> None:
    async with EventLog(tmp_path / "log", map_size=1 << 16) as log:

        def commit_many() -> list[Appended | EventLogError]:
            return [log.store.commit([Append([("theirs", ANY, [draft()])])])[0] for _ in range(300)]

        theirs = asyncio.create_task(asyncio.to_thread(commit_many))
        ours = [await log.append("ours", [draft()], number) for number in range(300)]
        positions = [done.first_position for done in [*ours, *await theirs] if isinstance(done, Appended)]
        assert sorted(positions) == list(range(1, 601))
    assert verify(tmp_path / "log").sound
