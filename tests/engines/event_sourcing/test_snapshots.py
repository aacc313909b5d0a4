"""Snapshots: a shortcut that is used when it fits, and never believed otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.event_log.log import EventLog
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.snapshots import EVENT_BYTES, Snapshot, Snapshots, snapshot_key
from tests.engines.event_sourcing.bank import Account, Deposit, make_bank

KEY = snapshot_key("bank-ann")


async def fill(log: EventLog, count: int, every: int = 10) -> None:
    """Deposit a cent so many times."""
    bus = CommandBus(log, make_bank(), every=every)
    for number in range(count):
        await bus.execute(Deposit(id=f"d{log.last_position()}-{number}", account="ann", cents=1))
    await bus.close()


def stored(log: EventLog) -> Snapshot:
    value = log.get_state(KEY)
    assert value is not None
    return msgspec.msgpack.decode(value, type=Snapshot)


async def test_is_made_each_so_many_events_with_the_event_it_ends_with(log: EventLog) -> None:
    await fill(log, 9)
    assert log.get_state(KEY) is None
    await fill(log, 1)
    assert stored(log).version == 10
    await fill(log, 19)
    assert (stored(log).version, stored(log).event_id) == (20, log.read("bank-ann", 20, 1)[0].id_bytes)


async def test_leads_with_the_tail_to_the_state_of_a_replay(log: EventLog) -> None:
    await fill(log, 25)
    aggregates = CommandBus(log, make_bank(), every=10, verify=True).aggregates
    assert aggregates.snapshots.restore("bank-ann") == (Account(20, 20), 20, len(stored(log).image))
    found = aggregates.load("bank-ann")
    assert (found.state, found.version) == (Account(25, 25), 25)
    assert aggregates.load("bank-ann", 7).state == Account(7, 7)
    assert aggregates.mismatches == 0
    assert aggregates.snapshots.ignored == 0


def changed(snapshot: Snapshot, **fields: Any) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(snapshot, **fields))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: b"\xc1",
        lambda s: b"",
        lambda s: changed(s)[:-1],
        lambda s: changed(s, schema="another"),
        lambda s: changed(s, domain="another"),
        lambda s: changed(s, form=2),
        lambda s: changed(s, stream="bank-bob"),
        lambda s: changed(s, version=26),
        lambda s: changed(s, version=19),
        lambda s: changed(s, version=0),
        lambda s: changed(s, event_id=bytes(16)),
        lambda s: changed(s, image=s.image + b"\0"),
        lambda s: changed(s, checksum=s.checksum ^ 1),
    ],
)
async def test_is_left_aside_when_it_does_not_fit(log: EventLog, spoil: Any) -> None:
    await fill(log, 25)
    await log.append_all(state=[(KEY, spoil(stored(log)))])
    aggregates = CommandBus(log, make_bank()).aggregates
    found = aggregates.load("bank-ann")
    assert (found.state, found.version, found.size) == (Account(25, 25), 25, 0)
    assert aggregates.snapshots.ignored == 1


async def test_a_lie_is_found_by_verification(log: EventLog) -> None:
    await fill(log, 25)
    snapshots = Snapshots(log, make_bank(), 10)
    value, _ = snapshots.make("bank-ann", Account(1_000, 20), 20, stored(log).event_id)
    await log.append_all(state=[(KEY, value)])
    assert CommandBus(log, make_bank()).aggregates.load("bank-ann").state.balance == 1_005
    verifying = CommandBus(log, make_bank(), verify=True).aggregates
    assert verifying.load("bank-ann").state == Account(25, 25)
    assert verifying.mismatches == 1


def test_is_rarer_the_larger_the_state_is(log: EventLog) -> None:
    snapshots = Snapshots(log, make_bank(), 100)
    assert snapshots.due(1_000, 50 * EVENT_BYTES) == 1_100
    assert snapshots.due(1_000, 10_000 * EVENT_BYTES) == 11_000


async def test_none_is_made_or_read_when_it_is_switched_off(log: EventLog) -> None:
    await fill(log, 25)
    await fill(log, 25, every=0)
    assert stored(log).version == 20
    assert CommandBus(log, make_bank(), every=0).aggregates.snapshots.restore("bank-ann") is None
