import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.written_file import WrittenFile


async def test_tells_when_another_process_has_written(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"")
    told = asyncio.Event()
    watch = WrittenFile(file, told.set)
    code = "import os, sys; fd = os.open(sys.argv[1], os.O_WRONLY | os.O_DSYNC); os.pwrite(fd, b'x', 4096)"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(file)], check=True)
    await asyncio.wait_for(told.wait(), 10)
    watch.close()


async def test_many_writes_may_be_told_once_but_never_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"")
    seen: list[int] = []
    whole = asyncio.Event()

    def look() -> None:
        seen.append(file.stat().st_size)
        if seen[-1] == 1000:
            whole.set()

    watch = WrittenFile(file, look)
    with file.open("ab", buffering=0) as stream:
        for _ in range(1000):
            stream.write(b"x")
    await asyncio.wait_for(whole.wait(), 10)
    assert seen == sorted(seen)
    watch.close()


async def test_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError, match="nothing"):
        WrittenFile(tmp_path / "nothing", list)
    assert len(os.listdir("/proc/self/fd")) == before
