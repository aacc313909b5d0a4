"""Take commands, decide them, append what they write, answer.

Rules: a command is done once under its id, by whichever process; it is answered when its events are on disk;
a refused one leaves nothing. While an append is under way the commands that come wait together; then they are
decided one after the other and appended as one. So a decision never stands on events that may yet be refused,
and a busy stream costs one commit for many commands. If another process has changed a stream meanwhile, all
of them are decided anew, and for a while this bus decides alone (engines/event_sourcing/turns).

NOTE: decisions on top of appends under way would save the wait, but versions alone cannot tell whether a
foreign event took the place of the one that was decided on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from core.errors import AgoraError
from core.event_log.errors import VersionConflict
from core.event_log.log import EventLog
from engines.event_sourcing.aggregates import KEPT, Aggregates
from engines.event_sourcing.batch import Batch, DecisionBroken
from engines.event_sourcing.domain import Domain
from engines.event_sourcing.errors import CommandContended, EngineStopped
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.request import CommandResult, Request
from engines.event_sourcing.snapshots import EVERY
from engines.event_sourcing.turns import Turns

AT_ONCE = 256  # commands decided without giving the loop a turn
TRIES = 20
ALONE = 16  # batches that a bus decides alone after it was overtaken

logger = logging.getLogger("agora.event_sourcing")


class CommandBus:
    """Execute the commands of one domain on one log.

    clock:  ns since the epoch; what a decision takes for now
    kept:   states held in memory
    every:  events after which a snapshot is made of a small state; 0: never
    verify: hold every snapshot that is used to a replay
    """

    def __init__(
        self,
        log: EventLog,
        domain: Domain,
        *,
        clock: Callable[[], int] = time.time_ns,
        kept: int = KEPT,
        every: int = EVERY,
        reader: EventReader | None = None,
        verify: bool = False,
    ) -> None:
        self.domain = domain
        self.done = self.repeated = self.refused = self.overtaken = 0  # commands; overtaken: batches
        self._reader = reader or EventReader()
        self.aggregates = Aggregates(log, domain, kept, every=every, reader=self._reader, verify=verify)
        self._log = log
        self._turns = Turns(log.path, domain.name)
        self._alone = 0  # batches that are still to be decided alone
        self._seen = 0  # the position up to which it is known whose the events are
        self._clock = clock
        self._waiting: deque[Request] = deque()
        self._running: asyncio.Task[None] | None = None
        self._taken = 0
        self._closed = False

    async def execute(
        self, command: Any, *, actor: str = "", correlation_id: UUID | None = None
    ) -> CommandResult:
        """Do a command, once; return its answer when it is on disk.

        Raises the domain's refusals, CommandReused, CommandContended, EngineStopped and EventLogErrors.
        Cancelling it does not take it back.
        """
        if self._closed:
            raise EngineStopped("the engine takes no more commands")
        streams = self.domain.streams_of(command)
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(Request(command, streams, actor, correlation_id, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    @property
    def waiting(self) -> int:
        """Return how many commands are not answered yet."""
        return len(self._waiting) + self._taken

    async def close(self) -> None:
        """Answer what waits, and take no more; more often is harmless."""
        self._closed = True
        if self._running is not None:
            await self._running
        self._turns.close()

    async def _run(self) -> None:
        await asyncio.sleep(0)  # what comes in this turn of the loop belongs to the first batch
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                self._taken = len(taken)
                try:
                    await self._commit(taken)
                except Exception as error:
                    fail(taken, error)
        finally:
            self._running, self._taken = None, 0

    async def _commit(self, requests: list[Request]) -> None:
        """Decide requests and append; again as long as others change what was read."""
        for _ in range(TRIES):
            for request in requests:
                await self.aggregates.prepare(request.streams)
            await self._turns.take(alone=self._alone > 0)
            try:
                if await self._try(requests):
                    self._alone = max(self._alone - 1, 0)
                    return
            finally:
                self._turns.give_back()
            self.overtaken += 1
            self._alone = ALONE
        raise CommandContended(f"others changed the same streams {TRIES} times in a row: try again later")

    async def _try(self, requests: list[Request]) -> bool:
        """Decide requests, append, answer; tell whether nobody came between."""
        self._look_for_others(self._log.last_position())
        batch = self._decided(requests)
        append = batch.append()
        if append is None:
            self._count(batch.answer(None))
            return True
        try:
            appended = await self._log.submit(append)
        except VersionConflict:
            batch.discard()
            return False
        except BaseException:
            batch.discard()
            raise
        if appended.first_position == self._seen + 1:
            self._seen = appended.last_position
        self._look_for_others(appended.last_position)
        self._count(batch.answer(appended))
        return True

    def _count(self, answered: tuple[int, int, int]) -> None:
        done, repeated, refused = answered
        self.done += done
        self.repeated += repeated
        self.refused += refused

    def _look_for_others(self, last: int) -> None:
        """Let kept states be brought up to date before they are used, if there are events of others."""
        if last != self._seen:
            self._seen = self.aggregates.foreign = last

    def _decided(self, requests: list[Request]) -> Batch:
        """Return a batch of all requests but those that a defect forbids; those are answered at once."""
        while True:
            batch = Batch(self._log, self.domain, self.aggregates, self._reader, self._clock())
            for request in requests:
                try:
                    batch.decide(request)
                except Exception as error:
                    logger.exception("command %s failed", request.command.id)
                    batch.discard()
                    requests.remove(request)
                    fail([request], error)
                    break
            else:
                return batch


def fail(requests: list[Request], error: Exception) -> None:
    """Answer requests with an error."""
    known = error.__cause__ if isinstance(error, DecisionBroken) and error.__cause__ else error
    for request in requests:
        if not request.future.done():
            request.future.set_exception(known if isinstance(known, AgoraError) else error)
