from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import shared_memory
from core.shared_memory import (
    HEADER_SIZE,
    SHM,
    Region,
    SharedMemoryInUse,
    SharedMemoryUnusable,
    region_path,
    sweep,
)

SIZE = 8192
Open = Callable[..., Region]


@pytest.fixture
def open_region(tmp_path: Path) -> Iterator[Open]:
    """Open regions of one data directory; all are closed and removed at the end."""
    opened = []

    def open_region(
        name: str = "test", size: int = SIZE, layout: str = "test 1", *, fresh: bool = False
    ) -> Region:
        region = Region.open(tmp_path, name, size, layout, fresh=fresh)
        opened.append(region)
        return region

    yield open_region
    for region in opened:
        region.close()
        region.unlink()


WORKER = """
import sys
from pathlib import Path
from core.shared_memory import Region
region = Region.open(Path(sys.argv[1]), "test", int(sys.argv[2]), sys.argv[3])
print(int(region.created), region.secret.hex(), flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Worker:
    """Be another process that has the region open and does what it is told."""

    def __init__(self, data_dir: Path, size: int = SIZE, layout: str = "test 1") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(data_dir), str(size), layout],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def do(self, statement: str) -> None:
        """Have a statement executed."""
        assert self.process.stdin
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        assert self.hear() == "done"

    def end(self, *, kill: bool = False) -> None:
        """End it."""
        if kill:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers = []

    def start(*arguments: object) -> Worker:
        worker = Worker(tmp_path, *arguments)  # type: ignore[arg-type]
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.end()


class TestOpening:
    def test_makes_a_private_zeroed_file_in_memory(self, open_region: Open) -> None:
        region = open_region()
        status = region.path.stat()
        assert region.created
        assert region.path.parent == SHM
        assert (status.st_mode & 0o777, status.st_size) == (0o600, HEADER_SIZE + SIZE)
        assert status.st_blocks * 512 >= status.st_size
        assert bytes(region.buffer) == bytes(SIZE)
        assert len(region.secret) == 32

    def test_finds_what_was_there_after_a_restart(self, open_region: Open) -> None:
        first = open_region()
        first.buffer[5] = 7
        first.close()
        second = open_region()
        assert (second.created, second.buffer[5], second.secret) == (False, 7, first.secret)

    def test_begins_anew_if_asked_and_nobody_else_holds_it(self, open_region: Open) -> None:
        first = open_region()
        first.buffer[5] = 7
        assert open_region(fresh=True).buffer[5] == 7
        for region in (first, open_region()):
            region.close()

    def test_begins_anew_when_all_others_are_gone(self, open_region: Open) -> None:
        first = open_region()
        first.buffer[5] = 7
        first.close()
        second = open_region(fresh=True)
        assert (second.created, second.buffer[5]) == (True, 0)
        assert second.secret != first.secret

    @pytest.mark.parametrize(("size", "layout"), [(SIZE * 2, "test 1"), (SIZE, "test 2")])
    def test_is_laid_out_anew_when_its_shape_changed(self, open_region: Open, size: int, layout: str) -> None:
        first = open_region()
        first.buffer[5] = 7
        first.close()
        second = open_region(size=size, layout=layout)
        assert (second.created, len(second.buffer), second.buffer[5]) == (True, size, 0)

    @pytest.mark.parametrize(("size", "layout"), [(SIZE * 2, "test 1"), (SIZE, "test 2")])
    def test_refuses_another_shape_while_others_hold_it(
        self, open_region: Open, size: int, layout: str
    ) -> None:
        region = open_region()
        with pytest.raises(SharedMemoryInUse, match="held by others as 'test 1'"):
            open_region(size=size, layout=layout)
        region.buffer[SIZE - 1] = 1

    def test_is_made_anew_after_a_reboot(
        self, open_region: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = open_region()
        first.buffer[5] = 7
        first.close()
        other_boot = tmp_path / "boot_id"
        other_boot.write_text("0f0e0d0c-0b0a-0908-0706-050403020100\n")
        monkeypatch.setattr(shared_memory, "BOOT_ID", other_boot)
        assert open_region().created

    def test_is_made_anew_when_its_maker_died_halfway(self, open_region: Open, tmp_path: Path) -> None:
        region_path(tmp_path, "test").touch(mode=0o600)
        assert open_region().created

    def test_keeps_names_and_data_directories_apart(self, open_region: Open, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        paths = {region_path(tmp_path, "a"), region_path(tmp_path, "b"), region_path(tmp_path / "inner", "a")}
        assert len(paths) == 3

    def test_finds_the_same_file_by_any_way_to_the_data_directory(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        assert region_path(tmp_path / "link", "a") == region_path(tmp_path / "real", "a")

    def test_lies_in_the_data_directory_without_dev_shm(
        self, open_region: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_memory, "SHM", tmp_path / "absent")
        region = open_region()
        assert region.path == tmp_path / "test.shm"
        region.buffer[5] = 7
        assert open_region().buffer[5] == 7


class TestErrors:
    def test_says_that_the_data_directory_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(SharedMemoryUnusable, match="absent does not exist"):
            Region.open(tmp_path / "absent", "test", SIZE, "test 1")

    def test_says_how_much_room_is_missing_and_leaves_none_taken(self, tmp_path: Path) -> None:
        with pytest.raises(SharedMemoryUnusable, match=r"no room for \d+ bytes \(\d+ are free\).*--shm-size"):
            Region.open(tmp_path, "test", 1 << 50, "test 1")
        path = region_path(tmp_path, "test")
        assert path.stat().st_size == 0
        path.unlink()

    def test_refuses_a_file_that_others_could_read(self, tmp_path: Path) -> None:
        path = region_path(tmp_path, "test")
        path.touch(mode=0o600)
        path.chmod(0o644)
        with pytest.raises(SharedMemoryUnusable, match="not a private file"):
            Region.open(tmp_path, "test", SIZE, "test 1")
        path.unlink()

    def test_refuses_a_link_laid_in_its_place(self, tmp_path: Path) -> None:
        path = region_path(tmp_path, "test")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(SharedMemoryUnusable, match=os.strerror(errno.ELOOP)):
            Region.open(tmp_path, "test", SIZE, "test 1")
        path.unlink()
        assert not (tmp_path / "elsewhere").exists()

    def test_says_that_it_needs_the_boots_id(
        self, open_region: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_memory, "BOOT_ID", tmp_path / "absent")
        with pytest.raises(SharedMemoryUnusable, match="boot's id"):
            open_region()
        region_path(tmp_path, "test").unlink()


class TestSeveralProcesses:
    def test_one_makes_it_and_all_share_it(
        self, open_region: Open, start_worker: Callable[..., Worker]
    ) -> None:
        workers = [start_worker() for _ in range(6)]
        created, secrets = zip(*(worker.hear().split() for worker in workers), strict=True)
        assert sorted(created) == ["0"] * 5 + ["1"]
        region = open_region()
        assert set(secrets) == {region.secret.hex()}
        for number, worker in enumerate(workers):
            worker.do(f"region.buffer[{number}] = {number} + 1")
        assert list(region.buffer[:7]) == [1, 2, 3, 4, 5, 6, 0]

    def test_a_killed_process_holds_nothing(
        self, open_region: Open, start_worker: Callable[..., Worker]
    ) -> None:
        worker = start_worker(SIZE * 2)
        worker.hear()
        worker.do("lock = region.exclusive(); lock.__enter__(); region.claim(3)")
        with pytest.raises(SharedMemoryInUse):
            open_region()
        worker.end(kill=True)
        region = open_region()
        assert region.created
        assert not region.is_claimed(3)
        with region.exclusive():
            region.claim(3)

    def test_a_slot_belongs_to_one_process_until_it_gives_it_back(
        self, open_region: Open, start_worker: Callable[..., Worker]
    ) -> None:
        region, worker = open_region(), start_worker()
        worker.hear()
        worker.do("region.claim(0)")
        assert [region.is_claimed(slot) for slot in range(2)] == [True, False]
        with pytest.raises(SharedMemoryInUse, match="slot 0"):
            region.claim(0)
        region.claim(1)
        worker.do("region.release(0)")
        region.claim(0)
        assert [region.is_claimed(slot) for slot in range(3)] == [True, True, False]

    def test_two_regions_of_one_process_do_not_share_slots(self, open_region: Open) -> None:
        first, second = open_region(), open_region()
        first.claim(0)
        with pytest.raises(SharedMemoryInUse):
            second.claim(0)
        second.close()
        assert first.is_claimed(0)

    def test_a_removed_file_is_made_anew_and_its_holders_keep_the_old(self, open_region: Open) -> None:
        first = open_region()
        first.unlink()
        second = open_region()
        assert second.created
        first.claim(0)
        assert not second.is_claimed(0)

    def test_what_points_into_it_keeps_it_held_after_close(self, open_region: Open) -> None:
        region = open_region()
        pointer = region.buffer[10:20]
        region.close()
        with pytest.raises(SharedMemoryInUse):
            open_region(size=SIZE * 2)
        pointer[0] = 1
        del pointer, region


class TestSweeping:
    def test_removes_what_gateways_left_whose_data_directory_is_gone(self, tmp_path: Path) -> None:
        kept, gone = tmp_path / "kept", tmp_path / "gone"
        paths = []
        for data_dir in (kept, gone):
            data_dir.mkdir()
            region = Region.open(data_dir, "test", SIZE, "test 1")
            paths.append(region.path)
            region.close()
        gone.rmdir()
        (tmp_path / "new").mkdir()
        region = Region.open(tmp_path / "new", "test", SIZE, "test 1")
        assert [path.exists() for path in paths] == [True, False]
        region.close()
        for path in (paths[0], region.path):
            path.unlink()

    def test_removes_what_lies_inside_a_folder_when_asked(self, tmp_path: Path) -> None:
        regions = []
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            regions.append(Region.open(tmp_path / name, "test", SIZE, "test 1"))
        regions[0].close()
        regions[2].close()
        sweep(inside=tmp_path / "a")
        sweep(inside=tmp_path / "b")
        assert [region.path.exists() for region in regions] == [False, True, True]
        regions[1].close()
        sweep(inside=tmp_path)
        assert not any(region.path.exists() for region in regions)

    def test_leaves_what_is_still_held(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        held = Region.open(gone, "test", SIZE, "test 1")
        gone.rmdir()
        new = Region.open(tmp_path, "test", SIZE, "test 1")
        assert held.path.exists()
        for region in (held, new):
            region.close()
            region.unlink()


def test_the_buffer_begins_a_page(open_region: Open) -> None:
    assert HEADER_SIZE % mmap.PAGESIZE == 0
    assert open_region().buffer.nbytes == SIZE


def test_sweeping_removes_what_was_never_finished_and_makes_nothing(open_region: Open) -> None:
    held = open_region()
    unfinished = held.path.with_name(held.path.name + "-unfinished")
    unfinished.touch(mode=0o600)
    sweep()
    assert not unfinished.exists()
    assert held.path.exists()


def test_a_turn_needs_no_descriptor_to_spare(open_region: Open) -> None:
    region = open_region()
    before = len(os.listdir("/proc/self/fd"))
    with region.exclusive():
        assert len(os.listdir("/proc/self/fd")) == before
