"""Backups: whole, verified, and a log like any other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core._fast.event_store import EventStore
from core.event_log.backup import back_up
from core.event_log.errors import BackupRefused
from tests.core.event_log.small_log import START, read_everything, some_append, write_small_log
from tests.oracles.lmdb_pages import LmdbFile


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_small_log(tmp_path / "log")
    return tmp_path / "log"


@pytest.mark.parametrize("compact", [True, False])
def test_a_backup_reads_as_the_log_does(log: Path, tmp_path: Path, compact: bool) -> None:
    reports: list[tuple[int, int]] = []
    with EventStore(str(log), read_only=True) as store:
        verdict = back_up(
            store,
            tmp_path / "a" / "b",
            compact=compact,
            report=lambda done, most: reports.append((done, most)),
        )
    assert verdict.sound
    assert read_everything(tmp_path / "a" / "b") == read_everything(log)
    assert reports[-1][0] == reports[-1][1]
    assert (verdict.free_pages == 0) is compact
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_backup_can_be_written_to(log: Path, tmp_path: Path) -> None:
    import random

    with EventStore(str(log), read_only=True) as store:
        back_up(store, tmp_path / "copy")
    with EventStore(str(tmp_path / "copy"), segment_days=1) as store:
        last = store.last_position()
        store.commit([some_append(random.Random(1), 20)], START)
        assert store.last_position() > last


@pytest.mark.parametrize("name", ["file", "full"])
def test_writes_over_nothing(log: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with EventStore(str(log), read_only=True) as store:
        with pytest.raises(BackupRefused, match="there is something in"):
            back_up(store, tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "full", "log"}


def test_keeps_no_copy_that_is_not_sound(log: Path, tmp_path: Path) -> None:
    layout = LmdbFile((log / "data.mdb").read_bytes())
    record = layout.trees["e.00000002"][3][1]
    at = next(
        found.end() - 3
        for found in re.finditer(re.escape(record), layout.data)
        if found.end() - 3 in layout.told
    )
    with (log / "data.mdb").open("r+b") as file:
        file.seek(at)
        file.write(bytes([layout.data[at] ^ 4]))
    with EventStore(str(log), read_only=True) as store:
        with pytest.raises(
            BackupRefused, match=r"not sound, so the log itself may not be: event \d+: its checksum"
        ):
            back_up(store, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
