"""The circuit breaker's state machine, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.breaker import Breaker, BreakerRules, Outcome, State

RULES = BreakerRules(
    window=10, min_calls=4, error_rate=0.5, slow_rate=0.75, max_concurrent=6, open_for=5, probes=2
)
LOOSE = BreakerRules(window=10, min_calls=4, error_rate=0.5, open_for=5, probes=2)


def call(breaker: Breaker, now: float, outcome: Outcome) -> None:
    permit = breaker.admit(now)
    assert permit is not None
    breaker.end(permit, now, outcome)


def state(breaker: Breaker) -> str:
    return breaker.state.value


def opened(rules: BreakerRules = LOOSE) -> Breaker:
    """Return a breaker that opened at second 100."""
    breaker = Breaker(rules)
    for _ in range(rules.min_calls):
        call(breaker, 100, Outcome.FAILED)
    assert breaker.state is State.OPEN
    return breaker


def test_stays_closed_below_the_least_number_of_calls() -> None:
    breaker = Breaker(LOOSE)
    for _ in range(3):
        call(breaker, 1, Outcome.FAILED)
    assert breaker.state is State.CLOSED


def test_opens_at_the_rate_of_slow_calls() -> None:
    breaker = Breaker(RULES)
    call(breaker, 1, Outcome.GOOD)
    for _ in range(3):
        assert breaker.state is State.CLOSED
        call(breaker, 1, Outcome.SLOW)
    assert breaker.state is State.OPEN


def test_forgets_what_lies_before_the_window() -> None:
    breaker = Breaker(LOOSE)
    for second in (0, 11, 22, 33, 44):
        call(breaker, second, Outcome.FAILED)
        call(breaker, second, Outcome.FAILED)
    assert breaker.state is State.CLOSED


def test_calls_that_tell_nothing_do_not_count() -> None:
    breaker = Breaker(LOOSE)
    for _ in range(50):
        call(breaker, 1, Outcome.UNKNOWN)
    for _ in range(3):
        call(breaker, 1, Outcome.FAILED)
    assert breaker.state is State.CLOSED


def test_refuses_while_open_and_tells_how_long() -> None:
    breaker = opened()
    assert (breaker.admit(103), breaker.wait(103)) == (None, 2)


def test_closes_when_all_probes_succeed() -> None:
    breaker = opened()
    call(breaker, 105, Outcome.GOOD)
    assert breaker.state is State.HALF_OPEN
    call(breaker, 105, Outcome.GOOD)
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_again() -> None:
    breaker = opened()
    call(breaker, 105, Outcome.FAILED)
    assert (breaker.state, breaker.admit(109), breaker.wait(109)) == (State.OPEN, None, 1)


def test_a_probe_that_died_gives_its_place_to_another() -> None:
    breaker = opened()
    for _ in range(20):
        call(breaker, 105, Outcome.UNKNOWN)
    assert breaker.state is State.HALF_OPEN
    call(breaker, 105, Outcome.GOOD)
    call(breaker, 105, Outcome.GOOD)
    assert breaker.state is State.CLOSED


def test_probes_that_never_end_hold_others_up_for_a_while_only() -> None:
    breaker = opened()
    assert [breaker.admit(105) is None for _ in range(3)] == [False, False, True]
    assert breaker.admit(109.9) is None
    assert breaker.admit(110) is not None


def test_a_call_from_before_decides_nothing() -> None:
    breaker = Breaker(LOOSE)
    late = breaker.admit(100)
    assert late is not None
    for _ in range(4):
        call(breaker, 100, Outcome.FAILED)
    assert breaker.admit(105) is not None
    breaker.end(late, 105, Outcome.FAILED)
    assert (breaker.state, breaker.under_way) == (State.HALF_OPEN, 1)


def test_refuses_more_than_may_be_under_way_and_stays_closed() -> None:
    breaker = Breaker(RULES)
    permits = [breaker.admit(1) for _ in range(7)]
    assert (permits[-1], breaker.state) == (None, State.CLOSED)
    breaker.end(permits[0] or 0, 1, Outcome.GOOD)
    assert breaker.admit(1) is not None


class BreakerAsModelled(RuleBasedStateMachine):
    """Whatever ends how and when, a breaker stays within its rules and finds a way back."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now = 1000.0
        self.calls: list[tuple[int, int]] = []  # permit, transitions when admitted
        self.known: list[tuple[float, Outcome]] = []  # since the last transition

    @rule(seconds=st.floats(0, 12))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def admits(self) -> None:
        state, until = self.breaker.state, self.breaker.wait(self.now)
        transitions = self.breaker.transitions
        probing = sum(permit == transitions for permit, _ in self.calls)
        permit = self.breaker.admit(self.now)
        if len(self.calls) >= RULES.max_concurrent:
            assert permit is None
        elif state is State.CLOSED or until == 0:
            assert permit is not None
        elif state is State.OPEN:
            assert permit is None
        elif permit is None:
            assert probing + self.breaker._passed >= RULES.probes
        if self.breaker.transitions != transitions:
            self.known.clear()
        if permit is not None:
            self.calls.append((permit, self.breaker.transitions))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def ends(self, data: st.DataObject, outcome: Outcome) -> None:
        permit, _ = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        state, transitions = self.breaker.state, self.breaker.transitions
        self.breaker.end(permit, self.now, outcome)
        if permit != transitions or outcome is Outcome.UNKNOWN:
            assert self.breaker.transitions == transitions
        elif state is State.CLOSED:
            self.known.append((self.now, outcome))
            recent = [found for at, found in self.known if self.now - at < RULES.window]
            if self.breaker.state is State.OPEN:
                assert len(recent) >= RULES.min_calls
            else:  # all within the sure part of the window
                sure = [found for at, found in self.known if self.now - at < RULES.window * 0.9]
                if len(sure) == len(recent) >= RULES.min_calls and outcome is Outcome.FAILED:
                    assert recent.count(Outcome.FAILED) < RULES.error_rate * len(recent)
        elif outcome in (Outcome.FAILED, Outcome.SLOW):
            assert self.breaker.state is State.OPEN
        if self.breaker.transitions != transitions:
            self.known.clear()

    @invariant()
    def counts_what_is_under_way(self) -> None:
        assert self.breaker.under_way == len(self.calls)

    def teardown(self) -> None:
        for permit, _ in self.calls:
            self.breaker.end(permit, self.now, Outcome.UNKNOWN)
        self.now += 2 * RULES.open_for
        for _ in range(RULES.probes):
            call(self.breaker, self.now, Outcome.GOOD)
        assert self.breaker.state is State.CLOSED


TestBreakerAsModelled = BreakerAsModelled.TestCase
