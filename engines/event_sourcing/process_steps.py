"""Do what the instances of a process have to do: send their commands, note what came of them.

Rules: of an instance one command is under way at a time. It has an id made of the instance, the step's number
and whether it does or undoes, so that it is done once however often it is sent. What came of it is recorded
before anything else is done; a crash between repeats the sending, not the doing. A refusal, or the last
failed attempt, means that nothing was done. If it cannot be known (the log broke) nothing is recorded: the
work ends, and the command is sent again when it begins anew.

Held by ProcessRunner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Protocol
from uuid import UUID

from core.event_log.errors import EventLogError
from engines.event_sourcing.clock import SECOND, Clock, Timer, sleep
from engines.event_sourcing.errors import EngineStopped
from engines.event_sourcing.process import Complete, Fail, Process, Step
from engines.event_sourcing.process_instance import (
    CompensationStarted,
    CompensationStuck,
    Done,
    Instance,
    ProcessEnded,
    Record,
    StepCompensated,
    StepDone,
    StepFailed,
)
from engines.event_sourcing.process_reaction import plain
from engines.event_sourcing.process_store import command_id
from engines.event_sourcing.request import CommandResult
from engines.event_sourcing.retry import is_refusal, told

logger = logging.getLogger("agora.event_sourcing")


class Execute(Protocol):
    """Do a command, once under its id: the engine's `execute`."""

    def __call__(
        self, command: Any, *, domain: str, actor: str, correlation_id: UUID | None
    ) -> Awaitable[CommandResult]:
        """Return its answer; raise its refusal, or why it could not be done."""


class Live:
    """Be an instance that has not ended, in the process that runs it.

    instance: as it is on disk; changed only by who holds `lock`
    driving:  tells whether a task does what it has to do
    failed:   attempts at the command under way that failed
    """

    __slots__ = ("driving", "error", "failed", "instance", "lock", "timer")

    def __init__(self, instance: Instance | None) -> None:
        self.instance = instance
        self.lock = asyncio.Lock()
        self.driving = False
        self.failed = 0
        self.error = ""
        self.timer: Timer | None = None

    def rest(self) -> None:
        """Wait for no time any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class ProcessSteps:
    """Do the steps of a process' instances.

    record: appends records of an instance, and changes it; its lock is held
    spawn:  starts a task
    """

    def __init__(
        self,
        process: Process,
        execute: Execute,
        record: Callable[[Live, Sequence[Record]], Awaitable[None]],
        spawn: Callable[[Any], object],
        clock: Clock,
        random: Random,
    ) -> None:
        self._process = process
        self._execute = execute
        self._record = record
        self._spawn = spawn
        self._clock = clock
        self._random = random
        self._slots = asyncio.Semaphore(process.at_once)

    def wake(self, live: Live) -> None:
        """See to it that an instance does what it has to do."""
        if not live.driving:
            live.driving = True
            self._spawn(self._drive(live))

    async def _drive(self, live: Live) -> None:
        """Do all that there is to do now."""
        live.rest()
        try:
            while True:
                async with live.lock:
                    instance = live.instance
                    assert instance is not None
                    records = due(instance, self._clock.now_ns())
                    if records:
                        await self._record(live, records)
                        continue
                if instance.queue and isinstance(instance.queue[0], Step):
                    await self._do(live, instance, instance.queue[0])
                elif instance.status == "compensating" and (done := instance.to_undo) is not None:
                    await self._undo(live, instance, done)
                else:
                    self._wait(live, instance)
                    return
        finally:
            live.driving = False

    def _wait(self, live: Live, instance: Instance) -> None:
        if instance.status == "running" and instance.deadline_ns is not None:
            seconds = max(instance.deadline_ns - self._clock.now_ns(), 0) / SECOND
            live.timer = self._clock.call_later(seconds, lambda: self.wake(live))

    async def _do(self, live: Live, instance: Instance, step: Step) -> None:
        number = instance.sent
        answer = await self._send(
            live, instance, step.command, step.domain, command_id(instance, number, "do")
        )
        async with live.lock:
            records: list[Record]
            if isinstance(answer, CommandResult):
                records = [StepDone(number, step.name, answer.position, plain(answer.receipt))]
            else:
                records = [StepFailed(number, step.name, told(answer))]
                if live.instance is not None and live.instance.status == "running":
                    records.append(CompensationStarted(f"{step.name}: {told(answer)}"))
            await self._record(live, records)

    async def _undo(self, live: Live, instance: Instance, done: Done) -> None:
        id = command_id(instance, done.number, "undo")
        answer = await self._send(live, instance, done.undo, done.domain, id)
        async with live.lock:
            if isinstance(answer, CommandResult):
                record: Record = StepCompensated(done.number, done.name, answer.position)
            else:
                logger.error(
                    "process %s %s: step %s cannot be taken back: %s",
                    instance.process,
                    instance.key,
                    done.name,
                    told(answer),
                )
                record = CompensationStuck(done.number, done.name, told(answer))
            await self._record(live, [record])

    async def _send(
        self, live: Live, instance: Instance, command: Any, domain: str, id: str
    ) -> CommandResult | Exception:
        """Return the answer, or why nothing was done; raise if that cannot be known."""
        retry, live.failed = self._process.retry, 0
        try:
            while True:
                try:
                    async with self._slots:
                        return await self._execute(
                            {**command, "id": id},
                            domain=domain,
                            actor=f"process:{instance.process}",
                            correlation_id=UUID(instance.correlation),
                        )
                except Exception as error:
                    if is_refusal(error):
                        return error
                    if isinstance(error, EventLogError | EngineStopped):
                        raise
                    live.failed, live.error = live.failed + 1, told(error)
                    if live.failed >= retry.attempts:
                        return error
                await sleep(self._clock, retry.delay(live.failed, self._random))
        finally:
            live.failed, live.error = 0, ""


def due(instance: Instance, now_ns: int) -> list[Record]:
    """Return the records of what is decided without a command."""
    head = instance.queue[0] if instance.queue else None
    if instance.status == "running":
        if instance.deadline_ns is not None and now_ns >= instance.deadline_ns:
            return [CompensationStarted(instance.deadline_reason)]
        if isinstance(head, Complete):
            return [ProcessEnded("completed")]
        if isinstance(head, Fail):
            return [CompensationStarted(head.reason)]
    elif instance.status == "compensating" and head is None and instance.to_undo is None:
        return [ProcessEnded("compensated")]
    return []
