"""Run one process: let its instances react to the log's events, and do what they have to do.

Rules: what the events of a page lead to is recorded in the append that moves the checkpoint past them, so an
instance reacts to each once. Each record of an instance is appended at the version before it, with the
instance's image (engines/event_sourcing/process_store). What is to be done is on disk before it is done
(engines/event_sourcing/process_steps). So a crash at any point leaves an instance between two records, and
the next process to hold the lock goes on from there. An event whose key cannot be told, or that cannot begin
an instance, goes on the dead-letter list. Whatever else goes wrong ends the work, which begins again from
what is on disk.

State keys: process/NAME/checkpoint, process/NAME/open/KEY, and those of engines/event_sourcing/runner and
dead_letter. Made by the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from random import Random
from uuid import UUID

import msgspec

from core._fast import envelope
from core._fast.event_append import Append, Appended
from core.event_log.errors import LogClosed
from core.event_log.log import EventLog, Write
from engines.event_sourcing.clock import Clock
from engines.event_sourcing.dead_letter import (
    PREFIX,
    letter_key,
    new_letter,
    put,
    read_letter,
)
from engines.event_sourcing.errors import ProcessInstanceUnknown, ProcessNotStuck
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.process import Process
from engines.event_sourcing.process_instance import (
    CompensationResumed,
    Instance,
    ProcessEnded,
    Record,
    evolve,
)
from engines.event_sourcing.process_reaction import reaction
from engines.event_sourcing.process_steps import Execute, Live, ProcessSteps
from engines.event_sourcing.process_store import (
    check_key,
    image_of,
    read_all_open,
    read_instance,
    read_open,
    stream_of,
    write_of,
)
from engines.event_sourcing.retry import told
from engines.event_sourcing.runner import Runner, RunState, State
from engines.event_sourcing.runner_lock import RunnerLock

PAGE = 100  # events read at once
COUNTED = 1_000  # open instances and dead letters, at most
CHECKPOINT = b"checkpoint"
INSTANCE = "instance:"  # how the ids of what is asked for instances begin; letters have places

logger = logging.getLogger("agora.event_sourcing")


class ProcessStatus(msgspec.Struct, frozen=True):
    """Say where a process is.

    state:    `elsewhere`: another process of the machine runs it
    position: of the last event that instances have reacted to
    lag_events: of the log beyond it; lag_seconds: age of the first of them
    running, compensating, stuck: instances that have not ended
    dead:     on the dead-letter list. These four are counted up to 1,000
    retrying: keys of instances whose command failed, and why; in this process
    """

    name: str
    state: RunState
    position: int
    lag_events: int
    lag_seconds: float
    running: int
    compensating: int
    stuck: int
    dead: int
    retrying: dict[str, str] = {}
    error: str = ""


class Change:
    """Be what becomes of an instance: as it will be, the records, and the ids of what caused them."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.after = live.instance
        self.records: list[tuple[Record, UUID | None]] = []


class ProcessRunner(Runner):
    """Run a process on a log, in the process of the machine that holds the lock.

    execute: sends a command; the engine's
    """

    def __init__(
        self,
        log: EventLog,
        process: Process,
        lock: RunnerLock,
        execute: Execute,
        *,
        clock: Clock | None = None,
        reader: EventReader | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__("process", process.name, log, lock, clock=clock, reader=reader, random=random)
        self.process = process
        self._execute = execute
        self._live: dict[str, Live] = {}
        self._reached = self._saved = 0
        self._group: asyncio.TaskGroup | None = None
        self._steps: ProcessSteps | None = None
        self._following = False  # an append that moves the checkpoint is under way
        self._busy: set[str] = set()  # what is asked for and being done
        self._appending: set[asyncio.Future[Appended]] = set()

    # -- for whoever looks -----------------------------------------------------------------------------------

    def status(self) -> ProcessStatus:
        """Return where the process is."""
        if self._working is not None:
            found = [live.instance for live in self._live.values() if live.instance is not None]
        else:
            found = read_open(self._log, self.name, limit=COUNTED)
        statuses = [instance.status for instance in found[:COUNTED]]
        letters = self._log.scan_state(PREFIX + f"{self.name}/".encode(), limit=COUNTED)
        return ProcessStatus(
            self.name,
            "paused" if self._state == "elsewhere" and self.paused else self._state,
            *self._lag(),
            statuses.count("running"),
            statuses.count("compensating"),
            statuses.count("stuck"),
            len(letters),
            {key: live.error for key, live in self._live.items() if live.failed},
            self._error,
        )

    def instances(self, after: str = "", limit: int = 100) -> list[Instance]:
        """Return instances that have not ended, by key, from the one after `after` on."""
        return read_open(self._log, self.name, after, limit)

    def instance(self, key: str) -> Instance:
        """Return an instance, which may have ended; raise ProcessInstanceUnknown."""
        found = read_instance(self._log, self.name, key)
        if found is None:
            raise ProcessInstanceUnknown(
                f"process {self.name!r} was never begun for {key!r}, or too long ago"
            )
        return found

    async def retry(self, key: str) -> None:
        """Have a stuck instance try again to take its steps back.

        Returns when that is asked for, on disk. Raises ProcessInstanceUnknown and ProcessNotStuck.
        """
        await self.ask(b"retry", [INSTANCE + self._stuck(key)])

    async def abandon(self, key: str) -> None:
        """Have a stuck instance end as it is, for somebody has seen to it; otherwise as `retry`."""
        await self.ask(b"abandon", [INSTANCE + self._stuck(key)])

    def _stuck(self, key: str) -> str:
        if (status := self.instance(key).status) != "stuck":
            raise ProcessNotStuck(f"{key!r} of process {self.name!r} is {status}")
        return key

    def _position(self) -> int:
        return self._reached if self._working is not None else max(self._read(), 0)

    def _read(self) -> int:
        return int(self._log.get_state(self._key(CHECKPOINT)) or b"-1")

    # -- following -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._saved = self._read()
        self._reached = self._saved
        if self._saved < 0:
            self._reached = self._now if self.process.begins == "now" else 0
        self._live = {instance.key: Live(instance) for instance in read_all_open(self._log, self.name)}
        self._busy.clear()

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._steps = ProcessSteps(
                    self.process, self._execute, self._record, group.create_task, self._clock, self._random
                )
                self._group = group
                self._looking.set()
                for live in self._live.values():
                    self._steps.wake(live)
                self._arrive()
                async for page in self._log.follow(self._reached, self.process.where, PAGE):
                    await self._take(page.events, page.reached)
                    self._arrive()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._group = None

    async def _end(self) -> None:
        for live in self._live.values():
            live.rest()
        if self._appending:
            await asyncio.wait(self._appending)
        # NOTE: an append that moved the checkpoint may have landed after its task was cancelled.
        try:
            if self._read() < self._reached:
                await self._log.submit(Append(state=[self._checkpoint(self._reached)]))
        except LogClosed:
            pass
        except Exception as error:
            logger.error("process %s cannot save where it is: %s", self.name, error)

    async def _take(self, events: Sequence[envelope.Event], reached: int) -> None:
        """Let instances react to the events of a page, and record that."""
        changes: dict[str, Change] = {}
        state: State = []
        try:
            for event in events:
                error = await self._try(event, changes)
                if error is not None:
                    logger.error("process %s gives up the event at %d: %s", self.name, event.position, error)
                    state.append(put(new_letter(self.name, event, told(error), 1, self._clock.now_ns())))
            if not state and not any(change.records for change in changes.values()):
                self._reached = reached
                return
            self._following = True
            await self._append(changes, [*state, self._checkpoint(reached)])
            self._reached = self._saved = reached
        finally:
            self._following = False
            for change in changes.values():
                change.live.lock.release()

    async def _try(self, event: envelope.Event, changes: dict[str, Change]) -> Exception | None:
        """Let an instance react to an event; return why it cannot. `changes` holds the instance's lock."""
        starts = event.type in self.process.starts_with
        if not starts and event.type not in self.process.listens_to:
            return None
        try:
            shown = self._reader.event(event)
            key = self.process.key(shown)
            change = None if key is None else await self._held(check_key(key), starts, changes)
            if key is None or change is None:
                return None
            records = reaction(self.process, change.after, key, shown)
        except Exception as error:
            return error
        for record in records:
            change.after = evolve(change.after, record)
            change.records.append((record, event.id))
        return None

    async def _held(self, key: str, starts: bool, changes: dict[str, Change]) -> Change | None:
        """Return the instance of a key, locked; None: it has ended, or there is none and this begins none."""
        change = changes.get(key)
        if change is None:
            live = self._live.get(key)
            if live is None:
                if not starts or self._log.head(stream_of(self.name, key)):
                    return None
                live = Live(None)
            await live.lock.acquire()
            change = changes[key] = Change(live)
        return change if starts or change.after is not None else None

    # -- recording -------------------------------------------------------------------------------------------

    async def _append(self, changes: dict[str, Change], state: State) -> None:
        """Append what became of instances, then let them do what they have to do. Their locks are held."""
        writes: list[Write] = []
        changed = {key: change for key, change in changes.items() if change.records}
        for key, change in changed.items():
            assert change.after is not None
            before = change.live.instance
            version = 0 if before is None else before.version
            writes.append(write_of(self.name, key, version, change.records, change.after.correlation))
            state = [*state, image_of(change.after)]
        await self._submit(Append(writes, state=state))
        for key, change in changed.items():
            change.live.instance = change.after
            if change.after is not None and change.after.ended:
                change.live.rest()
                self._live.pop(key, None)
                continue
            self._live[key] = change.live
            if self._steps is not None and self._group is not None:
                self._steps.wake(change.live)

    async def _record(self, live: Live, records: Sequence[Record], state: State | None = None) -> None:
        """Append records of one instance, whose lock is held."""
        change = Change(live)
        for record in records:
            change.after = evolve(change.after, record)
            change.records.append((record, None))
        assert change.after is not None
        await self._append({change.after.key: change}, state or [])

    async def _submit(self, append: Append) -> None:
        """Append; when this is cancelled, `_end` waits for it: what is begun anew reads what is on disk."""
        future = self._log.submit(append)
        self._appending.add(future)
        future.add_done_callback(self._appended)
        await asyncio.shield(future)

    def _appended(self, future: asyncio.Future[Appended]) -> None:
        self._appending.discard(future)
        if not future.cancelled():
            future.exception()  # whoever waits was told, unless it was cancelled

    def _checkpoint(self, position: int) -> tuple[bytes, bytes]:
        return self._key(CHECKPOINT), b"%d" % position

    async def _save(self) -> None:
        """Save how far the log was read, unless an append that says more is under way."""
        if not self._following:
            position = self._reached
            await self._submit(Append(state=[self._checkpoint(position)]))
            self._saved = max(self._saved, position)

    # -- what is asked for -----------------------------------------------------------------------------------

    def _obey(self, asked: dict[str, bytes]) -> None:
        if self._group is None:
            return
        if self._reached != self._saved:
            self._group.create_task(self._save())
        for id, what in asked.items():
            if id not in self._busy:
                self._busy.add(id)
                self._group.create_task(self._carry_out(id, what))

    async def _carry_out(self, id: str, what: bytes) -> None:
        done: State = [(self._key(b"asked/" + id.encode()), None)]
        if id.startswith(INSTANCE):
            await self._unstick(id.removeprefix(INSTANCE), what, done)
        else:
            await self._look_at(int(id), what, done)
        self._busy.discard(id)

    async def _unstick(self, key: str, what: bytes, done: State) -> None:
        live = self._live.get(key)
        if live is None:
            await self._submit(Append(state=done))
            return
        async with live.lock:
            if live.instance is None or live.instance.status != "stuck":
                await self._submit(Append(state=done))
                return
            record = CompensationResumed() if what == b"retry" else ProcessEnded("abandoned")
            await self._record(live, [record], done)

    async def _look_at(self, position: int, what: bytes, done: State) -> None:
        """Drop a dead letter, or let instances react to its event now."""
        letter = read_letter(self._log, self.name, position)
        drop = (letter_key(self.name, position), None)
        if letter is None or what == b"drop":
            await self._submit(Append(state=[drop, *done]))
            return
        changes: dict[str, Change] = {}
        try:
            found = self._log.store.read(position, 1)
            error: Exception | None = LookupError("the event was dropped with its segment of the log")
            if found and found[0].position == position:
                error = await self._try(found[0], changes)
            change = drop if error is None else put(letter.failed(told(error), self._clock.now_ns()))
            await self._append(changes, [change, *done])
        finally:
            for held in changes.values():
                held.live.lock.release()
