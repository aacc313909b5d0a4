"""A log on disk, and an engine with a bank on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.event_log.log import EventLog
from engines.event_sourcing import EventSourcingEngine
from tests.engines.event_sourcing.bank import make_bank


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[EventLog]:
    async with EventLog(tmp_path / "log", map_size=1 << 26) as opened:
        yield opened


@pytest.fixture
async def engine(log: EventLog) -> AsyncIterator[EventSourcingEngine]:
    engine = EventSourcingEngine()
    engine.register(make_bank())
    await engine.start_event_sourcing_engine(log)
    yield engine
    await engine.stop_event_sourcing_engine()
