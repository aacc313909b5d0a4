"""Run one handler: hand it the log's events, try again what fails, give up what keeps failing.

Rules: every wanted event is handled at least once; `order` says what it waits for. The checkpoint is saved as
soon as the one before is on disk, so that a crash repeats no more than what was under way. An event that is
given up goes on the dead-letter list in the append that moves the checkpoint past it. A replay is one attempt
among the events that come in: if it fails, the letter stays, with its count raised.

State keys: handler/NAME/checkpoint, and those of engines/event_sourcing/runner and dead_letter. Made by the
engine.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from random import Random
from typing import NamedTuple

import msgspec

from core._fast import envelope
from core._fast.event_append import Append
from core.event_log.errors import LogClosed
from core.event_log.log import EventLog
from engines.event_sourcing.clock import Clock, sleep, within
from engines.event_sourcing.dead_letter import (
    DeadLetter,
    letter_key,
    new_letter,
    place_of,
    put,
    read_letter,
)
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.handler import Handler
from engines.event_sourcing.handler_lanes import Lane, Lanes
from engines.event_sourcing.handler_progress import Checkpoint, Progress
from engines.event_sourcing.retry import Retry, is_refusal, told
from engines.event_sourcing.runner import Runner, RunState, State
from engines.event_sourcing.runner_lock import RunnerLock

PAGE = 100  # events read at once
SAVE_AGAIN = Retry(first=0.5, most=30.0)
CHECKPOINT = b"checkpoint"

logger = logging.getLogger("agora.event_sourcing")


class Retrying(msgspec.Struct, frozen=True):
    """Be an event that failed and is tried again."""

    position: int
    aggregate_id: str
    attempts: int
    error: str


class HandlerStatus(msgspec.Struct, frozen=True):
    """Say where a handler is; what another process runs is told as it was last saved.

    state:    `elsewhere`: another process runs it
    position: all wanted events up to it are done
    lag_events: of the log beyond it; lag_seconds: age of the first of them
    handled:  events, ever; dead: on the dead-letter list; under_way, retrying: in this process
    """

    name: str
    state: RunState
    position: int
    lag_events: int
    lag_seconds: float
    handled: int
    dead: int
    under_way: int = 0
    retrying: list[Retrying] = []
    error: str = ""


class Job(NamedTuple):
    """Be an event that is to be handled, and its letter if this is a replay."""

    event: envelope.Event
    letter: DeadLetter | None = None


class HandlerRunner(Runner):
    """Run a handler on a log, in the process that holds the lock."""

    def __init__(
        self,
        log: EventLog,
        handler: Handler,
        lock: RunnerLock,
        *,
        clock: Clock | None = None,
        reader: EventReader | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__("handler", handler.name, log, lock, clock=clock, reader=reader, random=random)
        self.handler = handler
        self._progress = Progress()
        self._saved = 0  # the position of the checkpoint on disk
        self._unsaved = False
        self._handled = self._dead = 0
        self._lanes = Lanes(self._handle, handler.at_once)
        self._retrying: dict[int, Retrying] = {}
        self._letters: dict[str, State] = {}  # what becomes of letters, to be saved, by place
        self._busy: set[str] = set()  # places of letters that are replayed, or about to be saved
        self._saving: asyncio.Task[None] | None = None
        self._replaying: asyncio.Task[None] | None = None

    def status(self) -> HandlerStatus:
        """Return where the handler is."""
        here = self._working is not None
        saved = Checkpoint(0, [], self._handled, self._dead) if here else self._last_saved()
        return HandlerStatus(
            self.name,
            "paused" if self._state == "elsewhere" and self.paused else self._state,
            *self._lag(),
            saved.handled,
            saved.dead,
            self._progress.under_way if here else 0,
            list(self._retrying.values()) if here else [],
            self._error,
        )

    def _position(self) -> int:
        return self._progress.position if self._working is not None else self._last_saved().position

    def _last_saved(self) -> Checkpoint:
        try:
            return self._read() or Checkpoint(0, [])
        except msgspec.DecodeError:
            return Checkpoint(0, [])

    def _read(self) -> Checkpoint | None:
        data = self._log.get_state(self._key(CHECKPOINT))
        return None if data is None else msgspec.msgpack.decode(data, type=Checkpoint)

    # -- following -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._arrive()
        async for page in self._log.follow(self._progress.begun, self.handler.where, PAGE):
            for event in page.events:
                if self._progress.begin(event.position):
                    await self._lanes.add(self._lane(event), Job(event))
            self._progress.reach(page.reached)
            self._arrive()

    def _begin(self) -> None:
        saved = self._read()
        self._saved = -1 if saved is None else saved.position
        if saved is None:
            saved = Checkpoint(self._now if self.handler.begins == "now" else 0, [])
        self._progress = Progress(saved.position, saved.beyond)
        self._handled, self._dead = saved.handled, saved.dead
        self._lanes = Lanes(self._handle, self.handler.at_once)
        self._retrying, self._letters, self._busy = {}, {}, set()
        self._note_position()

    async def _end(self) -> None:
        await _cancel(self._replaying)
        await self._lanes.close(self._clock)
        await _cancel(self._saving)
        self._replaying = self._saving = None
        if self._unsaved:
            try:
                await self._save()
            except LogClosed:
                pass
            except Exception as error:
                logger.error("handler %s cannot save where it is: %s", self.name, error)

    def _lane(self, event: envelope.Event) -> str | int:
        if self.handler.order == "none":
            return event.position
        return event.stream if self.handler.order == "stream" else ""

    # -- handling --------------------------------------------------------------------------------------------

    async def _handle(self, lane: Lane[Job], job: Job) -> None:
        """Try an event until it is handled or given up, or all is to end."""
        event, retry, failed = job.event, self.handler.retry, 0
        attempts = 1 if job.letter is not None else max(1, retry.attempts >> lane.given_up)
        while True:
            async with self._lanes.attempt():
                error = await self._attempt(event)
            if error is None:
                break
            if self._lanes.closing:
                return
            failed += 1
            if failed >= attempts or is_refusal(error):
                break
            self._retrying[event.position] = Retrying(event.position, event.stream, failed, told(error))
            await sleep(self._clock, retry.delay(failed, self._random))
        self._retrying.pop(event.position, None)
        if job.letter is not None:
            self._settle(job.letter, error)
            return
        lane.given_up = 0 if error is None else lane.given_up + 1
        if error is None:
            self._handled += 1
        else:
            self._give_up(event, failed, error)
        self._progress.end(event.position)
        self._arrive()
        self._note()

    async def _attempt(self, event: envelope.Event) -> BaseException | None:
        """Hand an event over once; return why that failed."""
        try:
            answer = self.handler.handle(self._reader.event(event))
            if inspect.isawaitable(answer):
                await within(self._clock, self.handler.seconds, _result_of(answer))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return error  # the handler cancelled itself
        except Exception as error:
            return error
        return None

    def _give_up(self, event: envelope.Event, attempts: int, error: BaseException) -> None:
        logger.error("handler %s gives up the event at %d: %s", self.name, event.position, told(error))
        self._dead += 1
        letter = new_letter(self.name, event, told(error), attempts, self._clock.now_ns())
        self._letters[place_of(event.position)] = [put(letter)]

    # -- what is asked for -----------------------------------------------------------------------------------

    def _obey(self, asked: dict[str, bytes]) -> None:
        self._note_position()
        replays = []
        for place, what in asked.items():
            if place in self._busy:
                continue
            letter = read_letter(self._log, self.name, int(place))
            self._busy.add(place)
            if letter is None:
                self._forget(place, [])
            elif what == b"drop":
                self._dead -= 1
                self._forget(place, [(letter_key(self.name, letter.position), None)])
            else:
                replays.append(letter)
        if replays:
            self._replaying = asyncio.create_task(self._replay(replays, self._replaying))

    async def _replay(self, letters: list[DeadLetter], before: asyncio.Task[None] | None) -> None:
        """Hand events over again, after the ones that were asked for before."""
        try:
            if before is not None:
                await asyncio.wait([before])
            for letter in letters:
                found = self._log.store.read(letter.position, 1)
                if found and found[0].position == letter.position:
                    await self._lanes.add(self._lane(found[0]), Job(found[0], letter))
                else:
                    self._settle(letter, LookupError("the event was dropped with its segment of the log"))
        except asyncio.CancelledError:
            await _cancel(before)
            raise

    def _settle(self, letter: DeadLetter, error: BaseException | None) -> None:
        """Take a replayed letter off the list, or leave it there with its count raised."""
        if error is None:
            self._dead -= 1
            self._handled += 1
            change: State = [(letter_key(self.name, letter.position), None)]
        else:
            change = [put(letter.failed(told(error), self._clock.now_ns()))]
        self._forget(place_of(letter.position), change)

    def _forget(self, place: str, change: State) -> None:
        self._letters[place] = [*change, (self._key(b"asked/" + place.encode()), None)]
        self._note()

    # -- saving ----------------------------------------------------------------------------------------------

    def _note_position(self) -> None:
        """Save the position if it moved without an event that was handled."""
        if self._progress.position != self._saved:
            self._note()

    def _note(self) -> None:
        """Save what there is, as soon as what was saved before is on disk."""
        self._unsaved = True
        if self._saving is None and not self._lanes.closing:
            self._saving = asyncio.create_task(self._save_all())

    async def _save_all(self) -> None:
        failed = 0
        try:
            while self._unsaved:
                try:
                    await self._save()
                    failed = 0
                except LogClosed:
                    return
                except Exception as error:
                    failed += 1
                    self._error = told(error)
                    logger.error("handler %s cannot save where it is: %s", self.name, error)
                    await sleep(self._clock, SAVE_AGAIN.delay(failed, self._random))
        finally:
            self._saving = None

    async def _save(self) -> None:
        letters, self._letters, self._unsaved = self._letters, {}, False
        checkpoint = Checkpoint(self._progress.position, self._progress.beyond, self._handled, self._dead)
        state: State = [(self._key(CHECKPOINT), msgspec.msgpack.encode(checkpoint))]
        for change in letters.values():
            state += change
        try:
            await self._log.submit(Append(state=state))
        except BaseException:
            self._letters, self._unsaved = letters | self._letters, True
            raise
        self._busy -= letters.keys()
        self._saved = checkpoint.position


async def _result_of(answer: Awaitable[None]) -> None:
    await answer


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
