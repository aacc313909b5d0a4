"""A log's file gets its name when it is whole, whoever else makes one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import core._fast.event_making
from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append, Appended
from core._fast.event_store import EventStore

MAKER = """
import sys
from core._fast.event_store import EventStore
sys.stdin.read(1)
with EventStore(sys.argv[1]) as store:
    print(store.identity.hex())
"""


def test_is_the_compiled_module() -> None:
    assert core._fast.event_making.__file__.endswith(".so")


def test_leaves_nothing_but_the_log(tmp_path: Path) -> None:
    with EventStore(str(tmp_path / "a" / "log")):
        pass
    assert sorted(os.listdir(tmp_path / "a" / "log")) == ["data.mdb", "lock.mdb"]
    assert (tmp_path / "a" / "log").stat().st_mode & 0o777 == 0o700


def test_removes_what_a_making_left_that_was_cut_short_and_nothing_else(tmp_path: Path) -> None:
    for name in (".making-dead", ".making-alive", ".making-now", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.mdb").write_bytes(b"half")
        os.utime(tmp_path / name, None if name == ".making-now" else (1e9, 1e9))
    alive = os.open(tmp_path / ".making-alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX)
    with EventStore(str(tmp_path)) as store:
        [done] = store.commit([Append([("a", ANY, [Draft("T", b"")])])])
        assert isinstance(done, Appended)
    os.close(alive)
    assert sorted(os.listdir(tmp_path)) == [".making-alive", ".making-now", "data.mdb", "lock.mdb", "other"]


def test_processes_that_make_a_log_at_once_have_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path / "log")]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("x")
        maker.stdin.flush()
    told = {maker.communicate()[0] for maker in makers}
    assert len(told) == 1
    assert [maker.returncode for maker in makers] == [0] * 4
    assert sorted(os.listdir(tmp_path / "log")) == ["data.mdb", "lock.mdb"]
