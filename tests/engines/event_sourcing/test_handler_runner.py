"""Handlers on a real log: at least once, in order, past what fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from core._fast.envelope import Draft
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines.event_sourcing.clock import SystemClock
from engines.event_sourcing.dead_letter import DeadLetter, place_of, read_letters
from engines.event_sourcing.event import Event
from engines.event_sourcing.handler import Handler
from engines.event_sourcing.handler_runner import HandlerRunner
from engines.event_sourcing.retry import Retry
from engines.event_sourcing.runner_lock import RunnerLock
from tests.engines.event_sourcing.bank import BalanceTooLow
from tests.engines.event_sourcing.manual_clock import ManualClock, eventually, turns

LONG = 1_000.0  # seconds, beyond every wait


class Effects:
    """Be what handlers do: note events, fail where told, hang where told."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.begun: list[int] = []
        self.failing: dict[int, Exception] = {}
        self.gates: dict[int, asyncio.Event] = {}

    async def handle(self, event: Event) -> None:
        self.begun.append(event.position)
        if event.position in self.gates:
            await self.gates[event.position].wait()
        if event.position in self.failing:
            raise self.failing[event.position]
        self.seen.append(event.position)


class Stage:
    """Make handlers' runners on one log, and stop them all."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.clock = ManualClock()
        self.effects = Effects()
        self.lock = RunnerLock(log.path / "runners.lock", SystemClock())
        self.lock.start()
        self.runners: list[HandlerRunner] = []

    def run(self, lock: RunnerLock | None = None, **changes: Any) -> HandlerRunner:
        fields: dict[str, Any] = {"name": "mails", "handle": self.effects.handle, "retry": Retry(attempts=3)}
        handler = Handler(**(fields | changes))
        runner = HandlerRunner(self.log, handler, lock or self.lock, clock=self.clock, random=Random(1))
        self.runners.append(runner)
        runner.start()
        return runner

    async def fill(self, *streams: str) -> int:
        last = 0
        for stream in streams:
            last = (await self.log.append(stream, [Draft("Noted", b"\x01")])).last_position
        return last

    async def saved(self, runner: HandlerRunner, position: int) -> None:
        await eventually(lambda: runner.status().position >= position)
        await self.stop(runner)
        runner.start()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        async with asyncio.timeout(30):
            while not condition():
                await self.clock.advance(0.5)

    def letters(self) -> list[DeadLetter]:
        return read_letters(self.log, "", "", 1_000)

    async def stop(self, runner: HandlerRunner) -> None:
        stopping = asyncio.create_task(runner.stop())
        while not stopping.done():
            await self.clock.advance(1.0)
        await stopping


@pytest.fixture
async def stage(log: EventLog) -> AsyncIterator[Stage]:
    stage = Stage(log)
    yield stage
    for runner in stage.runners:
        await stage.stop(runner)
    stage.lock.stop()


async def test_handles_what_is_there_and_what_comes_once_while_nothing_fails(stage: Stage) -> None:
    await stage.fill("a", "b", "a")
    runner = stage.run()
    await eventually(lambda: runner.status().state == "live")
    await stage.fill("b")
    await eventually(lambda: runner.status().position == 4)
    assert sorted(stage.effects.seen) == [1, 2, 3, 4]
    status = runner.status()
    assert (status.handled, status.dead, status.lag_events, status.lag_seconds) == (4, 0, 0, 0.0)
    await stage.stop(runner)
    await stage.fill("a")
    again = stage.run()
    await eventually(lambda: again.status().position == 5)
    assert stage.effects.seen[4:] == [5]
    assert again.status().handled == 5


async def test_takes_a_plain_function_and_only_what_it_wants(stage: Stage) -> None:
    seen: list[tuple[str, str]] = []
    runner = stage.run(
        handle=lambda event: seen.append((event.aggregate_id, event.type)), where=Filter(streams=("b",))
    )
    last = await stage.fill("a", "b", "a", "b", "a")
    await eventually(lambda: runner.status().position == last)
    assert seen == [("b", "Noted")] * 2


async def test_a_new_handler_may_begin_with_what_comes(stage: Stage) -> None:
    await stage.fill("a", "a")
    runner = stage.run(begins="now")
    await eventually(lambda: runner.status().state == "live")
    await stage.stop(runner)
    await stage.fill("a")
    again = stage.run(begins="now")
    await eventually(lambda: again.status().position == 3)
    assert stage.effects.seen == [3]


async def test_tries_again_with_growing_waits_and_then_gives_up(stage: Stage) -> None:
    stage.effects.failing[1] = ValueError("no mail")
    runner = stage.run(retry=Retry(attempts=4, first=2.0, most=60.0))
    await stage.fill("a", "a")
    waits = []
    for attempt in (1, 2, 3):
        await eventually(lambda wanted=attempt: stage.effects.begun.count(1) == wanted)  # type: ignore[misc]
        retrying = runner.status().retrying[0]
        assert (retrying.position, retrying.attempts, retrying.error) == (1, attempt, "ValueError: no mail")
        wait = max(stage.clock.waiting)
        waits.append(wait)
        await stage.until(lambda wanted=attempt: stage.effects.begun.count(1) > wanted)  # type: ignore[misc]
    assert all(0 <= wait <= 2.0 * 2**failed for failed, wait in enumerate(waits))
    await eventually(lambda: runner.status().position == 2)
    assert stage.effects.seen == [2]
    await eventually(lambda: len(stage.letters()) == 1)
    letter = stage.letters()[0]
    assert (letter.id, letter.handler, letter.position, letter.aggregate_id) == ("mails:1", "mails", 1, "a")
    assert (letter.error, letter.attempts, letter.type) == ("ValueError: no mail", 4, "Noted")
    assert letter.failed_ns == letter.failed_again_ns > 0
    assert (runner.status().dead, runner.status().handled, runner.status().retrying) == (1, 1, [])


async def test_does_not_repeat_what_a_domain_refuses(stage: Stage) -> None:
    stage.effects.failing[1] = BalanceTooLow("no")
    runner = stage.run()
    await stage.fill("a")
    await eventually(lambda: runner.status().dead == 1)
    assert stage.effects.begun == [1]


async def test_gives_up_an_attempt_that_takes_too_long(stage: Stage) -> None:
    stage.effects.gates[1] = asyncio.Event()
    runner = stage.run(retry=Retry(attempts=2), seconds=7.0)
    await stage.fill("a")
    await stage.until(lambda: bool(stage.letters()))
    assert stage.effects.begun == [1, 1]
    assert stage.letters()[0].error == "TimeoutError: took longer than 7 seconds"
    assert runner.status().position == 1


async def test_an_event_that_fails_holds_up_its_own_stream_alone(stage: Stage) -> None:
    stage.effects.failing[1] = ValueError("no")
    runner = stage.run()
    await stage.fill("a", "b", "a", "c", "b")
    await eventually(lambda: runner.status().handled == 3)
    status = runner.status()
    assert (status.position, status.under_way, status.lag_events) == (0, 2, 5)
    assert set(stage.effects.seen) == {2, 4, 5}
    await stage.until(lambda: runner.status().position == 5)
    assert stage.effects.seen[3:] == [3]


async def test_a_stream_whose_events_fail_one_after_the_other_is_given_up_faster(stage: Stage) -> None:
    last = await stage.fill(*"aaaaaa", "b")
    stage.effects.failing = {position: ValueError("no") for position in range(1, last)}
    runner = stage.run(retry=Retry(attempts=8))
    await stage.until(lambda: runner.status().position == last)
    assert [stage.effects.begun.count(position) for position in range(1, last + 1)] == [8, 4, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(("order", "meanwhile"), [("log", []), ("none", [2, 3, 4])])
async def test_orders_the_whole_log_or_nothing_if_told_so(
    stage: Stage, order: str, meanwhile: list[int]
) -> None:
    await stage.fill("a", "b", "a", "a")
    stage.effects.gates[1] = asyncio.Event()
    runner = stage.run(order=order)
    await eventually(lambda: stage.effects.begun == [1, *meanwhile])
    await turns()
    assert stage.effects.seen == meanwhile
    stage.effects.gates[1].set()
    await eventually(lambda: runner.status().position == 4)
    assert stage.effects.seen == ([1, 2, 3, 4] if order == "log" else [2, 3, 4, 1])


async def test_runs_no_more_attempts_at_once_than_it_may(stage: Stage) -> None:
    await stage.fill(*"abcde")
    stage.effects.gates = dict.fromkeys(range(1, 6), gate := asyncio.Event())
    runner = stage.run(at_once=2)
    await eventually(lambda: len(stage.effects.begun) == 2)
    await turns()
    assert stage.effects.begun == [1, 2]
    gate.set()
    await eventually(lambda: runner.status().position == 5)


async def test_rests_while_it_is_paused_also_after_a_restart(stage: Stage) -> None:
    runner = stage.run()
    await stage.fill("a")
    await eventually(lambda: runner.status().position == 1)
    await runner.pause()
    await eventually(lambda: runner.status().state == "paused")
    await stage.fill("a")
    await stage.stop(runner)
    again = stage.run()
    await eventually(lambda: again.status().state == "paused")
    await turns()
    assert (stage.effects.seen, again.status().lag_events) == ([1], 1)
    await again.resume()
    await eventually(lambda: again.status().position == 2)
    assert stage.effects.seen == [1, 2]


async def test_runs_where_the_lock_is_and_obeys_what_another_process_was_asked(stage: Stage) -> None:
    other_lock = RunnerLock(stage.log.path / "runners.lock", stage.clock)
    other_lock.start()
    other = stage.run(other_lock)
    runner = stage.run()
    await stage.fill("a")
    await eventually(lambda: runner.status().position == 1)
    await eventually(lambda: other.status().position == 1)
    assert (other.status().state, other.status().handled, stage.effects.seen) == ("elsewhere", 1, [1])
    await other.pause()
    await stage.until(lambda: runner.status().state == "paused")
    assert other.status().state == "paused"
    await other.resume()
    await stage.until(lambda: runner.status().state == "live")
    await stage.stop(runner)
    stage.lock.stop()
    await stage.fill("a")
    await stage.until(lambda: other.status().position == 2)
    assert (other.status().state, stage.effects.seen) == ("live", [1, 2])
    await stage.stop(other)
    other_lock.stop()


async def test_ends_what_runs_before_it_stops_and_leaves_the_rest_for_later(stage: Stage) -> None:
    await stage.fill("a", "b", "b")
    stage.effects.gates = {1: asyncio.Event(), 2: asyncio.Event()}
    runner = stage.run()
    await eventually(lambda: stage.effects.begun == [1, 2])
    stopping = asyncio.create_task(runner.stop())
    await turns()
    stage.effects.gates[2].set()
    await turns()
    assert not stopping.done()
    while not stopping.done():
        await stage.clock.advance(1.0)
    assert stage.effects.seen == [2]
    stage.effects.gates.clear()
    again = stage.run()
    await eventually(lambda: again.status().position == 3)
    assert stage.effects.begun == [1, 2, 1, 3]


async def test_begins_again_when_the_log_could_not_be_read(stage: Stage) -> None:
    await stage.log.append_all(state=[(b"handler/mails/checkpoint", b"\xc1")])
    runner = stage.run()
    await eventually(lambda: runner.status().state == "failed")
    assert "DecodeError" in runner.status().error
    await stage.log.append_all(state=[(b"handler/mails/checkpoint", None)])
    await stage.fill("a")
    await stage.until(lambda: runner.status().state == "live")
    await eventually(lambda: runner.status().position == 1)
    assert runner.status().error == ""


class TestDeadLetters:
    async def give_up(self, stage: Stage, *streams: str) -> HandlerRunner:
        last = await stage.fill(*streams)
        stage.effects.failing = {position: BalanceTooLow("no") for position in range(1, last + 1)}
        runner = stage.run()
        await eventually(lambda: len(stage.letters()) == last)
        stage.effects.begun.clear()
        return runner

    async def test_a_replay_that_succeeds_takes_it_off_the_list(self, stage: Stage) -> None:
        runner = await self.give_up(stage, "a", "b")
        stage.effects.failing.clear()
        await runner.ask(b"replay", [place_of(2)])
        await eventually(lambda: len(stage.letters()) == 1)
        assert (stage.effects.seen, stage.letters()[0].position) == ([2], 1)
        assert (runner.status().dead, runner.asked()) == (1, {})

    async def test_a_replay_that_fails_leaves_it_with_its_count_raised(self, stage: Stage) -> None:
        runner = await self.give_up(stage, "a")
        stage.effects.failing[1] = ValueError("still no")
        await stage.clock.advance(0.25)
        await runner.ask(b"replay", [place_of(1)])
        await eventually(lambda: not runner.asked())
        letter = stage.letters()[0]
        assert (letter.attempts, letter.replays, letter.error) == (2, 1, "ValueError: still no")
        assert letter.failed_again_ns > letter.failed_ns
        assert (stage.effects.begun, runner.status().dead) == ([1], 1)

    async def test_a_dropped_one_is_never_handled(self, stage: Stage) -> None:
        runner = await self.give_up(stage, "a", "b")
        await runner.ask(b"drop", [place_of(1)])
        await eventually(lambda: [letter.position for letter in stage.letters()] == [2])
        assert (stage.effects.begun, runner.status().dead) == ([], 1)

    async def test_what_is_asked_while_it_is_paused_is_done_when_it_goes_on(self, stage: Stage) -> None:
        runner = await self.give_up(stage, "a")
        stage.effects.failing.clear()
        await runner.pause()
        await runner.ask(b"replay", [place_of(1)])
        await eventually(lambda: runner.status().state == "paused")
        assert runner.asked() == {place_of(1): b"replay"}
        await stage.stop(runner)
        again = stage.run()
        await again.resume()
        await eventually(lambda: not stage.letters())
        assert stage.effects.seen == [1]

    async def test_many_are_replayed_in_order(self, stage: Stage) -> None:
        runner = await self.give_up(stage, *["a"] * 250)
        stage.effects.failing.clear()
        await runner.ask(b"replay", [place_of(letter.position) for letter in stage.letters()])
        await runner.ask(b"replay", [place_of(position) for position in range(101, 251)])
        await stage.until(lambda: not stage.letters())
        assert stage.effects.seen == list(range(1, 251))
        assert (runner.status().dead, runner.status().handled) == (0, 250)

    async def test_a_request_for_one_that_is_gone_is_forgotten(self, stage: Stage) -> None:
        runner = stage.run()
        await runner.ask(b"replay", [place_of(7)])
        await eventually(lambda: not runner.asked())
