"""One instance of a process: what is to be done, what was done, and the records that tell so.

The rule it guards: `evolve` alone changes an instance, by one record at a time; the records are the events of
its stream, and its image in the log's state is what they fold to. Both are written in one append. So after a
crash it is known what is left to do, and a command that was sent, but not noted as done, is sent again
under the same id.

Stream: process-NAME:KEY. Written by ProcessRunner.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engines.event_sourcing.process import Complete, Fail, Step

STREAMS = "process-"  # how the names of all processes' streams begin

Status = Literal["running", "compensating", "stuck", "completed", "compensated", "abandoned"]
Todo = Step | Complete | Fail
replace = msgspec.structs.replace


class Done(msgspec.Struct, frozen=True):
    """Be a step that was done.

    number:   among the steps of its instance, from 1
    position: of the command's last event; receipt: its answer, as plain data
    undo:     the command that takes it back; None: nothing does
    """

    number: int
    name: str
    domain: str
    position: int
    receipt: Any
    undo: Any = None
    undone: bool = False


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """Be where an instance stands.

    version:  of its stream; position: of the last event that it reacted to
    data:     what `Remember` kept
    queue:    what is to be done, in order; steps: what was done
    sent:     number of the first step in the queue
    reason:   why it is undone; error: why that is stuck
    correlation: of all its events and commands
    """

    process: str
    key: str
    status: Status
    version: int
    position: int
    correlation: str
    data: Any = None
    queue: tuple[Todo, ...] = ()
    steps: tuple[Done, ...] = ()
    sent: int = 1
    reason: str = ""
    error: str = ""
    deadline_ns: int | None = None
    deadline_reason: str = ""

    @property
    def ended(self) -> bool:
        """Tell whether nothing can come any more."""
        return self.status in ("completed", "compensated", "abandoned")

    @property
    def to_undo(self) -> Done | None:
        """Return the last step that is to be taken back."""
        return next(
            (done for done in reversed(self.steps) if done.undo is not None and not done.undone), None
        )


# -- records -------------------------------------------------------------------------------------------------


class ProcessStarted(msgspec.Struct, frozen=True, tag=True):
    """Say that an event began an instance."""

    process: str
    key: str
    correlation: str


class ProcessReacted(msgspec.Struct, frozen=True, tag=True):
    """Say what an event led to; data: None if nothing else is to be kept."""

    position: int
    queued: tuple[Todo, ...] = ()
    data: Any = None
    deadline_ns: int | None = None
    deadline_reason: str = ""


class StepDone(msgspec.Struct, frozen=True, tag=True):
    """Say that the first step of the queue was done."""

    number: int
    name: str
    position: int
    receipt: Any


class StepFailed(msgspec.Struct, frozen=True, tag=True):
    """Say that the first step of the queue cannot be done, and was not."""

    number: int
    name: str
    error: str


class CompensationStarted(msgspec.Struct, frozen=True, tag=True):
    """Say that what was done is to be undone, and nothing else done.

    position: of the event that led there; 0: none did
    """

    reason: str
    position: int = 0


class StepCompensated(msgspec.Struct, frozen=True, tag=True):
    """Say that a step was taken back."""

    number: int
    name: str
    position: int


class CompensationStuck(msgspec.Struct, frozen=True, tag=True):
    """Say that a step cannot be taken back: somebody has to look."""

    number: int
    name: str
    error: str


class CompensationResumed(msgspec.Struct, frozen=True, tag=True):
    """Say that somebody has looked."""


class ProcessEnded(msgspec.Struct, frozen=True, tag=True):
    """Say how it ended."""

    outcome: Literal["completed", "compensated", "abandoned"]


Record = (
    ProcessStarted
    | ProcessReacted
    | StepDone
    | StepFailed
    | CompensationStarted
    | StepCompensated
    | CompensationStuck
    | CompensationResumed
    | ProcessEnded
)
encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
decode_instance = msgspec.msgpack.Decoder(Instance).decode


def evolve(before: Instance | None, record: Record) -> Instance:
    """Return an instance after a record."""
    if isinstance(record, ProcessStarted):
        return Instance(
            process=record.process,
            key=record.key,
            status="running",
            version=1,
            position=0,
            correlation=record.correlation,
        )
    assert before is not None
    instance = replace(before, version=before.version + 1)
    match record:
        case ProcessReacted():
            return _reacted(instance, record)
        case StepDone():
            return _done(instance, record)
        case StepFailed():
            return replace(instance, queue=(), sent=record.number + 1)
        case CompensationStarted():
            # NOTE: the first step may be under way, or have been before a crash: it is done, then undone.
            queue = instance.queue[:1] if instance.queue and isinstance(instance.queue[0], Step) else ()
            return replace(
                instance,
                status="compensating",
                position=record.position or instance.position,
                queue=queue,
                reason=record.reason,
                deadline_ns=None,
            )
        case StepCompensated():
            steps = tuple(
                replace(done, undone=True) if done.number == record.number else done
                for done in instance.steps
            )
            return replace(instance, steps=steps)
        case CompensationStuck():
            return replace(instance, status="stuck", error=f"{record.name}: {record.error}")
        case CompensationResumed():
            return replace(instance, status="compensating", error="")
        case ProcessEnded():
            return replace(instance, status=record.outcome, queue=(), deadline_ns=None)


def _reacted(instance: Instance, record: ProcessReacted) -> Instance:
    if record.deadline_ns is not None:
        instance = replace(instance, deadline_ns=record.deadline_ns, deadline_reason=record.deadline_reason)
    return replace(
        instance,
        position=record.position,
        queue=instance.queue + record.queued,
        data=instance.data if record.data is None else record.data,
    )


def _done(instance: Instance, record: StepDone) -> Instance:
    step = instance.queue[0]
    assert isinstance(step, Step)
    done = Done(record.number, record.name, step.domain, record.position, record.receipt, step.undo)
    return replace(instance, queue=instance.queue[1:], steps=(*instance.steps, done), sent=record.number + 1)
