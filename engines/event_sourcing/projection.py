"""What a projection is: a table that is a pure fold of the log, and how its image is made.

The rule it guards: a table holds nothing but what its events say, so that it may be dropped at any time and
folded anew. Whoever joins engines makes one for each table; a ProjectionRunner keeps it up to date.

    trades = Projection(
        name="trades",
        schema="1",
        make=Trades,
        fold=fold_by_type({kind.__name__: fold for kind, fold in Trades.folds.items()}, decode),
        image=lambda table: [encode(table)],
        restore=lambda pieces: decode_trades(b"".join(pieces)),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from core._fast.envelope import Event
from core.errors import AgoraError
from core.event_log.filter import EVERYTHING, Filter

Table = TypeVar("Table")
Fact = TypeVar("Fact")
NAME_LIMIT = 200  # bytes of UTF-8


@dataclass(frozen=True, kw_only=True)
class Projection(Generic[Table]):
    """Define a table that is folded from the log. Raises ValueError for a name that cannot be.

    name:     what queries call it
    schema:   changes whenever what is kept changes, or how it is folded: images of others are dropped
    make:     returns an empty table
    fold:     takes events into a table, in order; called with a handful or a thousand, all beyond the last
    image:    returns a table as pieces of bytes. One piece is made without a break, so that a large table
              should give many, of about a millisecond's work each
    restore:  returns the table of such pieces; raises any exception if it cannot
    where:    narrows what is read; the fold itself leaves alone what it does not know
    poison:   what happens with an event that the fold raises at: `stop` stops the projection there, visibly,
              `park` notes it, leaves it out, and goes on

    NOTE: the fold works in place, so that one that raises may have done half its work. Its table is then
    thrown away and made again, up to the event before, from the last image; nobody is shown it meanwhile.
    """

    name: str
    schema: str
    make: Callable[[], Table]
    fold: Callable[[Table, Iterable[Event]], None]
    image: Callable[[Table], Iterable[bytes]]
    restore: Callable[[list[bytes]], Table]
    where: Filter = EVERYTHING
    poison: Literal["stop", "park"] = "stop"

    def __post_init__(self) -> None:
        check_name("projection", self.name)


def check_name(what: str, name: str) -> None:
    """Raise ValueError if a projection, handler or process cannot be called so."""
    if not name or "/" in name or not name.isprintable() or len(name.encode()) > NAME_LIMIT:
        raise ValueError(f"a {what}'s name is 1 to {NAME_LIMIT} printable bytes without '/', not {name!r}")


def fold_by_type(
    folds: Mapping[str, Callable[[Table, Fact], None]], decode: Callable[[Event], Fact]
) -> Callable[[Table, Iterable[Event]], None]:
    """Return a fold that takes each type of event by a function of its own.

    folds:  type, as it was stored, -> its fold; other types change nothing and are not decoded
    decode: returns what an event says
    """
    find = folds.get

    def fold(table: Table, events: Iterable[Event]) -> None:
        for event in events:
            take = find(event.type)
            if take is not None:
                take(table, decode(event))

    return fold


class ProjectionBehind(AgoraError):
    """Say that a projection has not come to a position in the time that was given, and where it is."""

    status = 503
    slug = "projection-behind"
    title = "Projection behind"
    retry_safe = True

    def __init__(self, name: str, wanted: int, position: int, state: str) -> None:
        super().__init__(name, wanted, position, state)
        self.name = name
        self.wanted = wanted
        self.position = position
        self.state = state

    def __str__(self) -> str:
        return f"projection {self.name!r} is {self.state} at position {self.position}, before {self.wanted}"


class ProjectionUnready(AgoraError):
    """Refuse a table that is being made again after an event broke it."""

    status = 503
    slug = "projection-unready"
    title = "Projection unready"
    retry_safe = True


AnyProjection = Projection[Any]
