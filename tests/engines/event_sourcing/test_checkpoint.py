"""Images of tables, kept in the log's state beside their position."""

import pytest

from core.event_log.log import EventLog
from engines.event_sourcing.checkpoint import CHUNK, joined, read_checkpoint, state_of


@pytest.mark.parametrize("size", [0, 1, CHUNK - 8, CHUNK, 3 * CHUNK + 5])
async def test_reads_what_was_saved_however_large(log: EventLog, size: int) -> None:
    pieces = [bytes(size), b"rest"]
    await log.append_all(state=state_of("table", "1", 0, joined(pieces), [], 1, 0))
    found = read_checkpoint(log, "table", "1")
    assert found is not None
    assert found.pieces == pieces
    assert read_checkpoint(log, "table", "2") is None


async def test_a_smaller_image_takes_the_place_of_a_larger_one(log: EventLog) -> None:
    await log.append_all(state=state_of("table", "1", 0, joined([bytes(3 * CHUNK)]), [], 1, 0))
    before = read_checkpoint(log, "table", "1")
    assert before is not None
    await log.append_all(state=state_of("table", "1", 0, joined([b"small"]), [], 2, before.head.chunks))
    found = read_checkpoint(log, "table", "1")
    assert found is not None
    assert found.pieces == [b"small"]
