"""The engines of a worker: they run when a request comes, and what they cannot start with is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append
from core._fast.event_store import DAY_NS, EventStore
from core.decode import ConfigInvalid
from core.errors import AgoraError
from core.event_log.errors import LogUnreadable
from engines.event_sourcing import EventSourcingEngine, event_sourcing_engine
from gateway.commands.log_place import log_directory
from gateway.config import from_data, load
from gateway.data_plane import DataPlane
from gateway.retention import DAY, Retention
from tests.engines.event_sourcing.bank import make_bank
from tests.engines.event_sourcing.manual_clock import BEGIN, ManualClock
from tests.harness import serving

HERE = "tests.gateway.test_engines"
LOG = {"event_log": {}, "event_sourcing": {"install": [f"{HERE}:install"]}}


def install(engine: EventSourcingEngine) -> None:
    engine.register(make_bank())


def install_twice(engine: EventSourcingEngine) -> None:
    install(engine)
    install(engine)


def problems(config: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as refusal:
        from_data(config)
    return {problem.key: problem.wrong for problem in refusal.value.problems}


async def test_the_engine_runs_while_the_gateway_does() -> None:
    async with serving(LOG) as gateway:
        command = {"type": "Deposit", "id": "d1", "account": "ann", "cents": 5}
        result = await event_sourcing_engine.execute(command)
        assert result.position == 1
        assert (gateway.plane.site.data_dir / "events" / "data.mdb").exists()
        status = event_sourcing_engine.status()
        assert status.running
        assert [domain.name for domain in status.domains] == ["bank"]
    assert not event_sourcing_engine.status().running


async def test_the_log_lies_in_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text('[event_log]\npath = "spine"\n[server]\ndata_dir = "kept"\n')
    plane = DataPlane(load(tmp_path / "small.toml"))
    await plane.start()
    await plane.close()
    assert (tmp_path / "kept" / "spine" / "data.mdb").exists()
    assert log_directory(tmp_path / "small.toml") == tmp_path / "kept" / "spine"


async def test_without_a_log_nothing_runs() -> None:
    async with serving({}) as gateway:
        assert not event_sourcing_engine.status().running
        assert not (gateway.plane.site.data_dir / "events").exists()


async def test_what_was_appended_is_there_after_a_restart_with_other_things_installed(tmp_path: Path) -> None:
    for number in (1, 2):
        async with serving(LOG | {"server": {"data_dir": str(tmp_path)}}):
            command = {"type": "Deposit", "id": f"d{number}", "account": "ann", "cents": 5}
            assert (await event_sourcing_engine.execute(command)).position == number
    async with serving({"event_log": {}, "server": {"data_dir": str(tmp_path)}}):
        assert event_sourcing_engine.log.last_position() == 2
        assert event_sourcing_engine.status().domains == []


async def test_one_loop_of_a_process_has_the_log(tmp_path: Path) -> None:
    async with serving(LOG):
        other = DataPlane(from_data(LOG | {"server": {"data_dir": str(tmp_path)}}))
        with pytest.raises(AgoraError, match="another one has it"):
            await other.start()
        assert event_sourcing_engine.status().running


async def test_does_not_start_on_a_log_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "data.mdb").write_bytes(b"no log" * 4096)
    plane = DataPlane(from_data({"event_log": {}, "server": {"data_dir": str(tmp_path)}}))
    with pytest.raises(LogUnreadable):
        await plane.start()
    assert not event_sourcing_engine.status().running


def test_tells_what_cannot_be_installed() -> None:
    paths = [f"{HERE}:missing", "no.such.module:install", f"{HERE}:install_twice", f"{HERE}:HERE"]
    told = problems({"event_log": {}, "event_sourcing": {"install": paths}})
    assert list(told) == [f"event_sourcing.install[{index}]" for index in range(4)]
    assert "cannot be imported: AttributeError" in told["event_sourcing.install[0]"]
    assert "cannot be imported: ModuleNotFoundError" in told["event_sourcing.install[1]"]
    assert "there is a domain 'bank' already" in told["event_sourcing.install[2]"]
    assert "is not callable" in told["event_sourcing.install[3]"]


def test_what_is_installed_needs_a_log() -> None:
    assert problems({"event_sourcing": {"install": [f"{HERE}:install"]}}) == {"event_log": "is missing"}


@pytest.mark.parametrize(
    "table",
    [
        {"retention_days": 0},
        {"segment_days": -1},
        {"map_size": "1KiB"},
        {"path": 3},
        {"path": ""},
        {"keep": 1},
    ],
)
def test_tells_what_is_wrong_with_the_log(table: dict[str, Any]) -> None:
    assert list(problems({"event_log": table})) == [f"event_log.{key}" for key in table]


async def test_drops_what_is_too_old_at_the_start_and_once_a_day(tmp_path: Path) -> None:
    start = BEGIN // DAY_NS * DAY_NS - 12 * DAY_NS
    with EventStore(str(tmp_path), segment_days=1, now_ns=start) as store:
        for day in range(5):
            store.commit([Append([("s", ANY, [Draft("T", b"\xc0")])])], start + day * DAY_NS)
    clock = ManualClock()
    engine = EventSourcingEngine(clock=clock)
    engine.register(make_bank())
    await engine.start_event_sourcing_engine(tmp_path)
    try:
        await engine.execute({"type": "Deposit", "id": "d1", "account": "ann", "cents": 5})
        retention = Retention(engine, 10, clock)
        await retention.drop()
        assert engine.log.store.segments()[0].number == 3
        repeated = await engine.execute({"type": "Deposit", "id": "d1", "account": "ann", "cents": 5})
        assert repeated.position == 6
        await clock.advance(400 * DAY)
        await retention.drop()
        assert engine.log.scan_state(b"command/") == []
    finally:
        await engine.stop_event_sourcing_engine()
