"""How far a handler has come, when events are done in any order.

The rule it guards: `position` moves past an event only when that one is done, and all before it. What is done
beyond it is kept by itself, so that after a restart nothing is done again but what was under way. Kept in the
log's state by HandlerRunner.
"""

from __future__ import annotations

import msgspec


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Be what is saved."""

    position: int  # all wanted events up to it are done
    beyond: list[int]  # positions of others that are done
    handled: int = 0  # events, ever
    dead: int = 0  # events that are on the dead-letter list


class Progress:
    """Note what is begun and what is done; events are begun in order."""

    def __init__(self, position: int = 0, beyond: list[int] | None = None) -> None:
        self._begun = position  # nothing that is wanted up to here is left to begin
        self._open: dict[int, None] = {}  # in order
        self._done = set(beyond or ())

    def begin(self, position: int) -> bool:
        """Note that an event is begun; False: it was done before."""
        self._begun = position
        if position in self._done:
            return False
        self._open[position] = None
        return True

    def end(self, position: int) -> None:
        """Note that an event is done."""
        del self._open[position]
        self._done.add(position)

    def reach(self, position: int) -> None:
        """Note that there is nothing wanted up to a position which is not begun."""
        self._begun = position

    @property
    def begun(self) -> int:
        """Return the position after which events are to be begun."""
        return self._begun

    @property
    def under_way(self) -> int:
        """Return how many events are begun and not done."""
        return len(self._open)

    @property
    def position(self) -> int:
        """Return the position up to which all is done."""
        return next(iter(self._open)) - 1 if self._open else self._begun

    @property
    def beyond(self) -> list[int]:
        """Return the positions after that one that are done, in order."""
        position = self.position
        self._done = {done for done in self._done if done > position}
        return sorted(self._done)
