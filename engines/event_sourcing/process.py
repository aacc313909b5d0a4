"""What a process manager is: steps over several streams, undone in reverse order if one cannot be done.

    transfers = Process(
        name="transfer",
        starts_with=("TransferAsked",),
        key=lambda event: event.data["transfer"],
        react=lambda instance, event: [
            Step("withdraw", Withdraw(...), undo=Deposit(...)),
            Step("deposit", Deposit(...)),
            Complete(),
        ],
    )

The rule it guards: `react` is pure. It sends nothing, it says what is to be done; a ProcessRunner writes that
down, does it in order, one step after the other, and writes down what came of it. A step is a command with an
id of its own, so it is done once however often it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from core.event_log.filter import Filter
from engines.event_sourcing.event import Event
from engines.event_sourcing.projection import check_name
from engines.event_sourcing.retry import ORDINARY, Retry

if TYPE_CHECKING:
    from engines.event_sourcing.process_instance import Instance


class Step(msgspec.Struct, frozen=True, tag=True):
    """Send a command; go on when it was done. If it is refused, or keeps failing, undo what was done before.

    command: the domain's struct or plain data; the process gives it its id
    undo:    the command that takes it back; None: there is nothing to take back
    domain:  of both; empty: the engine's only one
    """

    name: str
    command: Any
    undo: Any = None
    domain: str = ""


class Complete(msgspec.Struct, frozen=True, tag=True):
    """End well. Without it the process waits for further events."""


class Fail(msgspec.Struct, frozen=True, tag=True):
    """Give up: undo the steps that were done."""

    reason: str


class Remember(msgspec.Struct, frozen=True, tag=True):
    """Keep plain data, not None, for later reactions, in the place of what was kept."""

    data: Any


class Deadline(msgspec.Struct, frozen=True, tag=True):
    """Give up so many seconds after the event's time, unless it has ended by then; a later one counts."""

    seconds: float
    reason: str = "the deadline has passed"


Action = Step | Complete | Fail | Remember | Deadline


@dataclass(frozen=True, kw_only=True)
class Process:
    """Define a process. Raises ValueError for a name or a number that cannot be.

    name:        its instances are kept under it
    starts_with: types of events, as they are stored, that begin an instance. A key begins one once: when that
                 has ended, further ones of its events change nothing
    listens_to:  types of other events that an instance under way reacts to
    key:         returns which instance an event belongs to; None: to none
    react:       returns what an event leads to, from the instance before it. `Remember` and `Deadline` hold
                 at once; `Step`, `Complete` and `Fail` are done in order, after what is still to be done.
                 Raises any exception if it cannot take the event: then the instance is undone; if there is
                 none yet, the event goes on the dead-letter list
    streams:     prefixes that narrow the events; empty: all
    retry:       for a command that fails otherwise than by a refusal
    at_once:     commands that are under way at the same time, of all instances
    begins:      where a new process begins: at the log's `first` event, or with what comes after the start
    """

    name: str
    starts_with: tuple[str, ...]
    key: Callable[[Event], str | None]
    react: Callable[[Instance, Event], Iterable[Action]]
    listens_to: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    retry: Retry = ORDINARY
    at_once: int = 64
    begins: Literal["first", "now"] = "first"

    def __post_init__(self) -> None:
        check_name("process", self.name)
        if ":" in self.name:
            raise ValueError(f"a process's name has no ':', not {self.name!r}")
        if not self.starts_with or self.at_once < 1:
            raise ValueError(f"process {self.name!r} starts with some type, and at_once is more than nothing")

    @property
    def where(self) -> Filter:
        """Return the filter of its events; some that it lets through have types with a longer name."""
        return Filter(types=self.starts_with + self.listens_to, streams=self.streams)
