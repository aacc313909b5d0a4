"""The market's tables as projections: each view of engines/market/views, kept up to date by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core._fast.envelope import Event
from core.event_log.filter import Filter
from engines.event_sourcing.event import EventReader
from engines.event_sourcing.projection import Projection, fold_by_type
from engines.event_sourcing.schema import schema_of
from engines.market import Fact, decode_event
from engines.market.views import VIEWS, View, view_of_pieces, view_pieces

LAYOUT = "1"  # grows when a view folds an event otherwise; what is kept is told by its fields


def projections() -> Iterator[Projection[View]]:
    """Yield a projection for each view, under the view's name."""
    reader = EventReader()
    for name, kind in VIEWS.items():
        yield projection_of(name, kind, lambda event: decode_event(reader.data(event)))


def projection_of(name: str, kind: type[View], decode: Callable[[Event], Fact]) -> Projection[View]:
    """Return the projection of one view."""
    return Projection(
        name=name,
        schema=f"{LAYOUT}/{schema_of(kind)}",
        make=kind,
        fold=fold_by_type({fact.__name__: fold for fact, fold in kind.folds.items()}, decode),
        image=view_pieces,
        restore=lambda pieces: view_of_pieces(kind, pieces),
        where=Filter(types=kind.event_types()),
    )
