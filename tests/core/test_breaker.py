"""The circuit breaker, on a virtual clock."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.breaker import Breaker, BreakerRules, BreakerState

RULES = BreakerRules(window=10, least_calls=4, failure_rate=0.5, slow_rate=0.8, open_time=5, probes=2)


def call(breaker: Breaker, now: float, *, failed: bool = False, slow: bool = False) -> bool:
    ticket = breaker.admit(now)
    if ticket < 0:
        return False
    breaker.ended(ticket, now, failed=failed, slow=slow)
    return True


def state(breaker: Breaker) -> str:
    return breaker.state.value


def opened() -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(4):
        assert call(breaker, 0, failed=True)
    return breaker


def test_opens_by_the_share_of_failures_with_enough_calls() -> None:
    breaker = Breaker(RULES)
    for _ in range(3):
        call(breaker, 0, failed=True)
    assert state(breaker) == "closed"
    call(breaker, 0, failed=True)
    assert state(breaker) == "open"
    assert not call(breaker, 4.9)
    assert breaker.retry_after(2) == 3


def test_stays_closed_below_the_share_and_forgets_what_is_old() -> None:
    breaker = Breaker(RULES)
    for _ in range(10):
        call(breaker, 0)
    for _ in range(9):
        call(breaker, 1, failed=True)
    assert state(breaker) == "closed"
    call(breaker, 11.5, failed=True)  # all the rest is over ten seconds old
    assert state(breaker) == "closed"


def test_opens_by_the_share_of_slow_calls() -> None:
    breaker = Breaker(RULES)
    for slow in (False, True, True, True, True):
        call(breaker, 0, slow=slow)
    assert state(breaker) == "open"


def test_good_probes_close_it_and_a_bad_one_opens_it_again() -> None:
    breaker = opened()
    assert call(breaker, 5)
    assert state(breaker) == "half-open"
    assert call(breaker, 5)
    assert state(breaker) == "closed"
    breaker = opened()
    assert call(breaker, 5, failed=True)
    assert state(breaker) == "open"
    assert breaker.retry_after(6) == 4


def test_lets_only_so_many_probes_through_at_once() -> None:
    breaker = opened()
    tickets = [breaker.admit(5) for _ in range(3)]
    assert tickets[2] == -1
    breaker.ended(tickets[0], 6, failed=False, slow=False, counts=False)
    assert breaker.admit(6) >= 0  # a probe that says nothing makes room for another


def test_a_call_of_before_says_nothing_about_now() -> None:
    breaker = Breaker(RULES)
    old = [breaker.admit(0) for _ in range(4)]
    for _ in range(4):
        call(breaker, 0, failed=True)
    call(breaker, 5)
    call(breaker, 5)
    for ticket in old:
        breaker.ended(ticket, 6, failed=True, slow=False)
    assert state(breaker) == "closed"


class BreakerAsModelled(RuleBasedStateMachine):
    """Make calls that end in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now = 0.0
        self.under_way: list[int] = []

    @rule()
    def begins(self) -> None:
        ticket = self.breaker.admit(self.now)
        if ticket >= 0:
            self.under_way.append(ticket)
        else:
            assert self.breaker.state is not BreakerState.CLOSED

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), failed=st.booleans(), slow=st.booleans(), counts=st.booleans())
    def ends(self, which: int, failed: bool, slow: bool, counts: bool) -> None:
        ticket = self.under_way.pop(which % len(self.under_way))
        self.breaker.ended(ticket, self.now, failed=failed, slow=slow, counts=counts)

    @rule(seconds=st.floats(0, 12))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def never_lets_more_probes_through_than_it_may(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            probing = self.under_way.count(self.breaker.generation)
            assert probing == self.breaker.probing <= RULES.probes
        if self.breaker.state is BreakerState.OPEN:
            assert self.breaker.retry_after(self.now) <= RULES.open_time

    def teardown(self) -> None:
        """Whatever happened: once all has ended and time has passed, good calls close it."""
        for ticket in self.under_way:
            self.breaker.ended(ticket, self.now, failed=True, slow=False)
        self.now += RULES.open_time + 1
        for _ in range(RULES.probes):
            assert call(self.breaker, self.now)
        assert state(self.breaker) == "closed"


TestBreakerAsModelled = BreakerAsModelled.TestCase


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 2), st.booleans()), min_size=1, max_size=80))
def test_agrees_with_counting_by_hand(calls: list[tuple[float, bool]]) -> None:
    breaker, now = Breaker(RULES), 0.0
    seen: list[tuple[int, bool]] = []
    for pause, failed in calls:
        now += pause
        call(breaker, now, failed=failed)
        seen.append((int(now), failed))
        recent = [bad for second, bad in seen if second > int(now) - 10]
        due = failed and len(recent) >= RULES.least_calls and sum(recent) >= RULES.failure_rate * len(recent)
        assert (state(breaker) == "open") == due
        if due:
            return
