"""The engine's face: commands in, events on disk, tables and aggregates out.

    engine = EventSourcingEngine()
    engine.register(bank)
    engine.register_projection(balances)
    engine.register_handler(mails)
    engine.register_process(transfers)
    await engine.start_event_sourcing_engine("var/events")
    answer = await engine.execute({"type": "Deposit", "id": "d1", "account": "ann", "cents": 5})
    table = await engine.table("balances", at_least=answer.position)

The rule it guards: everything is registered before it is used, nothing is opened before the start, and what
was started is stopped in reverse order: processes and handlers, then commands, then tables. Joined with the
market, with HTTP and with the site in gateway/.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from core._fast.event_append import ANY
from core.event_log.filter import EVERYTHING, Filter
from core.event_log.log import EventLog
from core.event_log.subjects import Subjects
from core.event_log.upcasting import Step, Upcaster
from engines.event_sourcing.aggregate import Aggregate, AggregateHead, AggregateReader
from engines.event_sourcing.aggregates import KEPT, Aggregates
from engines.event_sourcing.clock import Clock, SystemClock
from engines.event_sourcing.command_bus import CommandBus
from engines.event_sourcing.command_record import PREFIX, decode_record
from engines.event_sourcing.dead_letter import DeadLetter
from engines.event_sourcing.dead_letter_desk import DeadLetterDesk
from engines.event_sourcing.domain import Domain
from engines.event_sourcing.errors import (
    CommandInvalid,
    EngineStopped,
    EventForeign,
    EventUnknown,
    NameUnknown,
)
from engines.event_sourcing.event import Event, EventReader, new_event
from engines.event_sourcing.handler import Handler
from engines.event_sourcing.handler_runner import HandlerRunner
from engines.event_sourcing.process import Process
from engines.event_sourcing.process_instance import STREAMS
from engines.event_sourcing.process_runner import ProcessRunner
from engines.event_sourcing.projection import AnyProjection
from engines.event_sourcing.projection_runner import ProjectionRunner
from engines.event_sourcing.request import CommandResult
from engines.event_sourcing.runner import Runner
from engines.event_sourcing.runner_lock import RunnerLock
from engines.event_sourcing.snapshots import EVERY
from engines.event_sourcing.status import Dashboard, EngineStatus, domain_status

Value = TypeVar("Value")
SYSTEM = "$"  # how the names of streams begin that the gateway keeps for itself
WAIT_SECONDS = 5.0  # for a projection, unless told otherwise
AT_ONCE = 1_000  # records of commands that are forgotten in one append


class EventPage(msgspec.Struct, frozen=True):
    """Be some events in order; for more of them ask after `reached`. last: the log's last position."""

    events: list[Event]
    reached: int
    last: int


class EventSourcingEngine:
    """Turn commands into events and events into tables, on one event log."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._domains: dict[str, Domain] = {}
        self._projections: dict[str, AnyProjection] = {}
        self._handlers: dict[str, Handler] = {}
        self._processes: dict[str, Process] = {}
        self._buses: dict[str, CommandBus] = {}
        self._runners: dict[str, ProjectionRunner[Any]] = {}
        self._handling: dict[str, HandlerRunner] = {}
        self._processing: dict[str, ProcessRunner] = {}
        self._log: EventLog | None = None
        self._lock: RunnerLock | None = None
        self._closing = contextlib.AsyncExitStack()
        self._stopping: asyncio.Task[None] | None = None
        self._reader = EventReader()

    # -- before the start ------------------------------------------------------------------------------------

    def register(self, domain: Domain) -> None:
        """Take a domain, or a Decider, whose commands are executed from the start on.

        Raises ValueError if its name or the names of its streams are taken.
        """
        self._forbid_running()
        if any(one.startswith(STREAMS) or STREAMS.startswith(one) for one in domain.prefixes):
            raise ValueError(f"streams {STREAMS}* belong to processes")
        if domain.name in self._domains:
            raise ValueError(f"there is a domain {domain.name!r} already")
        for other in self._domains.values():
            for one in domain.prefixes:
                if any(one.startswith(taken) or taken.startswith(one) for taken in other.prefixes):
                    raise ValueError(f"streams {one}* of domain {domain.name!r} belong to {other.name!r}")
        self._domains[domain.name] = domain

    def register_projection(self, projection: AnyProjection) -> None:
        """Take a projection, whose table is kept up to date from the start on. Raises ValueError."""
        self._forbid_running()
        if projection.name in self._projections:
            raise ValueError(f"there is a projection {projection.name!r} already")
        self._projections[projection.name] = projection

    def register_handler(self, handler: Handler) -> None:
        """Take a handler, which is given events from the start on. Raises ValueError."""
        self._forbid_taken(handler.name)
        self._handlers[handler.name] = handler

    def register_process(self, process: Process) -> None:
        """Take a process, whose instances react to events from the start on. Raises ValueError."""
        self._forbid_taken(process.name)
        self._processes[process.name] = process

    def unregister_all(self) -> None:
        """Forget what was registered, to be started with something else; raise ValueError while it runs."""
        self._forbid_running()
        for registered in (self._domains, self._projections, self._handlers, self._processes):
            registered.clear()

    def _forbid_taken(self, name: str) -> None:
        self._forbid_running()
        if name in self._handlers or name in self._processes:
            raise ValueError(f"there is a handler or a process {name!r} already")

    def _forbid_running(self) -> None:
        if self._log is not None:
            raise ValueError("the engine is running: register before it is started")

    # -- lifecycle -------------------------------------------------------------------------------------------

    async def start_event_sourcing_engine(
        self,
        log: EventLog | str | Path,
        *,
        upcasting: Iterable[Step] = (),
        subjects: Subjects | None = None,
        snapshot_every: int = EVERY,
        verify_snapshots: bool = False,
        kept: int = KEPT,
    ) -> None:
        """Open the log, unless it is given open, and take commands; harmless if it is running.

        upcasting:        leads old events to today's schema
        subjects:         opens sealed events; by default with the log's own keys
        snapshot_every:   events, see engines/event_sourcing/snapshots; 0: none
        verify_snapshots: hold every snapshot that is used to a replay (slow)
        kept:             states in memory, for each domain
        Raises what opening a log raises, and OSError.
        """
        if self._stopping is not None:
            await asyncio.wait([self._stopping])
        if self._log is not None:
            return
        closing = contextlib.AsyncExitStack()
        try:
            if not isinstance(log, EventLog):
                log = await closing.enter_async_context(EventLog(log))
            reader = EventReader(Upcaster(upcasting), subjects or Subjects(log.store))
            lock = RunnerLock(log.path / "runners.lock", self._clock)
            closing.callback(lock.stop)
            lock.start()
            for name, projection in self._projections.items():
                runner = ProjectionRunner(log, projection, clock=self._clock, saves=lambda: lock.held)
                closing.push_async_callback(runner.stop)
                runner.start()
                self._runners[name] = runner
            for name, domain in self._domains.items():
                bus = CommandBus(
                    log,
                    domain,
                    clock=self._clock.now_ns,
                    kept=kept,
                    every=snapshot_every,
                    reader=reader,
                    verify=verify_snapshots,
                )
                closing.push_async_callback(bus.close)
                self._buses[name] = bus
            self._log, self._lock, self._reader, self._closing = log, lock, reader, closing
            for name, handler in self._handlers.items():
                self._handling[name] = HandlerRunner(log, handler, lock, clock=self._clock, reader=reader)
            for name, process in self._processes.items():
                self._processing[name] = ProcessRunner(
                    log, process, lock, self.execute, clock=self._clock, reader=reader
                )
            followers = list(self._followers().values())
            closing.push_async_callback(stop_all, followers)
            for follower in followers:
                follower.start()
        except BaseException:
            await closing.aclose()
            self._forget()
            raise

    async def stop_event_sourcing_engine(self) -> None:
        """Answer what waits, save tables, close what was opened; harmless if it is not running.

        Cancelling it does not leave anything open.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            await self._closing.aclose()
        finally:
            self._forget()

    def _forget(self) -> None:
        self._log = self._lock = self._stopping = None
        self._closing = contextlib.AsyncExitStack()
        self._buses.clear()
        self._runners.clear()
        self._handling.clear()
        self._processing.clear()

    @property
    def log(self) -> EventLog:
        """Return the open log; raise EngineStopped."""
        if self._log is None:
            raise EngineStopped("the event sourcing engine is not running")
        return self._log

    # -- commands --------------------------------------------------------------------------------------------

    def bus(self, domain: str = "") -> CommandBus:
        """Return the bus of a domain, by default of the only one; raise NameUnknown and EngineStopped.

        PERF: who has a validated command at hand calls the bus's `execute` itself.
        """
        self.log  # noqa: B018 - raises EngineStopped
        if not domain and len(self._buses) == 1:
            return next(iter(self._buses.values()))
        return named(self._buses, domain, "domain")

    async def execute(
        self,
        command: bytes | Mapping[str, Any] | Any,
        *,
        domain: str = "",
        actor: str = "",
        correlation_id: UUID | None = None,
        wait_for: Iterable[str] = (),
        seconds: float = WAIT_SECONDS,
    ) -> CommandResult:
        """Do a command, once; return its answer when it is on disk.

        command:  JSON bytes, or plain data with `type` and `id`, or the domain's struct; all are validated
        wait_for: projections that must know it before it is answered
        seconds:  for that
        Raises the domain's refusals, CommandReused, CommandContended, EngineStopped, EventLogErrors, and
        ProjectionBehind: then the command was done all the same, and repeating it is harmless.
        """
        bus = self.bus(domain)
        runners = [named(self._runners, name, "projection") for name in wait_for]
        read = bus.domain.read_command(command if isinstance(command, bytes) else json_of(command))
        result = await bus.execute(read, actor=actor, correlation_id=correlation_id)
        if runners:
            await asyncio.gather(*[runner.wait_for(result.position, seconds) for runner in runners])
        return result

    async def forget_commands(self, before_ns: int) -> int:
        """Forget the answers to commands that were done before a time; return how many.

        Such a command would be done again if it were repeated. To be called with the log's retention.
        """
        log, after, forgotten = self.log, b"", 0
        while records := log.scan_state(PREFIX, after, AT_ONCE):
            after = records[-1][0]
            old = [(key, None) for key, value in records if decode_record(value).time_ns < before_ns]
            if old:
                await log.append_all(state=old)
            forgotten += len(old)
            await asyncio.sleep(0)
        return forgotten

    # -- events ----------------------------------------------------------------------------------------------

    async def create_event(self, event_data: Mapping[str, Any]) -> Event:
        """Append an event that no command made: {aggregate_id, type or event_type, data, ...}, see NewEvent.

        Returns it when it is on disk. Raises EventInvalid, EventForeign, VersionConflict, EventIdConflict,
        and what else an append raises.
        """
        given = new_event(event_data)
        if given.aggregate_id.startswith(STREAMS):
            raise EventForeign(f"the events of {given.aggregate_id} come from a process alone")
        if given.aggregate_id.startswith(SYSTEM):
            raise EventForeign(f"streams {SYSTEM}* belong to the gateway itself")
        owner = self._owner(given.aggregate_id)
        if owner is not None:
            raise EventForeign(
                f"the events of {given.aggregate_id} come from commands of {owner[0]}: send one of those"
            )
        expected = ANY if given.expected_version is None else given.expected_version
        appended = await self.log.append(given.aggregate_id, [given.draft(self._reader)], expected)
        return self.event(appended.first_position)

    def event(self, position: int) -> Event:
        """Return the event at a position; raise EventUnknown."""
        found = self.log.store.read(position, 1) if position > 0 else []
        if not found or found[0].position != position:
            last = self.log.last_position()
            raise EventUnknown(f"there is no event at position {position}: the last one is at {last}")
        return self._reader.event(found[0])

    def events(self, after: int = 0, where: Filter = EVERYTHING, limit: int = 100) -> EventPage:
        """Return events after a position, in order; fewer than `limit` may be there, see EventPage."""
        page = self.log.read_all(after, where, limit)
        return self._page([self._reader.event(event) for event in page.events], page.reached)

    def events_of(
        self, aggregate_id: str, first: int | None = None, limit: int = 100, *, backwards: bool = False
    ) -> list[Event]:
        """Return the events of one aggregate from a version on, or from it down."""
        found = self.log.read(aggregate_id, first, limit, backwards=backwards)
        return [self._reader.event(event) for event in found]

    async def follow(
        self, after: int = 0, where: Filter = EVERYTHING, limit: int = 100
    ) -> AsyncIterator[EventPage]:
        """Yield events from a position on, for ever, from any process; an empty page only moves `reached`."""
        async for page in self.log.follow(after, where, limit):
            yield self._page([self._reader.event(event) for event in page.events], page.reached)

    def _page(self, events: list[Event], reached: int) -> EventPage:
        return EventPage(events, reached, self.log.last_position())

    # -- aggregates and tables -------------------------------------------------------------------------------

    async def aggregate(
        self, aggregate_id: str, *, version: int | None = None, at_ns: int | None = None
    ) -> Aggregate:
        """Return an aggregate now, after a version, or at a time (ns since 1970); raise AggregateUnknown."""
        return await AggregateReader(self.log, self._owner).read(aggregate_id, version=version, at_ns=at_ns)

    def aggregates(self, prefix: str = "", after: str = "", limit: int = 100) -> list[AggregateHead]:
        """Return the aggregates whose names begin so, by name, from the one after `after` on."""
        return AggregateReader(self.log, self._owner).heads(prefix, after, limit)

    def _owner(self, stream: str) -> tuple[str, Aggregates] | None:
        for name, bus in self._buses.items():
            if stream.startswith(tuple(bus.domain.prefixes)):
                return name, bus.aggregates
        return None

    def projection(self, name: str) -> ProjectionRunner[Any]:
        """Return what runs a projection: status, pause, start, rebuild; raise NameUnknown."""
        self.log  # noqa: B018 - raises EngineStopped
        return named(self._runners, name, "projection")

    async def table(self, name: str, *, at_least: int = 0, seconds: float = WAIT_SECONDS) -> Any:
        """Return a projection's table, once it knows a position.

        seconds: to wait for it
        Raises NameUnknown, ProjectionBehind and ProjectionUnready.
        """
        runner = self.projection(name)
        if at_least > runner.position:
            await runner.wait_for(at_least, seconds)
        return runner.table

    # -- handlers and processes ------------------------------------------------------------------------------

    def handler(self, name: str) -> HandlerRunner:
        """Return what runs a handler: status, pause, resume; raise NameUnknown."""
        self.log  # noqa: B018 - raises EngineStopped
        return named(self._handling, name, "handler")

    def process(self, name: str) -> ProcessRunner:
        """Return what runs a process: status, pause, resume, its instances; raise NameUnknown."""
        self.log  # noqa: B018 - raises EngineStopped
        return named(self._processing, name, "process")

    def dead_letters(self, handler: str = "", after: str | bytes = "", limit: int = 100) -> list[DeadLetter]:
        """Return events that were given up, by handler and position, from the one after the id `after` on.

        handler: or process; empty: of all
        """
        return self._desk().letters(handler, after, limit)

    async def replay_dead_letter(self, id: str) -> DeadLetter:
        """Have an event handled again, once, by the process that runs its handler, also after a crash.

        Returns when that is on disk. Raises DeadLetterUnknown, and NameUnknown if the handler is not
        registered any more.
        """
        return await self._desk().replay(id)

    async def replay_dead_letters(self, handler: str) -> int:
        """Have all dead letters of a handler handled again, in order; return how many."""
        return await self._desk().replay_all(handler)

    async def drop_dead_letter(self, id: str) -> None:
        """Take an event off the dead-letter list for good; raise DeadLetterUnknown."""
        await self._desk().drop(id)

    def _desk(self) -> DeadLetterDesk:
        return DeadLetterDesk(self.log, self._followers())

    def _followers(self) -> dict[str, Runner]:
        return {**self._handling, **self._processing}

    # -- itself ----------------------------------------------------------------------------------------------

    def status(self) -> EngineStatus:
        """Return how the engine is; it may be stopped."""
        if self._log is None:
            return EngineStatus(running=False)
        return EngineStatus(
            running=True,
            position=self._log.last_position(),
            runs=self._lock is not None and self._lock.held,
            domains=[domain_status(bus) for bus in self._buses.values()],
            projections=[runner.status() for runner in self._runners.values()],
            handlers=[runner.status() for runner in self._handling.values()],
            processes=[runner.status() for runner in self._processing.values()],
        )

    def dashboard(self, events: int = 20) -> Dashboard:
        """Return the status and the latest events."""
        last = self.log.last_position()
        found = self.log.store.read(last, events, backwards=True) if last else []
        return Dashboard(self.status(), [self._reader.event(event) for event in found])


async def stop_all(runners: Sequence[Runner]) -> None:
    """Stop what follows the log, all at once: each may wait for what it has under way."""
    await asyncio.gather(*[runner.stop() for runner in runners])


def named(found: Mapping[str, Value], name: str, what: str) -> Value:
    """Return what is registered under a name; raise NameUnknown with the names there are."""
    try:
        return found[name]
    except KeyError:
        names = ", ".join(sorted(found)) or "none"
        raise NameUnknown(f"there is no {what} {name!r}; registered: {names}") from None


def json_of(command: Any) -> bytes:
    """Return a command as JSON; raise CommandInvalid."""
    try:
        return msgspec.json.encode(command)
    except (TypeError, ValueError) as error:
        raise CommandInvalid(f"the command is no plain data: {error}") from None


event_sourcing_engine = EventSourcingEngine()
