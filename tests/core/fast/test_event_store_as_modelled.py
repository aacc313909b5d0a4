"""The event store beside a list: whatever is appended, dropped, reopened, here or by another process.

Another process may be killed at any of its writes and syncs; then all of its commit is there, or nothing.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core._fast.event_append import Query
from core._fast.event_store import DAY_NS, EventStore
from tests.core.fast.event_peer import Peer, commit, open_store, stored_of
from tests.oracles.event_log import ANY, EXISTS, NO_STREAM, Answer, EventLogOracle, Plain, Stored

STREAMS = ("a", "b", "market-7", "ü")
TYPES = ("Placed", "Cancelled", "Pläced")
TAGS = ("x", "y", "user:3")
NAMES = tuple(f"type:{name}" for name in TYPES) + tuple(f"tag:{name}" for name in TAGS) + ("tag:nobody",)
KEYS = ("k", "k/1", "l")
KILLED_AT = ("pwrite64", "writev", "fdatasync", "write")  # the last tells what was committed
QUERIES = st.lists(st.lists(st.sampled_from(NAMES), max_size=3), max_size=3)


Contents = tuple[list[Stored], list[tuple[int, int]], list[tuple[bytes, bytes]]]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as other:
        yield other


@pytest.fixture(scope="module")
def killer() -> Iterator[Peer]:
    with Peer(kills=True) as other:
        yield other


def contents_of(store: EventStore) -> Contents:
    segments = [(part.number, part.first_position) for part in store.segments()]
    return [stored_of(event) for event in store.read()], segments, store.scan_state()


def contents_wanted(oracle: EventLogOracle) -> Contents:
    state = sorted((key.encode(), value.encode()) for key, value in oracle.state.items())
    return oracle.kept, oracle.segments, state


class Modelled(RuleBasedStateMachine):
    peer: Peer
    killer: Peer

    def __init__(self) -> None:
        super().__init__()
        self.path = tempfile.mkdtemp()
        self.now = DAY_NS // 2
        self.store = open_store(self.path, self.now)
        self.oracle = EventLogOracle(DAY_NS)
        self.made = 1 << 64  # ids made so far
        self.earlier: list[Plain] = []

    def teardown(self) -> None:
        self.store.close()
        self.peer.close(self.path)
        shutil.rmtree(self.path)

    # -- what is appended ----------------------------------------------------------------------------------

    def new_id(self, data: st.DataObject) -> str:
        self.made += 2
        kind = data.draw(st.sampled_from(["next", "next", "next", "before", "used"]), "id")
        if kind == "used" and self.oracle.kept:
            return data.draw(st.sampled_from(self.oracle.kept), "event").id
        return (self.made if kind == "next" else (1 << 64) - self.made % (1 << 64)).to_bytes(16, "big").hex()

    def new_drafts(self, data: st.DataObject) -> list[list[Any]]:
        return [
            [
                data.draw(st.sampled_from(TYPES)),
                data.draw(st.lists(st.sampled_from(TAGS), max_size=3)),
                self.new_id(data),
                "d" * data.draw(st.sampled_from([0, 1, 100, 5000])),
            ]
            for _ in range(data.draw(st.integers(0, 3), "events"))
        ]

    def expectation(self, data: st.DataObject, stream: str) -> int:
        head = self.oracle.heads.get(stream, 0)
        likely = [ANY, ANY, head, EXISTS if head else NO_STREAM]
        return data.draw(
            st.sampled_from([*likely, NO_STREAM, EXISTS, max(head - 1, 0), head + 1]), "expected"
        )

    def new_append(self, data: st.DataObject) -> Plain:
        if self.earlier and data.draw(st.integers(0, 9), "again") == 0:
            return data.draw(st.sampled_from(self.earlier))
        streams = data.draw(st.lists(st.sampled_from(STREAMS), max_size=3), "streams")
        checked = data.draw(st.lists(st.sampled_from(STREAMS), max_size=1), "checked")
        conditional = data.draw(st.integers(0, 3), "conditional") == 0
        made: Plain = {
            "writes": [[name, self.expectation(data, name), self.new_drafts(data)] for name in streams],
            "checks": [[name, self.expectation(data, name)] for name in checked],
            "unless": data.draw(QUERIES) if conditional else None,
            "after": data.draw(st.integers(max(self.oracle.last - 3, 0), self.oracle.last + 2)),
            "state": data.draw(
                st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(["", "v", None])), max_size=2)
            ),
        }
        ids = [draft[2] for _, _, drafts in made["writes"] for draft in drafts]
        if len(set(ids)) < len(ids):
            return self.new_append(data)
        self.earlier.append(made)
        return made

    def compare(self, answers: list[Answer], expected: list[Answer]) -> None:
        for answer, wanted in zip(answers, expected, strict=True):
            if wanted[0] == "id":
                assert answer[0] == "id"
                assert answer[1] in wanted[1]
            else:
                assert answer == wanted

    @rule(data=st.data(), here=st.booleans(), hours=st.sampled_from([0, 0, 0, 0, 9, 40]))
    def commit_a_batch(self, data: st.DataObject, here: bool, hours: int) -> None:
        self.now += hours * DAY_NS // 24
        appends = [self.new_append(data) for _ in range(data.draw(st.integers(1, 4), "appends"))]
        if here:
            answers = commit(self.store, appends, self.now)
        else:
            answers = self.peer.commit(self.path, appends, self.now)
        self.compare(answers, self.oracle.commit(appends, self.now, DAY_NS))

    @rule(
        data=st.data(),
        call=st.sampled_from(KILLED_AT),
        nth=st.sampled_from([1, 1, 2, 3]),
        hours=st.sampled_from([0, 0, 9, 40]),
        again=st.booleans(),
    )
    def kill_in_the_middle_of_a_commit(
        self, data: st.DataObject, call: str, nth: int, hours: int, again: bool
    ) -> None:
        self.now += hours * DAY_NS // 24
        appends = [self.new_append(data) for _ in range(data.draw(st.integers(1, 4), "appends"))]
        begun, done = copy.deepcopy(self.oracle), copy.deepcopy(self.oracle)
        begun.begin_segment(begun.last, self.now, DAY_NS)
        expected = done.commit(appends, self.now, DAY_NS)
        answers = self.killer.kill_in_commit(self.path, appends, self.now, call, nth)
        if answers is not None:
            self.compare(answers, expected)
        possible = [done] if answers is not None else [self.oracle, begun, done]
        found = contents_of(self.store)
        shown = [oracle for oracle in possible if contents_wanted(oracle) == found]
        assert shown, "neither all nor nothing of a commit is there"
        self.oracle = shown[-1]
        if again:
            answers = commit(self.store, appends, self.now)
            self.compare(answers, self.oracle.commit(appends, self.now, DAY_NS))

    @rule(here=st.booleans())
    def drop_the_oldest_segment(self, here: bool) -> None:
        number = self.oracle.segments[0][0]
        dropped = self.store.drop_segment(number) if here else self.peer.drop(self.path, number)
        assert dropped == self.oracle.drop()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.path)

    # -- what is read --------------------------------------------------------------------------------------

    @invariant()
    def reads_what_is_kept(self) -> None:
        assert self.store.last_position() == self.oracle.last
        assert contents_of(self.store) == contents_wanted(self.oracle)
        events = self.store.read()
        for before, event in pairwise(events):
            assert event.previous_hash == before.hash
        assert [stored_of(event) for event in self.store.read(1 << 60, backwards=True)] == self.oracle.kept[
            ::-1
        ]

    @invariant()
    def reads_streams(self) -> None:
        for stream in STREAMS:
            events = [event for event in self.oracle.kept if event.stream == stream]
            assert self.store.head(stream) == self.oracle.heads.get(stream, 0)
            assert [stored_of(event) for event in self.store.read_stream(stream)] == events
            assert [stored_of(event) for event in self.store.read_stream(stream, backwards=True)] == events[
                ::-1
            ]

    @precondition(lambda self: self.oracle.last)
    @rule(data=st.data(), limit=st.integers(0, 5), query=QUERIES)
    def read_pages(self, data: st.DataObject, limit: int, query: list[list[str]]) -> None:
        at = data.draw(st.integers(0, self.oracle.last + 1), "at")
        backwards = data.draw(st.booleans(), "backwards")
        step = -1 if backwards else 1

        def page(events: list[Any], place: str) -> list[Any]:
            wanted = [event for event in events if (getattr(event, place) - at) * step >= 0]
            return wanted[::step][:limit]

        found = self.store.read(at, limit, backwards=backwards)
        assert [stored_of(event) for event in found] == page(self.oracle.kept, "position")
        for stream in STREAMS:
            events = [event for event in self.oracle.kept if event.stream == stream]
            found = self.store.read_stream(stream, at, limit, backwards=backwards)
            assert [stored_of(event) for event in found] == page(events, "version")
        found, reached = self.store.read_matching(Query(query), at, limit)
        matching = self.oracle.matching(query, at)
        assert [event.position for event in found] == matching[:limit]
        assert at <= reached <= max(self.oracle.last, at)
        assert [position for position in matching if position <= reached] == matching[:limit]
        if len(matching) <= limit and limit:
            assert reached == max(self.oracle.last, at) or len(matching) == limit


def test_is_a_list_of_events_whoever_appends_drops_reopens_and_is_killed(peer: Peer, killer: Peer) -> None:
    Modelled.peer, Modelled.killer = peer, killer
    run_state_machine_as_test(
        Modelled,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
