"""The dead-letter list as an operator uses it: look, replay, drop, in whichever process.

The rule it guards: what is asked for is written down, and done by the process that runs the handler; so two
operators never have an event handled twice at once, and a replay outlives a crash. A letter that is to be
dropped is not shown any more. The engine's face calls it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from core.event_log.log import EventLog
from engines.event_sourcing.dead_letter import (
    DeadLetter,
    letter_key,
    parted_id,
    place_of,
    read_letter,
    read_letters,
)
from engines.event_sourcing.errors import DeadLetterUnknown, NameUnknown
from engines.event_sourcing.runner import Runner

AT_ONCE = 1_000  # letters that are asked for in one append


class DeadLetterDesk:
    """Take what is asked of dead letters.

    runners: of handlers and processes, by name
    """

    def __init__(self, log: EventLog, runners: Mapping[str, Runner]) -> None:
        self._log = log
        self._runners = runners

    def letters(self, handler: str = "", after: str | bytes = "", limit: int = 100) -> list[DeadLetter]:
        """Return letters by handler and position, from the one after the id `after` on."""
        if isinstance(after, bytes):
            after = after.decode(errors="replace")
        found: list[DeadLetter] = []
        while len(found) < limit:
            page = read_letters(self._log, handler, after, limit - len(found))
            if not page:
                break
            found += filter(None, map(self._shown, page))
            after = page[-1].id
        return found

    async def replay(self, id: str) -> DeadLetter:
        """Have one replayed; raise DeadLetterUnknown, and NameUnknown if its handler is not registered."""
        letter = self._letter(id)
        await self._runner(letter.handler).ask(b"replay", [place_of(letter.position)])
        return msgspec.structs.replace(letter, asked="replay")

    async def replay_all(self, handler: str) -> int:
        """Have all of a handler replayed; return how many."""
        runner, after, count = self._runner(handler), "", 0
        while letters := self.letters(handler, after, AT_ONCE):
            await runner.ask(b"replay", [place_of(letter.position) for letter in letters])
            after, count = letters[-1].id, count + len(letters)
        return count

    async def drop(self, id: str) -> None:
        """Drop one for good; raise DeadLetterUnknown."""
        letter = self._letter(id)
        runner = self._runners.get(letter.handler)
        if runner is not None:
            await runner.ask(b"drop", [place_of(letter.position)])
        else:  # nobody runs it, so nobody else writes it
            await self._log.append_all(state=[(letter_key(letter.handler, letter.position), None)])

    def _letter(self, id: str) -> DeadLetter:
        letter = read_letter(self._log, *parted_id(id))
        shown = None if letter is None else self._shown(letter)
        if shown is None:
            raise DeadLetterUnknown(f"there is no dead letter {id!r}")
        return shown

    def _shown(self, letter: DeadLetter) -> DeadLetter | None:
        runner = self._runners.get(letter.handler)
        asked = None if runner is None else runner.asked_of(place_of(letter.position))
        if asked == b"drop":
            return None
        return msgspec.structs.replace(letter, asked=asked.decode()) if asked else letter

    def _runner(self, handler: str) -> Runner:
        try:
            return self._runners[handler]
        except KeyError:
            names = ", ".join(sorted(self._runners)) or "none"
            raise NameUnknown(f"there is no handler {handler!r}; registered: {names}") from None
