"""Hold core/_fast/pool to its rules: against a slow oracle, and one by one."""

import re
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core._fast import pool as compiled
from core._fast.pool import Pool, Slot, Waiter
from tests.oracles.pool import SlowPool

SECOND = 1_000_000_000
SOURCE = Path(compiled.__file__).with_name("pool.pyx")


def a_pool(
    max_connections: int = 8, max_idle: int = 8, max_waiting: int = 8, keep_alive: int = 60 * SECOND
) -> Pool:
    return Pool(max_connections, max_idle, max_waiting, keep_alive)


def open_slot(pool: Pool, connection: object = None) -> Slot:
    slot = pool.reserve()
    assert slot is not None
    slot.connection = connection
    pool.opened(slot)
    return slot


def test_opens_no_more_connections_than_allowed() -> None:
    pool = a_pool(max_connections=2)
    first, second = pool.reserve(), pool.reserve()
    assert first is not None
    assert second is not None
    assert pool.reserve() is None
    pool.drop(first)
    assert pool.reserve() is not None
    assert pool.reserve() is None


def test_counts_a_connection_from_the_moment_its_opening_begins() -> None:
    pool = a_pool()
    slot = pool.reserve()
    assert slot is not None
    assert (pool.connections, pool.connecting, pool.idle) == (1, 1, 0)
    pool.opened(slot)
    assert (pool.connections, pool.connecting, pool.idle) == (1, 0, 0)
    pool.give(slot, SECOND)
    assert (pool.connections, pool.connecting, pool.idle) == (1, 0, 1)


def test_gives_the_newest_idle_connection_first() -> None:
    pool = a_pool()
    slots = [open_slot(pool) for _ in range(3)]
    for at, slot in enumerate(slots):
        assert pool.give(slot, at)
    assert [pool.take(3), pool.take(3), pool.take(3), pool.take(3)] == [*reversed(slots), None]


def test_never_gives_a_connection_that_has_been_idle_too_long() -> None:
    pool = a_pool(keep_alive=10)
    slot = open_slot(pool)
    pool.give(slot, 100)
    assert pool.take(110) is None
    assert pool.expired(110) is slot
    assert pool.take(109) is slot


def test_names_the_oldest_idle_connection_as_expired_first() -> None:
    pool = a_pool(keep_alive=10)
    old, young = open_slot(pool), open_slot(pool)
    pool.give(old, 0)
    pool.give(young, 5)
    assert pool.expired(9) is None
    assert pool.expired(14) is old
    pool.drop(old)
    assert pool.expired(14) is None
    assert pool.expired(15) is young


def test_drops_a_connection_rather_than_keep_more_idle_ones_than_allowed() -> None:
    pool = a_pool(max_idle=1)
    kept, dropped = open_slot(pool), open_slot(pool, "connection")
    assert pool.give(kept, 0)
    assert not pool.give(dropped, 0)
    assert dropped.connection is None
    assert (pool.connections, pool.idle) == (1, 1)


def test_keeps_nothing_idle_where_that_is_not_wanted() -> None:
    pool = a_pool(max_idle=0)
    assert not pool.give(open_slot(pool), 0)
    assert pool.connections == 0


def test_forgets_a_connection_once_however_often_it_is_dropped() -> None:
    pool = a_pool()
    slots = [open_slot(pool), open_slot(pool)]
    pool.drop(slots[0])
    pool.drop(slots[0])
    assert pool.connections == 1
    assert not pool.give(slots[0], 0)
    pool.opened(slots[0])
    assert (pool.connections, pool.connecting) == (1, 0)


@pytest.mark.parametrize("dropped", list(permutations(range(4), 3)), ids=str)
def test_keeps_the_others_in_order_whichever_idle_ones_are_dropped(dropped: tuple[int, ...]) -> None:
    pool = a_pool()
    slots = [open_slot(pool) for _ in range(4)]
    for at, slot in enumerate(slots):
        pool.give(slot, at)
    for number in dropped:
        pool.drop(slots[number])
    kept = next(slot for number, slot in enumerate(slots) if number not in dropped)
    assert pool.expired(100 * SECOND) is kept
    assert [pool.take(5), pool.take(5)] == [kept, None]


def test_counts_the_exchanges_begun_on_a_connection() -> None:
    pool = a_pool()
    slot = open_slot(pool)
    assert slot.uses == 1
    pool.give(slot, 0)
    assert slot.uses == 1
    pool.take(0)
    assert slot.uses == 2


def test_serves_who_has_waited_longest() -> None:
    pool = a_pool()
    waiters = [pool.enqueue(name) for name in "abc"]
    assert all(waiters)
    found = [pool.next_waiter() for _ in range(4)]
    assert [waiter and waiter.owner for waiter in found] == ["a", "b", "c", None]


@pytest.mark.parametrize("leaving", list(permutations(range(4), 3)), ids=str)
def test_keeps_the_others_in_order_whichever_waiters_leave(leaving: tuple[int, ...]) -> None:
    pool = a_pool()
    waiters = [pool.enqueue(number) for number in range(4)]
    for number in leaving:
        gone = waiters[number]
        assert gone is not None
        pool.leave(gone)
        pool.leave(gone)
    assert pool.waiting == 1
    pool.enqueue("last")
    kept = next(number for number in range(4) if number not in leaving)
    found = [pool.next_waiter() for _ in range(3)]
    assert [waiter and waiter.owner for waiter in found] == [kept, "last", None]


def test_refuses_a_waiter_when_the_queue_is_full() -> None:
    pool = a_pool(max_waiting=1)
    assert pool.enqueue("first") is not None
    assert pool.enqueue("second") is None


def test_lets_everyone_wait_for_whom_a_connection_is_being_opened() -> None:
    pool = a_pool(max_waiting=0)
    assert pool.enqueue("nobody opens one") is None
    assert pool.reserve() is not None
    assert pool.enqueue("one is being opened") is not None
    assert pool.enqueue("but only one") is None


def test_walks_no_connections_whatever_it_is_asked() -> None:
    """Count what would make a call dearer in a larger pool: loops, containers, calls of calls."""
    code = re.sub(r'""".*?"""|#[^\n]*', "", SOURCE.read_text(), flags=re.DOTALL)
    walks = re.findall(
        r"^\s*(?:for|while)\b.*|\b(?:list|dict|set|tuple|sorted|sum|min|max|len)\(.*", code, re.M
    )
    assert walks == []
    declared = SOURCE.with_suffix(".pxd").read_text()
    assert re.findall(r"\b(?:list|dict|set|tuple|deque)\b", declared) == []
    bodies = dict(re.findall(r"cp?def (?:\w+ )?(\w+)\(.*?\n(.*?)(?=\n\n|\Z)", code, re.DOTALL))
    calls = {name: set(re.findall(r"self\.(\w+)\(", body)) for name, body in bodies.items()}
    assert {"take", "give", "drop", "enqueue", "leave"} <= set(calls)
    assert not any(calls[called] - {"_unlink"} for named in calls.values() for called in named)


class PoolBesideOracle(RuleBasedStateMachine):
    """Do the same to the pool and to the oracle; after each step both tell the same."""

    @initialize(
        max_connections=st.integers(0, 12),
        max_idle=st.integers(0, 8),
        max_waiting=st.integers(0, 8),
        keep_alive=st.sampled_from([0, 5, 100]),
        opened=st.integers(0, 12),
        given=st.integers(0, 12),
        queued=st.integers(0, 8),
    )
    def begin(
        self,
        max_connections: int,
        max_idle: int,
        max_waiting: int,
        keep_alive: int,
        opened: int,
        given: int,
        queued: int,
    ) -> None:
        self.pool = Pool(max_connections, max_idle, max_waiting, keep_alive)
        self.oracle = SlowPool(max_connections, max_idle, max_waiting, keep_alive)
        self.now = 1
        self.taken: list[Slot] = []
        self.reserved: list[Slot] = []
        self.queued: list[Waiter] = []
        self.named = 0
        self.uses: dict[Slot, int] = {}
        # NOTE: most of what can go wrong needs a pool and a queue that are not empty.
        for _ in range(opened):
            self.reserve()
        for _ in range(len(self.reserved)):
            self.open_one(0)
        for _ in range(min(given, len(self.taken))):
            self.give_one(0)
        for _ in range(queued):
            self.wait()

    @rule(passed=st.integers(1, 12))
    def let_time_pass(self, passed: int) -> None:
        self.now += passed

    @rule()
    def take(self) -> None:
        slot = self.pool.take(self.now)
        assert slot is self.oracle.take(self.now)
        if slot is not None:
            self.taken.append(slot)
            self.uses[slot] += 1
            assert slot.uses == self.uses[slot]

    @rule()
    def reserve(self) -> None:
        allowed = self.oracle.may_open()
        slot = self.pool.reserve()
        assert (slot is not None) == allowed
        if slot is not None:
            slot.connection = f"connection {self.named}"
            self.named += 1
            self.oracle.reserve(slot)
            self.reserved.append(slot)

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        self.open_one(data.draw(st.integers(0, len(self.reserved) - 1)))

    def open_one(self, place: int) -> None:
        slot = self.reserved.pop(place)
        self.pool.opened(slot)
        self.oracle.opened(slot)
        self.taken.append(slot)
        self.uses[slot] = 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        self.give_one(data.draw(st.integers(0, len(self.taken) - 1)))

    def give_one(self, place: int) -> None:
        slot = self.taken.pop(place)
        kept = self.pool.give(slot, self.now)
        assert kept == self.oracle.give(slot, self.now)
        assert (slot.connection is not None) == kept

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        idle = [slot for slot, _ in self.oracle.idle]
        slots = [*self.taken, *self.reserved, *idle]
        if slots:
            slot = data.draw(st.sampled_from(slots))
            assert isinstance(slot, Slot)
            for held in (self.taken, self.reserved):
                if slot in held:
                    held.remove(slot)
            self.pool.drop(slot)
            self.oracle.drop(slot)
            assert slot.connection is None

    @rule()
    def sweep(self) -> None:
        for expected in self.oracle.expired(self.now):
            slot = self.pool.expired(self.now)
            assert slot is not None
            assert slot is expected
            self.pool.drop(slot)
            self.oracle.drop(slot)
        assert self.pool.expired(self.now) is None

    @rule()
    def wait(self) -> None:
        allowed = self.oracle.may_wait()
        owner = object()
        waiter = self.pool.enqueue(owner)
        assert (waiter is not None) == allowed
        if waiter is not None:
            assert waiter.owner is owner
            self.oracle.waiting.append(waiter)
            self.queued.append(waiter)

    @rule()
    def serve(self) -> None:
        expected = self.oracle.waiting.pop(0) if self.oracle.waiting else None
        assert self.pool.next_waiter() is expected

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.queued))
        self.pool.leave(waiter)
        if waiter in self.oracle.waiting:
            self.oracle.waiting.remove(waiter)

    @invariant()
    def tells_the_same(self) -> None:
        pool, oracle = self.pool, self.oracle
        assert pool.connections == oracle.connections <= oracle.max_connections
        assert pool.connecting == len(oracle.connecting)
        assert pool.idle == len(oracle.idle) <= oracle.max_idle
        assert pool.waiting == len(oracle.waiting)
        assert [waiter.waiting for waiter in self.queued] == [w in oracle.waiting for w in self.queued]


TestPoolBesideOracle = PoolBesideOracle.TestCase
TestPoolBesideOracle.settings = settings(max_examples=300)
