"""Hold core/_fast/wheel to its rules, with time as an argument: nothing here waits."""

import asyncio
import logging
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core._fast.wheel import TICK_NS, TURN_NS, Timer, Wheel

START = 1_000 * TICK_NS + 7


def a_wheel(now: int = START) -> Wheel:
    return Wheel(None, now)


def test_fires_at_the_first_tick_after_the_deadline() -> None:
    wheel, fired = a_wheel(), list[int]()
    wheel.call_at(START + 5 * TICK_NS, fired.append)
    for tick in range(8):
        wheel.advance_to(START + tick * TICK_NS)
        assert bool(fired) == (tick >= 6)
    assert fired == [START + 6 * TICK_NS]


def test_fires_a_deadline_that_has_passed_already_with_the_next_tick() -> None:
    wheel, fired = a_wheel(), list[int]()
    wheel.call_at(START - 50 * TICK_NS, fired.append)
    wheel.call_at(1, fired.append)
    assert fired == []
    wheel.advance_to(START + TICK_NS)
    assert fired == [START + TICK_NS] * 2


def test_never_fires_what_was_cancelled() -> None:
    wheel, fired = a_wheel(), list[int]()
    timers = [wheel.call_at(START + TICK_NS, fired.append) for _ in range(3)]
    wheel.cancel_call(timers[1])
    wheel.cancel_call(timers[1])
    wheel.advance_to(START + TURN_NS)
    assert len(fired) == 2
    wheel.cancel_call(timers[0])
    wheel.advance_to(START + 2 * TURN_NS)
    assert len(fired) == 2


def test_fires_once_however_often_the_deadline_was_moved() -> None:
    wheel, fired = a_wheel(), list[int]()
    timer = wheel.call_at(START + 9 * TICK_NS, fired.append)
    wheel.move(timer, START + 500 * TICK_NS)
    wheel.move(timer, START + 40 * TICK_NS)
    wheel.move(timer, START + 3 * TICK_NS)
    wheel.move(timer, START + 20 * TICK_NS)
    wheel.advance_to(START + 20 * TICK_NS - 1)
    assert fired == []
    wheel.advance_to(START + 21 * TICK_NS)
    wheel.advance_to(START + TURN_NS)
    assert fired == [START + 21 * TICK_NS]


def test_keeps_a_deadline_that_is_several_turns_away() -> None:
    wheel, fired = a_wheel(), list[int]()
    deadline = START + 3 * TURN_NS + TURN_NS // 2
    wheel.call_at(deadline, fired.append)
    now = START
    while now + TURN_NS // 7 < deadline:
        now += TURN_NS // 7
        wheel.advance_to(now)
        assert fired == []
    wheel.advance_to(deadline + TICK_NS)
    assert fired == [deadline + TICK_NS]


def test_misses_nothing_when_the_loop_stood_still_for_several_turns() -> None:
    wheel, fired = a_wheel(), list[int]()
    for ticks in range(0, 10_000, 7):
        wheel.call_at(START + ticks * TICK_NS, fired.append)
    wheel.call_at(START + 10 * TURN_NS, fired.append)
    wheel.advance_to(START + 5 * TURN_NS)
    assert len(fired) == len(range(0, 10_000, 7))


def test_lets_one_that_fires_cancel_and_move_others_that_are_due_with_it() -> None:
    wheel, fired = a_wheel(), list[str]()
    timers: dict[str, Timer] = {}

    def fire(name: str) -> None:
        fired.append(name)
        if len(fired) == 1:
            cancelled, moved = (other for other in timers if other != name)
            wheel.cancel_call(timers[cancelled])
            wheel.move(timers[moved], START + 30 * TICK_NS)

    for name in ("a", "b", "c"):
        timers[name] = wheel.call_at(START, partial(lambda name, _: fire(name), name))
    wheel.advance_to(START + TICK_NS)
    assert len(fired) == 1
    wheel.advance_to(START + 30 * TICK_NS)
    assert len(fired) == 1
    wheel.advance_to(START + 31 * TICK_NS)
    assert len(set(fired)) == 2


def test_lets_one_that_fires_arm_itself_anew() -> None:
    wheel, fired = a_wheel(), list[int]()
    timer: Timer

    def again(now: int) -> None:
        fired.append(now)
        wheel.move(timer, now + 10 * TICK_NS)

    timer = wheel.call_at(START + TICK_NS, again)
    for tick in range(35):
        wheel.advance_to(START + tick * TICK_NS)
    assert [(now - START) // TICK_NS for now in fired] == [2, 13, 24]


def test_fires_the_others_when_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    wheel, fired = a_wheel(), list[int]()

    def fail(_: int) -> None:
        raise RuntimeError("on purpose")

    for callback in (fired.append, fail, fired.append):
        wheel.call_at(START, callback)
    with caplog.at_level(logging.ERROR, "agora.wheel"):
        wheel.advance_to(START + TICK_NS)
    assert len(fired) == 2
    assert "on purpose" in caplog.text


def test_refuses_a_deadline_that_is_no_time() -> None:
    for deadline in (0, -1):
        with pytest.raises(ValueError, match="above 0"):
            a_wheel().call_at(deadline, print)


async def test_ticks_on_its_loop_only_while_something_is_armed() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    fired = asyncio.Event()
    now = int(loop.time() * 1e9)  # asyncio's clock is CLOCK_MONOTONIC too
    wheel.call_at(now + 2 * TICK_NS, lambda _: fired.set())
    late = wheel.call_at(now + 1000 * TURN_NS, lambda _: None)
    await fired.wait()
    assert loop.time() * 1e9 >= now + 2 * TICK_NS
    wheel.cancel_call(late)
    wheel.close()


class WheelBesideList(RuleBasedStateMachine):
    """Do the same to the wheel and to a plain list of deadlines."""

    @initialize(start=st.integers(1, 10 * TURN_NS), crowd=st.lists(st.integers(-1, 1), max_size=12))
    def begin(self, start: int, crowd: list[int]) -> None:
        self.now = start
        self.wheel = Wheel(None, start)
        self.timers: list[Timer] = []
        self.armed: dict[int, tuple[int, int]] = {}  # number of a timer -> its deadline, and when it was set
        self.fired: list[tuple[int, int]] = []  # number of a timer, and when
        for ticks in crowd:  # several in one slot
            self.arm_at(max(start + ticks * TICK_NS, 1))

    def ahead(self, data: st.DataObject) -> int:
        """Draw a deadline: past, near, about a turn away, far away, on a tick and beside one."""
        distance = data.draw(
            st.one_of(
                st.integers(-3 * TICK_NS, 5 * TICK_NS),
                st.integers(TURN_NS - 3 * TICK_NS, TURN_NS + 3 * TICK_NS),
                st.integers(0, 20 * TURN_NS),
                st.integers(-2, 5).map(lambda ticks: ticks * TICK_NS),
                st.integers(-2, 9000).map(lambda ticks: ticks * TICK_NS - self.now % TICK_NS),
            )
        )
        return max(self.now + distance, 1)

    @rule(data=st.data())
    def arm(self, data: st.DataObject) -> None:
        self.arm_at(self.ahead(data))

    def arm_at(self, deadline: int) -> None:
        number = len(self.timers)
        self.timers.append(self.wheel.call_at(deadline, partial(self.fire, number)))
        self.armed[number] = (deadline, self.now)

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        deadline, number = self.ahead(data), data.draw(st.integers(0, len(self.timers) - 1))
        self.wheel.move(self.timers[number], deadline)
        self.armed[number] = (deadline, self.now)

    @rule(places=st.lists(st.integers(0, 11), min_size=1))
    def cancel(self, places: list[int]) -> None:
        for number in places:
            if number < len(self.timers):
                self.wheel.cancel_call(self.timers[number])
                self.armed.pop(number, None)

    @rule(passed=st.one_of(st.integers(0, 3 * TICK_NS), st.integers(0, 3 * TURN_NS)))
    def let_time_pass(self, passed: int) -> None:
        self.now += passed
        self.wheel.advance_to(self.now)
        self.fires_what_is_armed_once_and_never_early()
        late = [number for number, times in self.armed.items() if max(times) <= self.now - TICK_NS]
        assert late == []

    def fire(self, number: int, now: int) -> None:
        self.fired.append((number, now))

    @invariant()
    def fires_what_is_armed_once_and_never_early(self) -> None:
        for number, now in self.fired:
            deadline, _ = self.armed.pop(number)
            assert deadline <= now == self.now
        self.fired.clear()


TestWheelBesideList = WheelBesideList.TestCase
TestWheelBesideList.settings = settings(max_examples=300)
