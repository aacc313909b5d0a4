"""What handlers and processes have in common: run in the process that holds the lock, pause, go on, obey.

Rules: the work runs in one process of all that have the log open, the one that holds the RunnerLock. What an
operator asks for (pause, resume, a replay) is written to the log's state by whichever process is asked, and
carried out by the one that runs, within half a second: so nothing but that process ever writes what the work
keeps. Work that breaks (the log cannot be read) is begun again, ever less often.

State keys: KIND/NAME/paused; KIND/NAME/asked/ID, with what is asked as the value.
HandlerRunner and ProcessRunner are its subclasses.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from random import Random
from typing import Literal

from core.event_log.errors import LogClosed
from core.event_log.log import EventLog
from engines.event_sourcing.clock import SECOND, Clock, SystemClock
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.retry import Retry, told
from engines.event_sourcing.runner_lock import RunnerLock

LOOK_SECONDS = 0.5  # between two looks for what another process was asked
ASKED_AT_ONCE = 100
BEGIN_AGAIN = Retry(first=1.0, most=60.0)

RunState = Literal["stopped", "elsewhere", "catching up", "live", "paused", "failed"]
State = list[tuple[bytes, bytes | None]]

logger = logging.getLogger("agora.event_sourcing")


class Runner(ABC):
    """Follow the log in one process.

    kind:   of state keys; lock: the right to run
    random: draws the waits between attempts
    """

    def __init__(
        self,
        kind: str,
        name: str,
        log: EventLog,
        lock: RunnerLock,
        *,
        clock: Clock | None = None,
        reader: EventReader | None = None,
        random: Random | None = None,
    ) -> None:
        self.name = name
        self._kind = kind
        self._log = log
        self._lock = lock
        self._clock = clock or SystemClock()
        self._reader = reader or EventReader()
        self._random = random or Random()  # noqa: S311 - no secret
        self._state: RunState = "stopped"
        self._now = 0  # the log's last position at the start: where one begins that begins with what comes
        self._error = ""
        self._failed = 0  # times in a row that the work broke
        self._again_ns = 0  # when it is begun again, on the monotonic clock
        self._looking = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None

    # -- for whoever runs it ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Run as soon as this process holds the lock."""
        if self._task is None:
            self._state = "elsewhere"
            self._now = self._log.last_position()
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the attempts under way, save, and stop; more often is harmless."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._state = "stopped"

    async def pause(self) -> None:
        """Let nothing begin any more, in whichever process it runs, also after a restart."""
        await self._ask(b"paused", b"")

    async def resume(self) -> None:
        """Go on from where it was paused, or try again at once what failed."""
        self._again_ns = 0
        await self._ask(b"paused", None)

    @property
    def paused(self) -> bool:
        """Tell whether it is paused, here or elsewhere."""
        return self._log.get_state(self._key(b"paused")) is not None

    async def ask(self, what: bytes, ids: list[str]) -> None:
        """Ask the process that runs for something to be done with each of some things."""
        await self._log.append_all(state=[(self._key(b"asked/" + id.encode()), what) for id in ids])
        self._looking.set()

    def asked(self, limit: int = ASKED_AT_ONCE, after: str = "") -> dict[str, bytes]:
        """Return what is asked for and not yet done, by the id of what it is to be done with."""
        prefix = self._key(b"asked/")
        found = self._log.scan_state(prefix, prefix + after.encode() if after else b"", limit)
        return {key[len(prefix) :].decode(): what for key, what in found}

    def asked_of(self, id: str) -> bytes | None:
        """Return what is asked for of one thing and not yet done."""
        return self._log.get_state(self._key(b"asked/" + id.encode()))

    async def _ask(self, name: bytes, value: bytes | None) -> None:
        await self._log.append_all(state=[(self._key(name), value)])
        self._looking.set()

    def _key(self, name: bytes) -> bytes:
        return b"%s/%s/%s" % (self._kind.encode(), self.name.encode(), name)

    # -- for subclasses --------------------------------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> None:
        """Read where the work stands."""

    @abstractmethod
    async def _work(self) -> None:
        """Follow the log for ever."""

    @abstractmethod
    async def _end(self) -> None:
        """End what is under way, and save; raises nothing."""

    @abstractmethod
    def _obey(self, asked: dict[str, bytes]) -> None:
        """Begin what is asked for, unless it is under way; forget the request with what comes of it."""

    @abstractmethod
    def _position(self) -> int:
        """Return the position up to which all is done, in whichever process."""

    def _lag(self) -> tuple[int, int, float]:
        """Return the position, the events of the log that are beyond, and the first one's age in seconds."""
        position, last = self._position(), self._log.last_position()
        behind = self._log.store.read(position + 1, 1) if last > position else []
        age = (self._clock.now_ns() - behind[0].time_ns) / SECOND if behind else 0.0
        return position, max(last - position, 0), max(age, 0.0)

    def _arrive(self) -> None:
        """Note that the work gets on, and whether there is something left to do."""
        self._failed, self._error = 0, ""
        if self._state in ("catching up", "live"):
            self._state = "live" if self._position() >= self._log.last_position() else "catching up"

    # -- running ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._lock.wait()
        try:
            while True:
                self._looking.clear()
                try:
                    await self._look()
                except LogClosed:
                    raise
                except Exception as error:  # what is asked for cannot be read: look again later
                    logger.exception("%s %s cannot look", self._kind, self.name)
                    self._state, self._error = "failed", told(error)
                timer = self._clock.call_later(LOOK_SECONDS, self._looking.set)
                try:
                    await self._looking.wait()
                finally:
                    timer.cancel()
        except LogClosed:
            self._state = "stopped"
        finally:
            await self._end_work()

    async def _look(self) -> None:
        """See to it that the work runs, or rests, as it should; begin what was asked for."""
        if self._working is not None and self._working.done():
            await self._note_end(self._working)
        if self.paused:
            await self._end_work()
            self._state = "paused"
            return
        if self._working is None and self._clock.monotonic_ns() >= self._again_ns:
            self._begin()
            self._state = "catching up"
            self._working = asyncio.create_task(self._work())
            self._working.add_done_callback(lambda _: self._looking.set())
        if self._working is not None:
            self._obey(self.asked())

    async def _note_end(self, work: asyncio.Task[None]) -> None:
        await self._end()
        self._working = None
        error = None if work.cancelled() else work.exception()
        if error is None or isinstance(error, LogClosed):
            return
        self._failed += 1
        wait = BEGIN_AGAIN.delay(self._failed, self._random)
        self._again_ns = self._clock.monotonic_ns() + round(wait * SECOND)
        self._state, self._error = "failed", told(error)
        logger.error("%s %s stops for %.1f s: %s", self._kind, self.name, wait, error, exc_info=error)

    async def _end_work(self) -> None:
        work = self._working
        if work is None:
            return
        work.cancel()
        await asyncio.wait([work])
        await self._end()
        self._working = None
        error = None if work.cancelled() else work.exception()
        if error is not None and not isinstance(error, LogClosed):
            logger.error("%s %s ended with an error: %s", self._kind, self.name, error)
