"""The balancer: who is chosen, and who may be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core._fast.balancer import POLICIES, Balancer

NAMES = [f"http://10.0.0.{number}:80" for number in range(10)]
SECOND = 1_000_000_000


def shares(balancer: Balancer, count: int, now: int = 1, *, keep: bool = False) -> Counter[int]:
    chosen: Counter[int] = Counter()
    for number in range(count):
        index = balancer.choose(now, b"%d" % number)
        assert index is not None
        chosen[index] += 1
        if keep:
            balancer.begin(index)
    return chosen


def test_round_robin_takes_turns() -> None:
    balancer = Balancer("round-robin", NAMES[:3], weights=[5, 1, 1])
    assert [balancer.choose(1) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_weighted_gives_each_its_share_and_never_in_bursts() -> None:
    balancer = Balancer("weighted", NAMES[:3], weights=[5, 1, 2])
    turns = [balancer.choose(1) for _ in range(800)]
    assert Counter(turns) == {0: 500, 1: 100, 2: 200}
    assert all(Counter(turns[at : at + 8])[0] <= 6 for at in range(792))


def test_least_requests_fills_the_emptiest_for_its_weight() -> None:
    balancer = Balancer("least-requests", NAMES[:3], weights=[1, 1, 2])
    assert shares(balancer, 400, keep=True) == {0: 100, 1: 100, 2: 200}
    for _ in range(50):
        balancer.end(1, 1)
    assert [balancer.choose(1) for _ in range(5)] == [1] * 5


def test_random_two_avoids_the_busiest() -> None:
    balancer = Balancer("random-two", NAMES, seed=7)
    for _ in range(1000):
        balancer.begin(3)
    assert shares(balancer, 1000)[3] == 0
    even = shares(Balancer("random-two", NAMES, seed=7), 10_000, keep=True)
    assert max(even.values()) - min(even.values()) < 30


def test_ewma_prefers_the_quick_and_forgives_with_time() -> None:
    balancer = Balancer("ewma", NAMES[:2], seed=7)
    for _ in range(3):
        balancer.end(0, SECOND, latency=1_000_000)
        balancer.end(1, SECOND, latency=50_000_000)
    assert shares(balancer, 100, SECOND) == {0: 100}
    for second in range(2, 90):
        balancer.end(1, second * SECOND, latency=500_000)
    assert shares(balancer, 100, 90 * SECOND) == {1: 100}


def test_a_hash_keeps_its_keys_when_another_server_goes() -> None:
    full = Balancer("consistent-hash", NAMES)
    keys = [b"key %d" % number for number in range(5000)]
    before = {key: full.choose(1, key) for key in keys}
    spread = Counter(before.values())
    assert max(spread.values()) < 1.3 * min(spread.values())
    full.set_healthy(4, False, 1)
    assert all(full.choose(1, key) == old for key, old in before.items() if old != 4)
    moved = Counter(full.choose(1, key) for key, old in before.items() if old == 4)
    assert len(moved) == 9
    assert 4 not in moved
    fewer = Balancer("consistent-hash", NAMES[:9])
    same = sum(fewer.choose(1, key) == old for key, old in before.items() if old != 9)
    assert same > 0.75 * sum(old != 9 for old in before.values())


def test_a_hash_is_weighted() -> None:
    balancer = Balancer("consistent-hash", NAMES[:3], weights=[1, 1, 2])
    spread = shares(balancer, 20_000)
    assert 1.7 < spread[2] / spread[0] < 2.3


@pytest.mark.parametrize("policy", POLICIES)
def test_another_try_goes_elsewhere(policy: str) -> None:
    balancer = Balancer(policy, NAMES[:3], seed=1)
    assert {balancer.choose(1, b"k", 0b011) for _ in range(20)} == {2}
    assert balancer.choose(1, b"k", 0b111) is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_the_drained_is_never_chosen_even_in_panic(policy: str) -> None:
    balancer = Balancer(policy, NAMES[:3], seed=1)
    balancer.set_draining(0, True, 1)
    balancer.set_healthy(1, False, 1)
    balancer.set_healthy(2, False, 1)
    assert balancer.panicking
    assert set(shares(balancer, 200)) <= {1, 2}
    balancer.set_draining(1, True, 1)
    balancer.set_draining(2, True, 1)
    assert balancer.choose(1) is None


def test_panics_below_its_share_only() -> None:
    balancer = Balancer("round-robin", NAMES[:4])
    balancer.set_healthy(0, False, 1)
    balancer.set_healthy(1, False, 1)
    assert not balancer.panicking
    assert set(shares(balancer, 20)) == {2, 3}
    balancer.set_healthy(2, False, 1)
    assert balancer.panicking
    assert set(shares(balancer, 20)) == {0, 1, 2, 3}
    balancer.set_healthy(2, True, 1)
    assert not balancer.panicking


def test_later_priorities_serve_while_the_first_is_out() -> None:
    balancer = Balancer("round-robin", NAMES[:3], priorities=[0, 0, 1])
    assert set(shares(balancer, 20)) == {0, 1}
    balancer.set_healthy(0, False, 1)
    balancer.set_healthy(1, False, 1)
    assert set(shares(balancer, 20)) == {2}
    balancer.set_healthy(1, True, 1)
    assert set(shares(balancer, 20)) == {1}


def test_ejects_after_failures_in_a_row_and_lets_back_in_by_itself() -> None:
    balancer = Balancer("round-robin", NAMES[:3], eject_after=3, eject_time=10 * SECOND)
    for failed in (True, True, False, True, True):
        balancer.end(0, SECOND, failed=failed, latency=1)
    assert set(shares(balancer, 9, SECOND)) == {0, 1, 2}
    balancer.end(0, SECOND, failed=True)
    assert set(shares(balancer, 9, 11 * SECOND - 1)) == {1, 2}
    assert set(shares(balancer, 9, 11 * SECOND)) == {0, 1, 2}
    for _ in range(3):
        balancer.end(0, 20 * SECOND, failed=True)
    assert set(shares(balancer, 9, 39 * SECOND)) == {1, 2}  # the second time is twice as long
    assert set(shares(balancer, 9, 40 * SECOND)) == {0, 1, 2}


@pytest.mark.parametrize("policy", ["round-robin", "weighted", "least-requests"])
def test_who_comes_back_starts_slowly(policy: str) -> None:
    balancer = Balancer(policy, NAMES[:2], slow_start=100 * SECOND)
    balancer.set_healthy(1, False, SECOND)
    shares(balancer, 50, SECOND)
    balancer.set_healthy(1, True, 2 * SECOND)
    early = shares(balancer, 100, 12 * SECOND, keep=policy == "least-requests")
    assert 5 <= early[1] <= 15
    late = shares(Balancer(policy, NAMES[:2], slow_start=100 * SECOND), 100, 200 * SECOND, keep=True)
    assert late[1] == 50


def test_refuses_what_is_no_server() -> None:
    balancer = Balancer("round-robin", NAMES[:2])
    for call in (balancer.begin, lambda index: balancer.set_healthy(index, True, 1)):
        for index in (-1, 2):
            with pytest.raises(IndexError):
                call(index)
    with pytest.raises(ValueError, match="a server at least"):
        Balancer("round-robin", [])


class BalancerAsModelled(RuleBasedStateMachine):
    """Hold who may be chosen to what was told, on a virtual clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1
        self.sick: set[int] = set()
        self.drained: set[int] = set()
        self.ejected: dict[int, int] = {}
        self.failures = [0] * 4
        self.times = [0] * 4
        self.balancers = [
            Balancer(policy, NAMES[:4], eject_after=2, eject_time=SECOND, panic=0.5, seed=3)
            for policy in POLICIES
        ]

    @rule(index=st.integers(0, 3), healthy=st.booleans())
    def hears_of_health(self, index: int, healthy: bool) -> None:
        if healthy and index in self.sick:
            self._back(index)
        self.sick = self.sick - {index} if healthy else self.sick | {index}
        for balancer in self.balancers:
            balancer.set_healthy(index, healthy, self.now)

    @rule(index=st.integers(0, 3), draining=st.booleans())
    def drains(self, index: int, draining: bool) -> None:
        if not draining and index in self.drained:
            self._back(index)
        self.drained = self.drained | {index} if draining else self.drained - {index}
        for balancer in self.balancers:
            balancer.set_draining(index, draining, self.now)

    def _back(self, index: int) -> None:
        self.ejected.pop(index, None)
        self.failures[index] = self.times[index] = 0

    @rule(index=st.integers(0, 3), failed=st.booleans())
    def ends(self, index: int, failed: bool) -> None:
        for balancer in self.balancers:
            balancer.end(index, self.now, failed=failed, latency=1)
        if not failed:
            self.failures[index] = self.times[index] = 0
            return
        self.failures[index] += 1
        if self.failures[index] == 2:
            self.failures[index] = 0
            self.times[index] = min(self.times[index] + 1, 10)
            self.ejected[index] = self.now + self.times[index] * SECOND

    @rule(seconds=st.floats(0.1, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    @invariant()
    def chooses_whom_it_may(self) -> None:
        usable = {index for index in range(4) if index not in self.drained}
        out = self.sick | {index for index, until in self.ejected.items() if until > self.now}
        well = usable - out
        allowed = usable if len(well) < 0.5 * len(usable) or not well else well
        for balancer in self.balancers:
            chosen = {balancer.choose(self.now, b"%d" % number) for number in range(24)}
            assert chosen <= allowed if allowed else chosen == {None}


TestBalancerAsModelled = BalancerAsModelled.TestCase


@given(st.sampled_from(sorted(POLICIES)), st.integers(1, 40), st.lists(st.integers(0, 63), max_size=30))
def test_always_chooses_a_server(policy: str, size: int, ended: list[int]) -> None:
    balancer = Balancer(policy, [f"s{number}" for number in range(size)], seed=5)
    for number in ended:
        balancer.end(number % size, number + 1, failed=number % 3 == 0, latency=number)
        index = balancer.choose(number + 1, b"%d" % number)
        assert index is not None
        assert 0 <= index < size
        balancer.begin(index)
