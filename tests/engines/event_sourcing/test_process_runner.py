"""Processes on a real log: steps in order, undone in reverse, once each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec
import pytest

from core.event_log.errors import LogFull
from core.event_log.log import EventLog
from engines.event_sourcing import Complete, Event, EventSourcingEngine, Process, Retry, Step
from engines.event_sourcing.errors import (
    EventForeign,
    NameUnknown,
    ProcessInstanceUnknown,
    ProcessNotStuck,
)
from engines.event_sourcing.process_instance import Instance
from engines.event_sourcing.process_store import fold, read_open
from tests.engines.event_sourcing.bank import make_bank
from tests.engines.event_sourcing.collecting import ask, balance, collecting, give, note, story, take
from tests.engines.event_sourcing.manual_clock import ManualClock, eventually
from tests.engines.event_sourcing.test_engine import deposit


class Stage:
    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.clock = ManualClock(time.time_ns())  # the log's own time is the machine's
        self.broken: list[Exception] = []  # raised by the next commands, in turn
        self.sent: list[str] = []

    async def start(self, *processes: Process, **money: int) -> EventSourcingEngine:
        self.engine = EventSourcingEngine(clock=self.clock)
        self.engine.register(make_bank())
        for process in processes or [collecting()]:
            self.engine.register_process(process)
        await self.engine.start_event_sourcing_engine(self.log)
        for account, cents in money.items():
            await self.engine.execute(deposit(f"begin-{account}", account, cents))
        return self.engine

    def break_commands(self, *errors: Exception) -> None:
        """Let the next commands of bank fail inside the domain, after they were read."""
        self.broken = list(errors)
        domain = self.engine.bus("bank").domain
        decide = domain.decide

        def broken(command: Any, states: Any, now: int) -> Any:
            self.sent.append(command.id)
            if self.broken:
                raise self.broken.pop(0)
            return decide(command, states, now)

        domain.decide = broken  # type: ignore[method-assign]

    async def ends(self, key: str, status: str) -> Instance:
        runner = self.engine.process("collecting")

        def there() -> bool:
            return self.status(key) == status

        await eventually(there)
        instance = runner.instance(key)
        assert fold(self.log, "collecting", key) == instance
        return instance

    async def pass_time_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await self.clock.advance(0.5)

    def status(self, key: str) -> str:
        try:
            return self.engine.process("collecting").instance(key).status
        except ProcessInstanceUnknown:
            return ""


@pytest.fixture
async def stage(log: EventLog) -> AsyncIterator[Stage]:
    stage = Stage(log)
    yield stage
    await stage.engine.stop_event_sourcing_engine()


async def test_does_its_steps_in_order_and_completes(stage: Stage) -> None:
    engine = await stage.start(ann=100, bob=100)
    asked = await ask(engine, "c1", "ann bob")
    instance = await stage.ends("c1", "completed")
    assert story(engine, "c1") == [
        "ProcessStarted",
        "ProcessReacted",
        "StepDone take ann",
        "StepDone take bob",
        "StepDone pay",
        "ProcessEnded",
    ]
    assert [await balance(engine, account) for account in ("ann", "bob", "till")] == [
        (90, 2),
        (90, 2),
        (20, 1),
    ]
    assert [(done.name, done.receipt) for done in instance.steps] == [
        ("take ann", ["Withdrawn"]),
        ("take bob", ["Withdrawn"]),
        ("pay", ["Deposited"]),
    ]
    paid = engine.event(instance.steps[-1].position)
    assert (paid.aggregate_id, paid.actor) == ("bank-till", "process:collecting")
    assert paid.correlation_id == instance.correlation == asked.event_id
    assert engine.events_of("process-collecting:c1")[1].causation_id == asked.event_id
    await eventually(lambda: engine.status().processes[0].running == 0)
    status = engine.status().processes[0]
    assert (status.state, status.compensating, status.stuck, status.dead) == ("live", 0, 0, 0)
    assert read_open(stage.log, "collecting") == []


async def test_undoes_in_reverse_order_after_a_refusal(stage: Stage) -> None:
    engine = await stage.start(ann=100, bob=100, cat=5)
    await ask(engine, "c1", "ann bob cat")
    instance = await stage.ends("c1", "compensated")
    assert story(engine, "c1")[2:] == [
        "StepDone take ann",
        "StepDone take bob",
        "StepFailed take cat",
        "CompensationStarted",
        "StepCompensated take bob",
        "StepCompensated take ann",
        "ProcessEnded",
    ]
    assert instance.reason == "take cat: BalanceTooLow: 10 cents were asked for, there are 5"
    for account in ("ann", "bob"):
        assert await balance(engine, account) == (100, 3)
    assert await balance(engine, "cat") == (5, 1)


async def test_tries_a_step_again_that_fails_otherwise_and_undoes_after_the_last_attempt(
    stage: Stage,
) -> None:
    engine = await stage.start(collecting(retry=Retry(attempts=3, first=1.0)), ann=100)
    stage.break_commands(ValueError("one"), ValueError("two"))
    await ask(engine, "c1", "ann")
    await eventually(lambda: "c1" in engine.status().processes[0].retrying)
    assert stage.sent == [stage.sent[0]]
    await stage.pass_time_until(lambda: stage.status("c1") == "completed")
    await stage.ends("c1", "completed")
    assert stage.sent[:3] == [stage.sent[0]] * 3
    stage.break_commands(*[ValueError("no")] * 3)
    await ask(engine, "c2", "ann")
    await stage.pass_time_until(lambda: stage.status("c2") == "compensated")
    instance = await stage.ends("c2", "compensated")
    assert "ValueError: no" in instance.reason
    assert (instance.steps, await balance(engine, "ann")) == ((), (90, 2))


async def test_waits_for_an_event_and_for_no_longer_than_its_deadline(stage: Stage) -> None:
    engine = await stage.start(ann=100)
    for key in ("c1", "c2", "c3"):
        await ask(engine, key, "ann", confirm=60)
    await eventually(lambda: engine.status().processes[0].running == 3)
    await eventually(lambda: all("StepDone take ann" in story(engine, key) for key in ("c1", "c2", "c3")))
    await note(engine, "CollectionConfirmed", collection="c1")
    await stage.ends("c1", "completed")
    await note(engine, "CollectionCancelled", collection="c2", why="not wanted")
    assert (await stage.ends("c2", "compensated")).reason == "not wanted"
    await stage.clock.advance(50.0)
    assert stage.status("c3") == "running"
    await stage.pass_time_until(lambda: stage.status("c3") == "compensated")
    assert (await stage.ends("c3", "compensated")).reason == "nobody confirmed"
    assert (await balance(engine, "ann"))[0] == 90


async def test_a_deadline_that_passed_while_nothing_ran_counts(stage: Stage) -> None:
    engine = await stage.start(ann=100)
    await ask(engine, "c1", "ann", confirm=60)
    await eventually(lambda: "StepDone take ann" in story(engine, "c1"))
    await engine.stop_event_sourcing_engine()
    await stage.clock.advance(90.0)
    await stage.start()
    assert (await stage.ends("c1", "compensated")).reason == "nobody confirmed"


async def test_a_key_begins_one_instance_for_good(stage: Stage) -> None:
    engine = await stage.start(ann=100)
    await ask(engine, "c1", "ann")
    await stage.ends("c1", "completed")
    last = await ask(engine, "c1", "ann")
    await note(engine, "CollectionConfirmed", collection="c1")
    await note(engine, "CollectionConfirmed", collection="never begun")
    await eventually(lambda: engine.status().processes[0].position > last.position)
    assert (await balance(engine, "ann"))[0] == 90
    with pytest.raises(ProcessInstanceUnknown):
        engine.process("collecting").instance("never begun")


async def test_two_processes_with_alike_names_and_keys_share_nothing(stage: Stage) -> None:
    def one_step(instance: Instance, event: Event) -> Sequence[Any]:
        return [Step("give", give(instance.process, 1)), Complete()]

    processes = [
        Process(name="a", starts_with=("Go",), key=lambda event: "b-c:1", react=one_step),
        Process(name="a-b", starts_with=("Go",), key=lambda event: "c:1", react=one_step),
    ]
    engine = await stage.start(*processes)
    await note(engine, "Go")
    for name, key in (("a", "b-c:1"), ("a-b", "c:1")):
        await eventually(lambda n=name, k=key: bool(stage.log.head(f"process-{n}:{k}") == 4))  # type: ignore[misc]
        assert await balance(engine, name) == (1, 1)


class TestWhatCannotBeTaken:
    async def test_an_event_that_cannot_begin_an_instance_goes_on_the_list_and_can_be_replayed(
        self, stage: Stage
    ) -> None:
        engine = await stage.start(ann=100)
        await note(engine, "CollectionAsked", wrong=1)
        await ask(engine, "c2", "ann")
        await stage.ends("c2", "completed")
        await note(engine, "CollectionAsked", collection="c1", sources=["ann"])
        await eventually(lambda: len(engine.dead_letters("collecting")) == 2)
        first, second = engine.dead_letters()
        assert (first.error, second.error) == ("KeyError: 'collection'", "KeyError: 'cents'")
        await engine.replay_dead_letter(second.id)
        await eventually(lambda: engine.dead_letters()[1].replays == 1)
        assert (engine.dead_letters()[1].asked, engine.status().processes[0].dead) == ("", 2)
        await engine.drop_dead_letter(first.id)
        await eventually(lambda: engine.status().processes[0].dead == 1)
        await engine.stop_event_sourcing_engine()

        def mended(instance: Instance, event: Event) -> Iterable[Any]:
            return [Step("take", take("ann", 1)), Complete()]

        await stage.start(collecting(react=mended))
        assert await stage.engine.replay_dead_letters("collecting") == 1
        await stage.ends("c1", "completed")
        assert stage.engine.dead_letters() == []

    async def test_an_event_that_an_instance_cannot_take_undoes_it(self, stage: Stage) -> None:
        engine = await stage.start(ann=100)
        await ask(engine, "c1", "ann", confirm=60)
        await eventually(lambda: "StepDone take ann" in story(engine, "c1"))
        await note(engine, "CollectionCancelled", collection="c1")
        instance = await stage.ends("c1", "compensated")
        assert instance.reason.endswith("KeyError: 'why'")
        assert engine.dead_letters() == []

    @pytest.mark.parametrize("key", ["", "a\n", "x" * 181, 7])
    async def test_a_key_that_cannot_be_kept_is_told(self, stage: Stage, key: Any) -> None:
        engine = await stage.start(collecting(key=lambda event: key))
        await ask(engine, "c1", "ann")
        await eventually(lambda: len(engine.dead_letters()) == 1)
        assert "the key of a process is 1 to 180" in engine.dead_letters()[0].error

    async def test_the_longest_names_have_room(self, stage: Stage) -> None:
        engine = await stage.start(collecting(name="ü" * 100, key=lambda event: "ö" * 90), ann=100)
        await ask(engine, "c1", "ann")
        await eventually(lambda: stage.log.head(f"process-{'ü' * 100}:{'ö' * 90}") == 5)
        assert engine.process("ü" * 100).instance("ö" * 90).status == "completed"


class TestStuck:
    async def test_waits_for_somebody_and_then_goes_on(self, stage: Stage) -> None:
        engine = await stage.start(
            collecting(
                react=lambda instance, event: [
                    Step("first", give("bob", 5), undo=take("bob", 5)),
                    Step("second", give("ann", 5), undo=take("ann", 500)),
                    Step("third", take("cat", 5)),
                ]
            )
        )
        await ask(engine, "c1", "")
        instance = await stage.ends("c1", "stuck")
        assert instance.error == "second: BalanceTooLow: 500 cents were asked for, there are 5"
        await eventually(lambda: engine.status().processes[0].stuck == 1)
        runner = engine.process("collecting")
        assert [open.key for open in runner.instances()] == ["c1"]
        assert msgspec.json.encode(runner.instances())
        await runner.retry("c1")
        await eventually(lambda: story(engine, "c1").count("CompensationStuck second") == 2)
        await engine.execute(deposit("more", "ann", 495))
        await stage.ends("c1", "stuck")
        await runner.retry("c1")
        await stage.ends("c1", "compensated")
        assert [(await balance(engine, account))[0] for account in ("ann", "bob")] == [0, 0]
        with pytest.raises(ProcessNotStuck, match="is compensated"):
            await runner.retry("c1")
        with pytest.raises(ProcessInstanceUnknown):
            await runner.retry("c2")

    async def test_is_abandoned_if_somebody_says_so(self, stage: Stage) -> None:
        engine = await stage.start(
            collecting(
                react=lambda instance, event: [
                    Step("first", give("ann", 5), undo=take("ann", 500)),
                    Step("second", take("cat", 5)),
                ]
            )
        )
        await ask(engine, "c1", "")
        await stage.ends("c1", "stuck")
        await engine.process("collecting").abandon("c1")
        await stage.ends("c1", "abandoned")
        assert engine.process("collecting").instances() == []


async def test_sends_again_when_it_cannot_be_known_whether_a_command_was_done(stage: Stage) -> None:
    engine = await stage.start(ann=100)
    stage.break_commands(LogFull("no room"))
    await ask(engine, "c1", "ann")
    await eventually(lambda: engine.status().processes[0].state == "failed")
    assert "no room" in engine.status().processes[0].error
    await stage.clock.advance(60.0)
    await stage.ends("c1", "completed")
    assert stage.sent[0] == stage.sent[1]
    assert await balance(engine, "ann") == (90, 2)
    await eventually(lambda: engine.status().processes[0].state == "live")


async def test_rests_while_it_is_paused(stage: Stage) -> None:
    engine = await stage.start(ann=100)
    runner = engine.process("collecting")
    await runner.pause()
    await eventually(lambda: runner.status().state == "paused")
    await ask(engine, "c1", "ann")
    assert (runner.status().lag_events, stage.status("c1")) == (1, "")
    await runner.resume()
    await stage.ends("c1", "completed")


async def test_a_new_process_may_begin_with_what_comes(stage: Stage) -> None:
    engine = await stage.start(collecting(name="other"), ann=100)
    await ask(engine, "c1", "ann", confirm=60)
    await engine.stop_event_sourcing_engine()
    engine = await stage.start(collecting(begins="now"))
    await ask(engine, "c2", "ann")
    await stage.ends("c2", "completed")
    assert stage.status("c1") == ""


async def test_keeps_the_streams_of_processes_to_themselves(stage: Stage) -> None:
    engine = await stage.start()
    with pytest.raises(EventForeign, match="process alone"):
        await engine.create_event({"aggregate_id": "process-collecting:c1", "type": "StepDone", "data": {}})
    with pytest.raises(NameUnknown, match="registered: collecting"):
        engine.process("collect")
    for wrong in ({"name": "a:b"}, {"name": ""}, {"starts_with": ()}, {"at_once": 0}):
        with pytest.raises(ValueError, match="process"):
            collecting(**wrong)
    fresh = EventSourcingEngine()
    fresh.register_process(collecting())
    with pytest.raises(ValueError, match="already"):
        fresh.register_process(collecting())
