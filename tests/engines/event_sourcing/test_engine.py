"""The engine's face: commands, events and aggregates as a caller sees them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core._fast import envelope
from core.event_log.errors import EventInvalid, VersionConflict
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from core.event_log.upcasting import Step
from engines.event_sourcing import Event, EventSourcingEngine, Projection, event_sourcing_engine
from engines.event_sourcing.errors import (
    AggregateUnknown,
    CommandInvalid,
    EngineStopped,
    EventForeign,
    EventUnknown,
    NameUnknown,
)
from engines.event_sourcing.projection import ProjectionBehind
from tests.engines.event_sourcing.bank import BalanceTooLow, Deposit, make_bank


def deposit(id: str, account: str = "ann", cents: int = 5) -> dict[str, Any]:
    return {"type": "Deposit", "id": id, "account": account, "cents": cents}


def withdraw(id: str, account: str = "ann", cents: int = 5) -> dict[str, Any]:
    return {"type": "Withdraw", "id": id, "account": account, "cents": cents}


def fold(table: dict[str, int], events: Iterable[envelope.Event]) -> None:
    for event in events:
        table[event.stream] = event.version


def versions() -> Projection[dict[str, int]]:
    return Projection(
        name="versions",
        schema="1",
        make=dict,
        fold=fold,
        image=lambda table: [msgspec.msgpack.encode(table)],
        restore=lambda pieces: msgspec.msgpack.decode(b"".join(pieces), type=dict[str, int]),
    )


async def test_takes_a_command_as_plain_data_as_bytes_and_as_its_struct(engine: EventSourcingEngine) -> None:
    first = await engine.execute(deposit("d1"))
    as_bytes = await engine.execute(msgspec.json.encode(deposit("d1")))
    as_struct = await engine.execute(Deposit(id="d1", account="ann", cents=5), domain="bank")
    assert (first.position, first.repeated) == (1, False)
    assert as_bytes == as_struct == (first.receipt, first.position, True)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (deposit("d1", cents=0), r"\$\.cents"),
        (deposit("d 1"), r"\$\.id"),
        (Deposit(id="d1", account="ann", cents=-1), r"\$\.cents"),
        ({"type": "Deposit", "id": "d1", "account": "ann"}, "cents"),
        ({**deposit("d1"), "more": 1}, "more"),
        ({**deposit("d1"), "type": "Rob"}, "Rob"),
        (b"{", "truncated"),
        ({"type": object()}, "no plain data"),
    ],
)
async def test_refuses_a_command_that_cannot_be_and_names_what_is_wrong(
    engine: EventSourcingEngine, command: Any, told: str
) -> None:
    with pytest.raises(CommandInvalid, match=told):
        await engine.execute(command)
    assert engine.log.last_position() == 0


async def test_a_refusal_leaves_no_event_and_may_succeed_later(engine: EventSourcingEngine) -> None:
    with pytest.raises(BalanceTooLow):
        await engine.execute(withdraw("w1"))
    await engine.execute(deposit("d1"))
    assert (await engine.execute(withdraw("w1"))).receipt == ["Withdrawn"]
    status = engine.status().domains[0]
    assert (status.done, status.repeated, status.refused, status.waiting) == (2, 0, 1, 0)


async def test_shows_an_aggregate_now_at_a_version_and_at_a_time(engine: EventSourcingEngine) -> None:
    for number in range(250):
        await engine.execute(deposit(f"d{number}", cents=1))
    now = await engine.aggregate("bank-ann")
    assert (now.version, now.position, now.state) == (250, 250, {"balance": 250, "movements": 250})
    assert (now.domain, now.type) == ("bank", "Account")
    for version in (1, 99, 100, 101, 250):
        then = await engine.aggregate("bank-ann", version=version)
        assert (then.version, then.state["balance"]) == (version, version)
        until = await engine.aggregate("bank-ann", at_ns=then.time)
        assert until.time == then.time
        assert until.version >= version
    for terms in ({"version": 251}, {"version": 0}, {"at_ns": 1}):
        with pytest.raises(AggregateUnknown, match="its versions are 1 to 250"):
            await engine.aggregate("bank-ann", **terms)
    with pytest.raises(AggregateUnknown):
        await engine.aggregate("bank-bob")


async def test_lists_aggregates_by_name_in_pages(engine: EventSourcingEngine) -> None:
    for account in ("cat", "ann", "bob"):
        await engine.execute(deposit(f"d-{account}", account))
    await engine.create_event({"aggregate_id": "note-1", "type": "Noted", "data": {}})
    assert [head.aggregate_id for head in engine.aggregates("bank-")] == ["bank-ann", "bank-bob", "bank-cat"]
    page = engine.aggregates(after="bank-bob", limit=2)
    assert [(head.aggregate_id, head.domain) for head in page] == [("bank-cat", "bank"), ("note-1", "")]


async def test_appends_a_free_event_and_shows_it_as_it_was_given(engine: EventSourcingEngine) -> None:
    made = await engine.create_event(
        {
            "aggregate_id": "note-1",
            "event_type": "Noted",
            "data": {"text": "hello"},
            "actor": "ann",
            "tags": ["a", "b"],
            "correlation_id": "0199b7a5-0000-7000-8000-000000000001",
        }
    )
    assert isinstance(made, Event)
    assert (made.aggregate_id, made.version, made.position, made.data) == ("note-1", 1, 1, {"text": "hello"})
    assert made.correlation_id == "0199b7a5-0000-7000-8000-000000000001"
    assert engine.event(1) == made
    again = await engine.create_event(
        {"aggregate_id": "note-1", "type": "Noted", "event_id": made.event_id, "data": {"text": "hello"}}
    )
    assert again == made


async def test_refuses_a_free_event_that_cannot_be(engine: EventSourcingEngine) -> None:
    for wrong, told in (
        ({"type": "Noted"}, "aggregate_id"),
        ({"aggregate_id": "n"}, "type"),
        ({"aggregate_id": "n", "type": "A", "event_type": "A"}, "one `type`"),
        ({"aggregate_id": "n", "type": "A", "event_id": "x"}, r"\$\.event_id"),
        ({"aggregate_id": "n", "type": "A", "more": 1}, "more"),
        ({"aggregate_id": "n", "type": "A" * 500}, "type"),
    ):
        with pytest.raises(EventInvalid, match=told):
            await engine.create_event(wrong)
    with pytest.raises(EventForeign, match="commands of bank"):
        await engine.create_event({"aggregate_id": "bank-ann", "type": "Deposited", "data": {"cents": 9}})
    await engine.create_event({"aggregate_id": "n", "type": "A", "expected_version": 0})
    with pytest.raises(VersionConflict):
        await engine.create_event({"aggregate_id": "n", "type": "A", "expected_version": 0})
    assert engine.log.last_position() == 1


async def test_pages_through_events_by_position_with_filters(engine: EventSourcingEngine) -> None:
    for number in range(5):
        await engine.execute(deposit(f"d{number}"))
        await engine.execute(withdraw(f"w{number}"))
    page = engine.events(0, limit=4)
    assert ([event.position for event in page.events], page.reached, page.last) == ([1, 2, 3, 4], 4, 10)
    page = engine.events(page.reached, Filter(types=("Withdrawn",)))
    assert [event.position for event in page.events] == [6, 8, 10]
    assert [event.version for event in engine.events_of("bank-ann", 3, 2)] == [3, 4]
    assert [event.version for event in engine.events_of("bank-ann", limit=2, backwards=True)] == [10, 9]
    assert engine.event(2).data == {"type": "Withdrawn", "cents": 5}
    for position in (0, -1, 11):
        with pytest.raises(EventUnknown, match="the last one is at 10"):
            engine.event(position)


async def test_follows_events_from_any_position(engine: EventSourcingEngine) -> None:
    await engine.execute(deposit("d1"))
    await engine.execute(deposit("d2"))
    seen: list[int] = []
    async for page in engine.follow(1):
        seen += [event.position for event in page.events]
        if len(seen) == 3:
            break
        await engine.execute(deposit(f"e{len(seen)}"))
    assert seen == [2, 3, 4]


async def test_reads_old_events_as_if_they_had_been_written_today(log: EventLog) -> None:
    old = EventSourcingEngine()
    old.register(make_bank())
    await old.start_event_sourcing_engine(log, snapshot_every=0)
    await old.execute(deposit("d1", cents=5))
    await old.stop_event_sourcing_engine()
    double = Step(name="double", type="Deposited", version=1, change=lambda d: {**d, "cents": d["cents"] * 2})
    new = EventSourcingEngine()
    new.register(make_bank())
    await new.start_event_sourcing_engine(log, upcasting=[double])
    await new.execute(deposit("d2", cents=1))
    assert [(e.schema_version, e.data["cents"]) for e in new.events().events] == [(2, 10), (2, 1)]
    assert (await new.aggregate("bank-ann")).state["balance"] == 11
    await new.stop_event_sourcing_engine()


async def test_waits_for_the_projections_that_a_caller_names(tmp_path: Path) -> None:
    engine = EventSourcingEngine()
    engine.register(make_bank())
    engine.register_projection(versions())
    await engine.start_event_sourcing_engine(tmp_path / "own")
    for number in range(20):
        answer = await engine.execute(deposit(f"d{number}"), wait_for=["versions"])
        assert (await engine.table("versions"))["bank-ann"] == number + 1
    assert await engine.table("versions", at_least=answer.position) == {"bank-ann": 20}
    with pytest.raises(ProjectionBehind):
        await engine.table("versions", at_least=answer.position + 1, seconds=0.01)
    with pytest.raises(NameUnknown, match="registered: versions"):
        await engine.table("version")
    assert engine.status().projections[0].position == 20
    await engine.stop_event_sourcing_engine()


async def test_opens_nothing_before_the_start_and_can_be_started_again(tmp_path: Path) -> None:
    assert not event_sourcing_engine.status().running
    with pytest.raises(EngineStopped):
        await event_sourcing_engine.execute(deposit("d1"))
    engine = EventSourcingEngine()
    engine.register(make_bank())
    for number in range(2):
        await engine.start_event_sourcing_engine(tmp_path / "own")
        await engine.start_event_sourcing_engine(tmp_path / "own")
        answer = await engine.execute(deposit("d1"))
        assert answer.repeated == bool(number)
        with pytest.raises(ValueError, match="register before"):
            engine.register(make_bank())
        await engine.stop_event_sourcing_engine()
        await engine.stop_event_sourcing_engine()
    with pytest.raises(EngineStopped):
        engine.events()


def test_refuses_two_domains_that_would_share_streams() -> None:
    engine = EventSourcingEngine()
    engine.register(make_bank())
    with pytest.raises(ValueError, match="there is a domain 'bank' already"):
        engine.register(make_bank())
    other = make_bank()
    other.name = "other"
    with pytest.raises(ValueError, match="belong to 'bank'"):
        engine.register(other)


async def test_forgets_answers_only_of_old_commands(engine: EventSourcingEngine) -> None:
    await engine.execute(deposit("d1"))
    time_ns = engine.event(1).time
    assert await engine.forget_commands(time_ns - 10**9) == 0
    assert (await engine.execute(deposit("d1"))).repeated
    assert await engine.forget_commands(time_ns + 10**9) == 1
    assert not (await engine.execute(deposit("d1"))).repeated


async def test_shows_status_and_latest_events_on_its_dashboard(engine: EventSourcingEngine) -> None:
    for number in range(30):
        await engine.execute(deposit(f"d{number}"))
    shown = engine.dashboard(3)
    assert [event.position for event in shown.events] == [30, 29, 28]
    assert shown.status.running
    assert msgspec.json.decode(msgspec.json.encode(shown))["status"]["domains"][0]["done"] == 30
