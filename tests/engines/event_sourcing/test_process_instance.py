"""Instances as folds of their records, and what may be recorded next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.event_sourcing import Complete, Deadline, Event, Fail, Process, Remember, Step
from engines.event_sourcing.process_instance import (
    CompensationResumed,
    CompensationStarted,
    CompensationStuck,
    Instance,
    ProcessEnded,
    ProcessReacted,
    ProcessStarted,
    Record,
    StepCompensated,
    StepDone,
    StepFailed,
    decode_instance,
    decode_record,
    encode,
    evolve,
)
from engines.event_sourcing.process_reaction import plain_command, reaction
from engines.event_sourcing.process_steps import due
from engines.event_sourcing.process_store import command_id
from tests.engines.event_sourcing.bank import Deposit
from tests.engines.event_sourcing.collecting import give, take

STARTED = ProcessStarted("p", "k", "0199b7a5-0000-7000-8000-000000000001")
HOUR = 3_600 * 10**9


def event(kind: str = "Go", position: int = 7, time: int = HOUR, **data: Any) -> Event:
    return Event(
        event_id="0199b7a5-0000-7000-8000-000000000002",
        aggregate_id="s",
        version=1,
        position=position,
        type=kind,
        schema_version=1,
        time=time,
        data=data,
    )


def process(*actions: Any) -> Process:
    return Process(
        name="p", starts_with=("Go",), key=lambda event: "k", react=lambda instance, event: actions
    )


def after(*records: Record) -> Instance:
    instance = evolve(None, STARTED)
    for record in records:
        instance = evolve(instance, record)
    return instance


def queued(*steps: Any) -> ProcessReacted:
    return ProcessReacted(7, tuple(steps))


class TestReaction:
    def test_holds_what_is_to_be_kept_at_once_and_queues_the_rest_in_order(self) -> None:
        step, fail, complete = Step("a", take("ann", 1)), Fail("no"), Complete()
        actions = [step, Remember({"x": (1, 2)}), Deadline(60, "late"), fail, complete]
        assert reaction(process(*actions), None, "k", event()) == [
            ProcessStarted("p", "k", event().event_id),
            ProcessReacted(7, (step, fail, complete), {"x": [1, 2]}, HOUR + 60 * 10**9, "late"),
        ]

    def test_goes_on_with_what_its_event_is_part_of(self) -> None:
        part = event()
        correlated = Event(
            **{name: getattr(part, name) for name in part.__struct_fields__}
            | {"correlation_id": "0199b7a5-0000-7000-8000-000000000003"}
        )
        started = reaction(process(), None, "k", correlated)[0]
        assert isinstance(started, ProcessStarted)
        assert started.correlation == correlated.correlation_id

    def test_records_nothing_where_nothing_comes_of_it(self) -> None:
        assert reaction(process(), after(), "k", event()) == []
        undone = after(CompensationStarted("no"))
        assert reaction(process(Complete()), undone, "k", event()) == []

    @pytest.mark.parametrize("wrong", [Step("a", 7), Step("a", {"x": object()}), "what", Remember(object())])
    def test_refuses_what_cannot_be_kept(self, wrong: Any) -> None:
        with pytest.raises(TypeError):
            reaction(process(wrong), None, "k", event())
        assert isinstance(reaction(process(wrong), after(), "k", event())[0], CompensationStarted)

    def test_takes_commands_as_structs_and_gives_them_no_id(self) -> None:
        assert plain_command(Deposit(id="x", account="ann", cents=5)) == give("ann", 5)
        assert plain_command(None) is None


class TestInstance:
    def test_takes_steps_back_in_reverse_and_each_once(self) -> None:
        steps = [Step(name, take(name, 1), undo=give(name, 1)) for name in "abc"]
        steps[1] = Step("b", take("b", 1))
        instance = after(
            queued(*steps),
            *[StepDone(n, name, 10 + n, None) for n, name in enumerate("abc", 1)],
            queued(Fail("no")),
        )
        assert due(instance, 0) == [CompensationStarted("no")]
        instance = evolve(instance, CompensationStarted("no"))
        names = []
        while (done := instance.to_undo) is not None:
            assert due(instance, 0) == []
            names.append(done.name)
            instance = evolve(instance, StepCompensated(done.number, done.name, 20))
        assert names == ["c", "a"]
        assert due(instance, 0) == [ProcessEnded("compensated")]

    def test_finishes_a_step_that_may_be_under_way_before_it_is_undone(self) -> None:
        steps = [Step(name, take(name, 1), undo=give(name, 1)) for name in "ab"]
        instance = after(queued(*steps, Complete()), CompensationStarted("late", 9))
        assert (instance.queue, instance.position, due(instance, 0)) == ((steps[0],), 9, [])
        assert evolve(instance, StepDone(1, "a", 10, None)).to_undo is not None
        refused = evolve(instance, StepFailed(1, "a", "no"))
        assert due(refused, 0) == [ProcessEnded("compensated")]

    def test_gives_up_at_its_deadline_unless_it_has_ended(self) -> None:
        reacted = ProcessReacted(7, (), None, HOUR, "too late")
        assert due(after(reacted), HOUR - 1) == []
        assert due(after(reacted), HOUR) == [CompensationStarted("too late")]
        later = ProcessReacted(8, (), None, 2 * HOUR, "much too late")
        assert due(after(reacted, later), HOUR) == []
        assert due(after(reacted, ProcessEnded("completed")), HOUR) == []

    def test_waits_when_it_is_stuck(self) -> None:
        step = Step("a", take("a", 1), undo=give("a", 1))
        stuck = after(
            queued(step),
            StepDone(1, "a", 9, None),
            CompensationStarted("no"),
            CompensationStuck(1, "a", "poor"),
        )
        assert (stuck.status, stuck.error, due(stuck, 2**62)) == ("stuck", "a: poor", [])
        assert evolve(stuck, CompensationResumed()).to_undo is not None
        assert evolve(stuck, ProcessEnded("abandoned")).ended

    def test_is_the_same_after_it_was_stored(self) -> None:
        records: list[Record] = [
            queued(Step("a", take("a", 1), undo=give("a", 1), domain="bank"), Fail("no"), Complete()),
            ProcessReacted(8, (), {"x": [1, None]}, 5, "late"),
            StepDone(1, "a", 9, {"r": [1]}),
            CompensationStarted("no"),
            StepCompensated(1, "a", 11),
            ProcessEnded("compensated"),
        ]
        instance = evolve(None, STARTED)
        for record in records:
            assert decode_record(encode(record)) == record
            instance = evolve(instance, record)
            assert decode_instance(encode(instance)) == instance
        assert instance.version == len(records) + 1


names = st.text("ab:.-1", min_size=1, max_size=4)


@given(st.tuples(names, names, st.integers(1, 20)), st.tuples(names, names, st.integers(1, 20)))
def test_two_commands_have_one_id_only_if_they_are_one(
    first: tuple[str, str, int], second: tuple[str, str, int]
) -> None:
    ids = [
        command_id(evolve(None, ProcessStarted(name, key, "")), number, what)
        for name, key, number in (first, second)
        for what in ("do", "undo")
    ]
    assert len(set(ids)) == (2 if first == second else 4)
