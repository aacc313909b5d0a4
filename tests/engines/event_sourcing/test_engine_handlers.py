"""The engine's face: handlers and the dead-letter list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines.event_sourcing import Event, EventSourcingEngine, Handler, Retry
from engines.event_sourcing.errors import DeadLetterUnknown, EngineStopped, NameUnknown
from engines.event_sourcing.handler_lanes import GRACE_SECONDS
from tests.engines.event_sourcing.bank import make_bank
from tests.engines.event_sourcing.manual_clock import ManualClock, eventually, turns
from tests.engines.event_sourcing.test_engine import deposit, withdraw


class Bonus:
    """Give a cent for each deposit of more than one; refuse accounts."""

    def __init__(self) -> None:
        self.engine = EventSourcingEngine()
        self.refused: set[str] = set()
        self.engine.register(make_bank())
        self.engine.register_handler(
            Handler(
                name="bonus", handle=self.give, where=Filter(types=("Deposited",)), retry=Retry(attempts=1)
            )
        )

    async def give(self, event: Event) -> None:
        account = event.aggregate_id.removeprefix("bank-")
        if account in self.refused:
            raise ValueError(f"no bonus for {account}")
        if event.data["cents"] > 1:
            await self.engine.execute(deposit(f"bonus-{event.event_id}", account, 1))

    async def balance(self, account: str) -> int:
        return int((await self.engine.aggregate(f"bank-{account}")).state["balance"])


@pytest.fixture
async def bonus(log: EventLog) -> AsyncIterator[Bonus]:
    bonus = Bonus()
    await bonus.engine.start_event_sourcing_engine(log)
    yield bonus
    await bonus.engine.stop_event_sourcing_engine()


async def arrived(engine: EventSourcingEngine) -> None:
    await eventually(lambda: engine.status().handlers[0].lag_events == 0)


async def test_a_handler_may_send_commands(bonus: Bonus) -> None:
    for account in ("ann", "bob", "ann"):
        await bonus.engine.execute(deposit(f"d-{account}", account))
    await arrived(bonus.engine)
    assert (await bonus.balance("ann"), await bonus.balance("bob")) == (6, 6)
    status = bonus.engine.handler("bonus").status()
    assert bonus.engine.status().handlers == [status]
    assert (status.state, status.handled, status.dead) == ("live", 4, 0)
    assert msgspec.json.encode(bonus.engine.dashboard())


async def test_lists_replays_and_drops_what_was_given_up(bonus: Bonus) -> None:
    engine = bonus.engine
    bonus.refused = {"ann", "bob"}
    for number in range(3):
        for account in ("ann", "bob", "cat"):
            await engine.execute(deposit(f"d{number}-{account}", account))
    await eventually(lambda: len(engine.dead_letters()) == 6)
    letters = engine.dead_letters("bonus", limit=4)
    rest = engine.dead_letters("bonus", letters[-1].id.encode())
    assert [len(letters), len(rest)] == [4, 2]
    assert engine.dead_letters("bonus", letters[-1].id) == rest
    assert [letter.error for letter in rest] == [
        f"ValueError: no bonus for {letter.aggregate_id.removeprefix('bank-')}" for letter in rest
    ]
    bonus.refused = {"bob"}
    await engine.drop_dead_letter(letters[0].id)
    assert letters[0].id not in {letter.id for letter in engine.dead_letters()}
    with pytest.raises(DeadLetterUnknown):
        await engine.replay_dead_letter(letters[0].id)
    asked = next(letter for letter in engine.dead_letters() if letter.aggregate_id == "bank-ann")
    assert (await engine.replay_dead_letter(asked.id)).asked == "replay"
    await eventually(lambda: len(engine.dead_letters()) == 4)
    assert await engine.replay_dead_letters("bonus") == 4
    bobs = {letter.id for letter in letters + rest if letter.aggregate_id == "bank-bob"} - {letters[0].id}
    await eventually(
        lambda: (
            {letter.id for letter in engine.dead_letters() if letter.replays == 1} == bobs
            and len(engine.dead_letters()) == len(bobs)
        )
    )
    assert engine.status().handlers[0].dead == len(bobs)


async def test_says_which_letters_and_handlers_there_are(bonus: Bonus) -> None:
    engine = bonus.engine
    for wrong in ("bonus:7", "bonus", ":7", "bonus:x", "bonus:" + "1" * 30):
        with pytest.raises(DeadLetterUnknown):
            await engine.replay_dead_letter(wrong)
        with pytest.raises(DeadLetterUnknown):
            await engine.drop_dead_letter(wrong)
    with pytest.raises(NameUnknown, match="registered: bonus"):
        await engine.replay_dead_letters("bonuses")
    with pytest.raises(NameUnknown, match="registered: bonus"):
        engine.handler("bonuses")
    with pytest.raises(ValueError, match="register before"):
        engine.register_handler(Handler(name="x", handle=print))
    with pytest.raises(ValueError, match="already"):
        Bonus().engine.register_handler(Handler(name="bonus", handle=print))


async def test_keeps_and_drops_letters_of_a_handler_that_is_gone(bonus: Bonus, log: EventLog) -> None:
    bonus.refused = {"ann"}
    await bonus.engine.execute(deposit("d1"))
    await eventually(lambda: len(bonus.engine.dead_letters()) == 1)
    await bonus.engine.stop_event_sourcing_engine()
    with pytest.raises(EngineStopped):
        bonus.engine.dead_letters()
    other = EventSourcingEngine()
    await other.start_event_sourcing_engine(log)
    letter = other.dead_letters()[0]
    with pytest.raises(NameUnknown):
        await other.replay_dead_letter(letter.id)
    await other.drop_dead_letter(letter.id)
    assert other.dead_letters() == []
    await other.stop_event_sourcing_engine()


async def test_a_handlers_refused_command_is_not_repeated(log: EventLog) -> None:
    engine, tries = EventSourcingEngine(), 0

    async def take(event: Event) -> None:
        nonlocal tries
        tries += 1
        await engine.execute(withdraw(f"take-{event.event_id}", cents=100))

    engine.register(make_bank())
    engine.register_handler(Handler(name="take", handle=take, where=Filter(types=("Deposited",))))
    await engine.start_event_sourcing_engine(log)
    await engine.execute(deposit("d1"))
    await eventually(lambda: len(engine.dead_letters("take")) == 1)
    assert tries == 1
    assert engine.dead_letters()[0].error.startswith("BalanceTooLow: 100 cents")
    await engine.stop_event_sourcing_engine()


async def test_stopping_twice_at_once_and_starting_again_at_once_is_harmless(tmp_path: Path) -> None:
    bonus = Bonus()
    for number in range(3):
        await bonus.engine.start_event_sourcing_engine(tmp_path / "own")
        await bonus.engine.execute(deposit(f"d{number}"))
        stops = [asyncio.create_task(bonus.engine.stop_event_sourcing_engine()) for _ in range(2)]
        await asyncio.sleep(0)
        stops[1].cancel()
        await bonus.engine.start_event_sourcing_engine(tmp_path / "own")
        assert bonus.engine.status().running
        await asyncio.wait(stops)
        assert bonus.engine.status().running
    await arrived(bonus.engine)
    assert await bonus.balance("ann") == 18
    await bonus.engine.stop_event_sourcing_engine()


async def test_waits_for_all_handlers_at_once_when_it_stops(log: EventLog) -> None:
    clock, begun, ended = ManualClock(), set[str](), set[str]()
    gate = asyncio.Event()

    def hanging(name: str) -> Handler:
        async def hang(event: Event) -> None:
            begun.add(name)
            try:
                await gate.wait()
            finally:
                ended.add(name)

        return Handler(name=name, handle=hang)

    engine, names = EventSourcingEngine(clock=clock), set("abc")
    for name in names:
        engine.register_handler(hanging(name))
    await engine.start_event_sourcing_engine(log)
    await engine.create_event({"aggregate_id": "n", "type": "Noted"})
    await eventually(lambda: begun == names)
    stopping = asyncio.create_task(engine.stop_event_sourcing_engine())
    await turns()
    await clock.advance(GRACE_SECONDS - 0.1)
    assert not ended
    await clock.advance(0.1)
    await eventually(lambda: ended == names)
    await stopping
