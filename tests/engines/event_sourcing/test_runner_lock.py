"""The right to run: one process has it, and the next one when the first dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from engines.event_sourcing.clock import SystemClock
from engines.event_sourcing.runner_lock import RunnerLock

HOLDER = """
import asyncio, sys
from pathlib import Path
from engines.event_sourcing.clock import SystemClock
from engines.event_sourcing.runner_lock import RunnerLock

async def main():
    lock = RunnerLock(Path(sys.argv[1]), SystemClock())
    lock.start()
    await lock.wait()
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_one_holds_it_and_the_next_one_after_it_stops(tmp_path: Path) -> None:
    first, second = (RunnerLock(tmp_path / "lock", SystemClock()) for _ in range(2))
    assert first.holder() == 0
    first.start()
    second.start()
    assert (first.held, second.held) == (True, False)
    assert second.holder() == os.getpid()
    first.stop()
    assert not first.held
    await second.wait()
    assert second.held
    second.stop()


async def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waiting = RunnerLock(path, SystemClock())
        waiting.start()
        assert not waiting.held
        assert waiting.holder() == holder.pid
        holder.send_signal(signal.SIGKILL)
        await waiting.wait()
    assert waiting.holder() == os.getpid()
    waiting.stop()


async def test_starting_and_stopping_twice_is_harmless(tmp_path: Path) -> None:
    lock = RunnerLock(tmp_path / "lock", SystemClock())
    lock.stop()
    lock.start()
    lock.start()
    assert lock.held
    lock.stop()
    lock.stop()
    assert not lock.held


async def test_is_held_also_if_it_cannot_be_told_by_whom() -> None:
    lock = RunnerLock(Path("/dev/full"), SystemClock())
    lock.start()
    assert lock.held
    lock.stop()
    assert not lock.held
